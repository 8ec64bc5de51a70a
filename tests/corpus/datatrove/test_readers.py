"""Readers of datatrove by class name: the documents that datatrove gives, damaged records counted, and one message per mistake."""

import gzip
import json
import pickle
import shutil
import sys

import brotli
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rexplug import DocumentSource, RecipeError
from rexplug.cli import cli
from rexplug.components import Shard
from rexplug.corpus.datatrove.blocks import _adapter, find_block
from rexplug.corpus.datatrove.readers import DatatroveReader
from rexplug.corpus.sources import ERROR
from rexplug.errors import DataError, PluginError
from rexplug.plugins.discovery import load_plugins
from rexplug.plugins.fingerprint import PluginCode
from rexplug.recipe import load_recipe
from rexplug.testing import check_document_source

REGISTRY = load_plugins()
ROWS = [
    {"id": f"row-{n}", "text": f"page number {n} of the shop", "url": f"https://shop.example/{n}", "kind": "offer"}
    for n in range(30)
]  # fmt: skip
RECIPE = """
name: toy
sources:
  web: {source}
curation: {{deduplicate: none, held_out: 0}}
tokenizer: {{use: train}}
model: {{size: nano}}
phases:
  - {{name: p, tokens: 1k, context: 64, batch_tokens: 64, learning_rate: {{peak: 1e-3}}, mixing: {{use: annealing.constant, shares: {{web: 1}}}}, masking: random}}
"""


def make(name, damaged="refuse", longest=20_000_000, **options):
    entry = {"class": name, "options": options, "damaged": damaged, "longest": longest}
    return REGISTRY.find(DocumentSource, "datatrove.reader").model_validate(entry)


def read(source):
    count = source.num_shards()
    return [document for index in range(count) for document in source.documents(Shard(index, count))]


def write(folder, kind, rows, name="a"):
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    if kind == "parquet":
        pq.write_table(table, folder / f"{name}.parquet")
    elif kind == "arrow":
        with pa.ipc.new_file(str(folder / f"{name}.arrow"), table.schema) as file:
            file.write_table(table, max_chunksize=7)
    else:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        data = "\n".join(lines).encode()
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(data))


@pytest.mark.parametrize(
    ("reader", "kind"), [("ParquetReader", "parquet"), ("IpcReader", "arrow"), ("CSVReader", "csv")]
)
def test_documents_are_those_that_datatrove_reads(tmp_path, reader, kind):
    from datatrove.pipeline import readers

    for number in range(3):
        write(tmp_path, kind, ROWS[10 * number : 10 * number + 10], f"part-{number}")
    (tmp_path / f".part-0.{kind}.swp").write_text("an editor's leftover")
    source = make(reader, data_folder=str(tmp_path))
    source.check()
    assert source.num_shards() == 3
    found = read(source)
    expected = list(getattr(readers, reader)(str(tmp_path), glob_pattern="p*").run(None, 0, 1))
    assert [(d.id, d.text, d.url, d.metadata["kind"]) for d in found] == [
        (d.id, d.text, d.metadata["url"], d.metadata["kind"]) for d in expected
    ]
    assert [d.text for d in found] == [row["text"] for row in ROWS]
    first = next(tmp_path.glob("part-0.*"))
    assert found[3].metadata["place"] == f"{first}:3"
    check_document_source(source)
    assert pickle.loads(pickle.dumps(source)) == source


def test_ids_and_texts_as_the_options_say(tmp_path):
    write(tmp_path / "x", "parquet", [{"body": "a text", "n": 5}, {"body": "another", "n": None}])
    source = make(
        "ParquetReader", data_folder=str(tmp_path / "x"), text_key="body", id_key="n", default_metadata={"by": "us"}
    )
    assert [(d.id, d.text, d.metadata["by"]) for d in read(source)] == [
        ("5", "a text", "us"),
        ("a.parquet/1", "another", "us"),
    ]
    moved = shutil.copytree(tmp_path / "x", tmp_path / "y")
    ids = [
        [d.id for d in read(make("ParquetReader", data_folder=str(f), text_key="body"))]
        for f in (tmp_path / "x", moved)
    ]
    assert ids[0] == ids[1] == ["a.parquet/0", "a.parquet/1"]
    only = make("ParquetReader", data_folder=str(tmp_path), glob_pattern="x/*.parquet", text_key="body")
    assert len(read(only)) == 2


def test_an_object_store(tmp_path):
    write(tmp_path, "parquet", ROWS)
    with fsspec.open("memory://readers/a.parquet", "wb") as file:
        file.write((tmp_path / "a.parquet").read_bytes())
    source = make("ParquetReader", data_folder="memory://readers")
    assert len(read(source)) == 30
    [(name, (size, version))] = source.stamps().items()
    assert (name, size) == ("a.parquet", (tmp_path / "a.parquet").stat().st_size)
    assert version
    assert list(source.inputs()) == []


def test_a_dataset(tmp_path):
    from datasets import Dataset, DatasetDict

    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "one"))
    source = make("HuggingFaceDatasetReader", dataset=str(tmp_path / "one"), load_from_disk=True)
    source.check()
    assert [d.text for d in read(source)] == [row["text"] for row in ROWS]
    assert source.inputs()
    DatasetDict({"train": Dataset.from_list(ROWS), "test": Dataset.from_list(ROWS)}).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(
        DataError, match=r"write which split is read, e.g. `dataset_options: {split: train}`; .* train, test"
    ):
        make("HuggingFaceDatasetReader", dataset=str(tmp_path / "two"), load_from_disk=True).check()
    with pytest.raises(DataError, match=r"has no column body; its columns are id, kind, text, url"):
        make("HuggingFaceDatasetReader", dataset=str(tmp_path / "one"), load_from_disk=True, text_key="body").check()


def test_broken_records_are_counted_with_the_reasons_of_our_own_sources(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n1,fine\n2,\n3,too,many\n4,fine too\n" + f"5,{'x' * 200_000}\n")
    source = make("CSVReader", data_folder=str(tmp_path), longest="100k")
    assert [(d.id, d.text, d.metadata.get(ERROR)) for d in read(source)] == [
        ("1", "fine", None),
        ("a.csv/1", "", "no text in text"),
        ("a.csv/2", "", "a row with more fields than the header"),
        ("4", "fine too", None),
        ("a.csv/4", "", "longer than 100000 characters"),
    ]
    write(tmp_path / "p", "parquet", [{"text": None}, {"text": "fine"}])
    assert [d.metadata.get(ERROR) for d in read(make("ParquetReader", data_folder=str(tmp_path / "p")))] == [
        "no text in text", None,
    ]  # fmt: skip
    write(tmp_path / "q", "parquet", [{"text": 3}])
    assert read(make("ParquetReader", data_folder=str(tmp_path / "q")))[0].metadata[ERROR] == "no text in text"


@pytest.mark.parametrize(
    ("reader", "kind"), [("ParquetReader", "parquet"), ("IpcReader", "arrow"), ("CSVReader", "csv")]
)
def test_a_truncated_file_is_refused_or_its_rest_is_skipped(tmp_path, reader, kind):
    write(tmp_path, kind, [{**row, "text": row["text"] * 50} for row in ROWS])
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=rf"{path} is damaged: .*; repair or remove it, or write `damaged: skip`"):
        read(make(reader, data_folder=str(tmp_path)))
    *before, last = read(make(reader, data_folder=str(tmp_path), damaged="skip"))
    assert last.metadata[ERROR] == "a damaged file"
    assert all(ERROR not in d.metadata for d in before)


def test_an_archive_with_a_body_in_brotli(tmp_path):
    body = brotli.compress(b"<html><body><p>An oak chair.</p></body></html>")
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: br\r\n\r\n" + body
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Target-URI: http://x.example/\r\n"
        "WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Identified-Payload-Type: text/html\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    (tmp_path / "a.warc").write_bytes(head.encode() + block + b"\r\n\r\n")
    [document] = read(make("WarcReader", data_folder=str(tmp_path)))
    assert document.text == "<html><body><p>An oak chair.</p></body></html>"


def test_csv_that_is_not_utf8_is_reported_with_its_name(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"id,text\n1,fine\n2,b\xff\xfed\n")
    with pytest.raises(DataError, match=r"a\.csv is damaged: 'utf-8' codec can't decode"):
        read(make("CSVReader", data_folder=str(tmp_path)))


def test_a_missing_column_is_refused(tmp_path):
    write(tmp_path, "parquet", ROWS)
    with pytest.raises(DataError, match=r"a\.parquet has no column body; its columns are id, kind, text, url"):
        read(make("ParquetReader", data_folder=str(tmp_path), text_key="body"))


def test_check_reports_a_source_without_files(tmp_path):
    with pytest.raises(DataError, match=r"datatrove.IpcReader: data_folder: '.*none' has no files$"):
        make("IpcReader", data_folder=str(tmp_path / "none")).check()
    with pytest.raises(DataError, match=r"has no files that match \*\.arrow$"):
        make("IpcReader", data_folder=str(tmp_path), glob_pattern="*.arrow").check()


def loading(tmp_path, source):
    (tmp_path / "toy.yaml").write_text(RECIPE.format(source=source))
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "toy.yaml", (), REGISTRY)
    _, *problems = str(caught.value).splitlines()
    return [problem.strip().removeprefix(f"{tmp_path}/toy.yaml:4: sources.web") for problem in problems]


@pytest.mark.parametrize(
    ("source", "problems"),
    [
        (
            "{use: datatrove.reader, class: ParquetRedaer, options: {data_folder: data}}",
            [".class: datatrove has no reader 'ParquetRedaer'; did you mean 'ParquetReader'?"],
        ),
        (
            "{use: datatrove.reader, class: JsonlReader, options: {data_folder: data}}",
            [
                ".class: JsonlReader cannot be used: datatrove's JSONL reader loses the rest of a file at one invalid byte and "
                "counts no broken line; write `use: jsonl` with `paths`, which reads the same files"
            ],
        ),
        (
            "{use: datatrove.reader, class: CSVReader, options: {folder: data, compression: rar, recursive: often}}",
            [
                ".options.data_folder: is missing",
                ".options.compression: Input should be 'infer', 'gzip' or 'zstd'",
                ".options.recursive: Input should be a valid boolean, unable to interpret input",
                ".options.folder: CSVReader has no such option; did you mean 'data_folder'?",
            ],
        ),
        (
            "{use: datatrove.reader, class: IpcReader, options: {data_folder: data, limit: 3, shuffle_files: true}}",
            [
                ".options.limit: cannot be set here: write `limit` beside `use`",
                ".options.shuffle_files: cannot be set here: documents would depend on chance",
            ],
        ),
        ("{use: datatrove.reader, class: IpcReader}", [".options.data_folder: is missing"]),
        ("{use: datatrove.reader}", [".class: is missing"]),
        (
            "{use: datatrove.reader, class: no_such_package.MyReader}",
            [
                ".class: the module no_such_package cannot be imported: ModuleNotFoundError: No module named 'no_such_package'"
            ],
        ),
        (
            "{use: datatrove.reader, class: datatrove.data.Document}",
            [".class: 'datatrove.data.Document' is not a subclass of datatrove's BaseReader"],
        ),
        (
            "{use: datatrove.reader, class: datatrove.pipeline.readers.base.BaseReader}",
            [".class: 'datatrove.pipeline.readers.base.BaseReader' does not implement run"],
        ),
        (
            "{use: datatrove.IpcReader, data_folder: data}",
            [": 'datatrove.IpcReader' is written {use: datatrove.reader, class: IpcReader, options: {...}}"],
        ),
    ],
)
def test_mistakes_are_reported_with_their_keys(tmp_path, source, problems):
    assert loading(tmp_path, source) == problems


def test_a_reader_of_another_package(tmp_path, monkeypatch):
    (tmp_path / "my_readers.py").write_text(
        "from datatrove.pipeline.readers import ParquetReader\n\n\nclass MyReader(ParquetReader):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path / "data", "parquet", ROWS)
    assert len(read(make("my_readers.MyReader", data_folder=str(tmp_path / "data")))) == 30


def test_a_recipe_curates_with_a_reader(tmp_path):
    write(tmp_path / "data", "arrow", ROWS)
    source = f"{{use: datatrove.reader, class: IpcReader, options: {{data_folder: {tmp_path}/data}}, limit: 20, filters: [{{use: length, min_words: 3}}]}}"
    (tmp_path / "toy.yaml").write_text(RECIPE.format(source=source))
    arguments = ["run", str(tmp_path / "toy.yaml"), "--until", "curate", "--run-dir", str(tmp_path / "run"), "--quiet"]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    counts = json.loads((tmp_path / "run/corpus/statistics.json").read_text())["sources"]["web"]
    assert (counts["read"]["documents"], counts["kept"]["documents"]) == (20, 20)
    said = CliRunner().invoke(cli, ["corpus", "why", str(tmp_path / "run"), "row-3"], catch_exceptions=False).output
    assert f"read from {tmp_path}/data/a.arrow:3" in said


OTHER_READERS = """
from datatrove.pipeline.readers.base import BaseDiskReader, BaseReader


class Fails(BaseDiskReader):
    name = "fails"

    def read_file(self, path):
        yield self.get_document_from_dict({"text": "one"}, path, 0)
        raise ValueError("no header")


class Memory(BaseReader):
    name = "memory"

    def run(self, data=None, rank=0, world_size=1):
        yield from ()
"""


@pytest.fixture
def other_readers(tmp_path, monkeypatch):
    (tmp_path / "other_readers.py").write_text(OTHER_READERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("x")
    yield str(tmp_path / "data")
    sys.modules.pop("other_readers", None)
    find_block.cache_clear()
    _adapter.cache_clear()


def test_what_a_reader_of_others_raises_names_class_and_file(other_readers):
    source = DatatroveReader.model_validate({"class": "other_readers.Fails", "options": {"data_folder": other_readers}})
    documents = source.documents(Shard(0, 1))
    assert next(documents).text == "one"
    with pytest.raises(PluginError) as caught:
        next(documents)
    first, line = str(caught.value).splitlines()
    assert first == f"other_readers.Fails.read_file() raised ValueError on {other_readers}/a.txt: no header"
    assert line.endswith('in read_file: raise ValueError("no header")')


def test_a_reader_without_files_or_dataset_is_refused(other_readers):
    source = DatatroveReader.model_validate({"class": "other_readers.Memory"})
    with pytest.raises(DataError) as caught:
        source.check()
    assert str(caught.value) == (
        "datatrove.Memory: it reads neither a data_folder nor a dataset, so its documents cannot be divided into shards; use a "
        "subclass of datatrove's BaseDiskReader or HuggingFaceDatasetReader, or write a plugin with a DocumentSource"
    )


def test_the_code_of_a_reader_of_others_is_part_of_the_fingerprint(other_readers, tmp_path):
    source = DatatroveReader.model_validate({"class": "other_readers.Fails", "options": {"data_folder": other_readers}})
    before = PluginCode({}).of([source])
    assert set(before) == {"other_readers"}
    assert PluginCode({}).of([make("IpcReader", data_folder=other_readers)]) == {}
    (tmp_path / "other_readers.py").write_text(OTHER_READERS.replace("no header", "no rows"))
    assert PluginCode({}).of([source]) != before
