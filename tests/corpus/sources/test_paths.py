"""The rule by which paths, folders and globs become files."""

import json
import os
import sys
from pathlib import Path

import fsspec
import pytest

from rexplug.components import Shard
from rexplug.corpus.sources import Csv, Jsonl
from rexplug.errors import DataError


def write(path, *texts):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def read(source):
    count = source.num_shards()
    return [document for index in range(count) for document in source.documents(Shard(index, count))]


def ids(*paths):
    return [document.id for document in read(Jsonl(paths=[str(path) for path in paths]))]


def test_links_to_folders_are_followed(tmp_path):
    write(tmp_path / "store" / "x.jsonl", "chair")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shop").symlink_to(tmp_path / "store", target_is_directory=True)
    assert ids(tmp_path / "data") == ["shop/x.jsonl:0"]
    assert ids(tmp_path / "data" / "**" / "*.jsonl") == ["shop/x.jsonl:0"]


def test_a_loop_of_links_ends_and_every_file_is_read_once(tmp_path):
    write(tmp_path / "a" / "x.jsonl", "chair")
    write(tmp_path / "b" / "y.jsonl", "table")
    for place, target in (("a/up", ".."), ("a/self", "."), ("b/other", "../a"), ("a/other", "../b")):
        (tmp_path / place).symlink_to(target, target_is_directory=True)
    for pattern in (tmp_path, tmp_path / "**", tmp_path / "**" / "*.jsonl", tmp_path / "*" / "*.jsonl"):
        assert ids(pattern) == ["a/x.jsonl:0", "b/y.jsonl:0"]


def test_a_file_that_several_paths_name_is_read_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write("data/x.jsonl", "chair")
    Path("data/a.jsonl").symlink_to("x.jsonl")
    assert ids("data", "./data", tmp_path / "data", "data/../data/x.jsonl", file) == ["x.jsonl:0"]
    assert ids("data/a.jsonl") == ["a.jsonl:0"], "a link that is named is read under its name"


def test_hidden_and_temporary_files_are_left_out(tmp_path):
    write(tmp_path / "part.jsonl", "kept")
    for name in (".part.jsonl", "_part.jsonl", "_temporary/0/part.jsonl", ".ipynb_checkpoints/part.jsonl"):
        write(tmp_path / name, "left out")
    assert ids(tmp_path) == ids(tmp_path / "*") == ids(tmp_path / "**" / "*.jsonl") == ["part.jsonl:0"]
    assert ids(tmp_path / "_temporary") == ["0/part.jsonl:0"]
    assert ids(tmp_path / "_*.jsonl") == ["_part.jsonl:0"]
    assert ids(tmp_path / "_temporary" / "*" / "*.jsonl") == ["0/part.jsonl:0"]


def test_a_folder_of_hidden_files_alone(tmp_path):
    write(tmp_path / "_delta" / "part.jsonl", "left out")
    with pytest.raises(DataError) as error:
        Jsonl(paths=str(tmp_path)).check()
    assert "(names that begin with '.' or '_' are left out)" in str(error.value)


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "shop" / "x.jsonl", "chair")
    assert ids("~/shop") == ids("~/shop/*.jsonl") == ["x.jsonl:0"]
    with pytest.raises(
        DataError, match=r"^'~nobody-of-this-name/x' names the home folder of a user who is not known here$"
    ):
        ids("~nobody-of-this-name/x")


def test_endings_in_capitals(tmp_path):
    write(tmp_path / "EXPORT.JSONL", "chair")
    (tmp_path / "TABLE.TSV").write_text("text\tsku\nchair\t7\n")
    assert ids(tmp_path) == ["EXPORT.JSONL:0"]
    assert [document.text for document in read(Csv(paths=str(tmp_path)))] == ["chair"]


def test_brackets_in_names(tmp_path):
    write(tmp_path / "[2024] shop" / "a[1].jsonl", "chair")
    write(tmp_path / "2 shop" / "a1.jsonl", "table")
    assert ids(tmp_path / "[2024] shop") == ids(tmp_path / "[2024] shop" / "*.jsonl") == ["a[1].jsonl:0"]
    assert ids(tmp_path / "[2024] shop" / "a[1].jsonl") == ["a[1].jsonl:0"]
    assert ids(tmp_path / "[0-9] shop" / "a[1].jsonl") == ["2 shop/a1.jsonl:0"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf_8(tmp_path):
    write(os.fsencode(tmp_path).decode() + "/" + os.fsdecode(b"caf\xe9.jsonl"), "chair")
    source = Jsonl(paths=str(tmp_path))
    [document] = read(source)
    assert (document.id, document.text) == ("caf\\xe9.jsonl:0", "chair")
    assert str(document.metadata["place"]).endswith("caf\\xe9.jsonl:0")
    json.dumps(source.stamps(), ensure_ascii=False).encode()


def test_a_link_to_nothing_is_refused(tmp_path):
    write(tmp_path / "x.jsonl", "chair")
    (tmp_path / "y.jsonl").symlink_to("moved.jsonl")
    for pattern in (tmp_path, tmp_path / "*.jsonl", tmp_path / "y.jsonl"):
        with pytest.raises(DataError) as error:
            ids(pattern)
        assert str(error.value) == (
            f"{tmp_path / 'y.jsonl'} is a link to a file that does not exist ({tmp_path / 'moved.jsonl'}); mend or remove it"
        )


def test_a_glob_of_folders_says_how_to_read_them(tmp_path):
    write(tmp_path / "shop-a" / "x.jsonl", "chair")
    with pytest.raises(DataError) as error:
        Jsonl(paths=str(tmp_path / "shop-*")).check()
    assert str(error.value).startswith(
        f"jsonl: paths: '{tmp_path}/shop-*' matches only folders; '{tmp_path}/shop-*/**' is all files in them"
    )
    assert ids(tmp_path / "shop-*" / "**") == ["shop-a/x.jsonl:0"]


def test_object_stores_follow_the_rule(tmp_path):
    store = fsspec.filesystem("memory")
    for name in ("part.JSONL", "_temporary/0/part.jsonl", ".hidden.jsonl"):
        store.pipe(f"/paths/{name}", b'{"text": "chair"}\n')
    assert ids("memory://paths") == ["part.JSONL:0"]
    assert ids("memory://paths", "memory://paths/part.JSONL") == ["part.JSONL:0"]


def test_globs_in_object_stores_skip_hidden_names_as_on_disk(tmp_path):
    store = fsspec.filesystem("memory")
    for name in ("a.jsonl", "_temporary/0/b.jsonl", ".hidden.jsonl", "sub/.x/c.jsonl"):
        store.pipe(f"/_globs/{name}", b'{"text": "chair"}\n')
    assert ids("memory://_globs/**/*.jsonl") == ["a.jsonl:0"]
    assert ids("memory://_globs/_*/**/*.jsonl") == ["_temporary/0/b.jsonl:0"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "jsonl: paths: a path is empty; the current folder is '.'"),
        (" ", "jsonl: paths: a path is empty; the current folder is '.'"),
        ("a" * 5000, "matches no file"),
        ("zip://a.jsonl::/nowhere/x.zip", "is a chain of file systems (::), which are not read"),
        ("zip://a.jsonl", "'zip://a.jsonl' cannot be opened: "),
    ],
)
def test_invalid_paths_are_refused_in_one_line(pattern, message):
    with pytest.raises(DataError) as error:
        Jsonl(paths=pattern).check()
    assert message in str(error.value)


def test_a_link_to_itself_is_refused(tmp_path):
    write(tmp_path / "x.jsonl", "chair")
    (tmp_path / "y.jsonl").symlink_to("y.jsonl")
    with pytest.raises(DataError, match="y.jsonl is a link to a file that does not exist"):
        ids(tmp_path)


def test_small_files_share_a_shard(tmp_path):
    for number in range(2500):
        (tmp_path / f"{number:04}.jsonl").write_text('{"text": "chair"}\n')
    source = Jsonl(paths=str(tmp_path))
    assert [len(pieces) for pieces in source.shards] == [2000, 500]
    assert [document.id for document in read(source)] == [f"{number:04}.jsonl:0" for number in range(2500)]
    assert Jsonl(paths=str(tmp_path), split=100).num_shards() == 500, "five files of 18 bytes reach 100"


def test_a_large_file_does_not_share_its_shard(tmp_path):
    sizes = (10, 10, 1000, 10, 600, 600)
    for number, size in enumerate(sizes):
        (tmp_path / f"{number}.jsonl").write_text("{}" + " " * (size - 3) + "\n")
    source = Jsonl(paths=str(tmp_path), split=600)
    assert [[piece.file.id for piece in pieces] for pieces in source.shards] == [
        ["0.jsonl", "1.jsonl"], ["2.jsonl"], ["2.jsonl"], ["3.jsonl"], ["4.jsonl"], ["5.jsonl"],
    ]  # fmt: skip
