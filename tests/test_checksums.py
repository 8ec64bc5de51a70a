"""Checksums: every file that differs from what was written is reported."""

import json

import pytest

from rexplug.checksums import folder_problems, record_checksums, require_intact
from rexplug.errors import DataError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("a.bin", "inner/b.bin", "README.md"):
        (tmp_path / name).write_bytes(b"0123456789")
    record_checksums(tmp_path, leave_out=["README.md"])
    return tmp_path


def test_unchanged_files_have_no_problems(folder):
    assert sorted(json.loads((folder / "checksums.json").read_text())["files"]) == ["a.bin", "inner/b.bin"]
    (folder / "README.md").write_text("changed, and left out")
    (folder / "new.txt").write_text("added")
    assert list(folder_problems(folder)) == []
    require_intact(folder, "do it again")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"0123456780", "was altered: its content does not have the checksum that was recorded when it was written"),
        (b"01234", "was cut short: it has 5 bytes, and 10 were written"),
        (b"0123456789x", "was altered: it has 11 bytes, and 10 were written"),
        (None, "is missing"),
    ],
)
def test_a_difference_is_reported(folder, content, problem):
    path = folder / "inner" / "b.bin"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert list(folder_problems(folder)) == [f"{path} {problem}"]
    with pytest.raises(DataError) as caught:
        require_intact(folder, "--from train makes it again")
    assert str(caught.value) == f"{path} {problem}; --from train makes it again"


@pytest.mark.parametrize("text", ["[]", '{"files": 3}', '{"files": {"a.bin": {"bytes": "10"}}}'])
def test_a_damaged_record_is_reported(folder, text):
    (folder / "checksums.json").write_text(text)
    (problem,) = folder_problems(folder)
    assert problem.startswith(f"{folder / 'checksums.json'} is damaged: it holds no ")


def test_a_folder_without_checksums_is_accepted(tmp_path):
    (tmp_path / "a").write_text("x")
    require_intact(tmp_path, "")
