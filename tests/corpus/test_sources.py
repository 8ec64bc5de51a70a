"""Every kind of source: formats, ids, shards, columns, object stores, damage."""

import bz2
import gzip
import io
import json
import shutil

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from rexplug.components import Shard
from rexplug.corpus.shard_jobs import shard_documents
from rexplug.corpus.sources import ERROR, Csv, HtmlFiles, HuggingFace, Jsonl, Parquet, TextFiles, Warc
from rexplug.errors import DataError
from rexplug.testing import check_document_source

LINES = [{"text": f"page number {number} of the shop", "url": f"https://shop.example/{number}"} for number in range(40)]
PAGE = """<html><head><title>Oak chair</title></head><body><nav><a href="/">Home</a> <a href="/cart">Cart</a></nav>
<article><h1>Oak chair</h1><p>This chair is made of solid oak from managed forests and carries up to 120 kilograms.</p>
<p>The seat is woven by hand from paper cord, a material that lasts for decades when it is kept dry.</p></article>
<footer>All rights reserved</footer></body></html>"""


def jsonl(lines):
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def read(source, count=None):
    count = count or source.num_shards()
    return [document for index in range(count) for document in source.documents(Shard(index, count))]


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".zst", zstandard.ZstdCompressor().compress),
        (".gz", lambda data: gzip.compress(data[:900]) + gzip.compress(data[900:])),
        (".zst", lambda d: zstandard.ZstdCompressor().compress(d[:900]) + zstandard.ZstdCompressor().compress(d[900:])),
    ],
)
def test_json_lines_however_compressed(tmp_path, suffix, compress):
    (tmp_path / f"a.jsonl{suffix}").write_bytes(compress(jsonl(LINES)))
    documents = read(Jsonl(paths=str(tmp_path)))
    assert [(d.text, d.url) for d in documents] == [(line["text"], line["url"]) for line in LINES]
    check_document_source(Jsonl(paths=str(tmp_path)))


@pytest.mark.parametrize("split", [1, 50, 200, 999, 10**6])
def test_a_large_file_is_divided_at_lines_and_ids_stay(tmp_path, split):
    (tmp_path / "a.jsonl").write_bytes(jsonl(LINES))
    whole = read(Jsonl(paths=str(tmp_path)))
    source = Jsonl(paths=str(tmp_path), split=split)
    assert source.num_shards() == -(-(tmp_path / "a.jsonl").stat().st_size // split)
    assert read(source) == whole
    data = (tmp_path / "a.jsonl").read_bytes()
    for document in whole:
        offset = int(document.id.rpartition(":")[2])
        assert json.loads(data[offset:].split(b"\n")[0])["text"] == document.text


@pytest.mark.parametrize(("split", "shards"), [(1, 6), (1200, 4), (10**6, 1)])
def test_parquet_is_divided_at_groups_of_rows(tmp_path, split, shards):
    pq.write_table(pa.Table.from_pylist(LINES), tmp_path / "a.parquet", row_group_size=7)
    source = Parquet(paths=str(tmp_path), split=split)
    assert source.num_shards() == shards
    documents = read(source)
    assert [d.id for d in documents] == [f"a.parquet:{number}" for number in range(1, 41)]
    assert [d.text for d in documents] == [line["text"] for line in LINES]
    check_document_source(source)


def test_ids_do_not_depend_on_where_the_files_lie(tmp_path):
    for home in ("here", "there/deep"):
        (tmp_path / home / "web" / "x").mkdir(parents=True)
        (tmp_path / home / "web" / "x" / "a.jsonl").write_bytes(jsonl(LINES[:2]))
    ids = {
        tuple(d.id for d in read(Jsonl(paths=str(tmp_path / home / paths))))
        for home in ("here", "there/deep")
        for paths in ("web", "web/*/*.jsonl")
    }
    assert ids == {("x/a.jsonl:0", f"x/a.jsonl:{len(jsonl(LINES[:1]))}")}


def test_files_of_one_name_in_two_folders_have_distinct_ids(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jsonl").write_bytes(jsonl(LINES[:1]))
    assert [d.id for d in read(Jsonl(paths=[str(tmp_path / "b"), str(tmp_path / "a")]))] == [
        "1/x.jsonl:0",
        "0/x.jsonl:0",
    ]


def test_columns(tmp_path):
    record = {
        "name": "Chair",
        "details": {"bullets": ["of oak", "", "light"]},
        "sku": 7,
        "link": "http://x.example",
        "lang": "en",
    }
    (tmp_path / "a.jsonl").write_bytes(jsonl([record]))
    source = Jsonl(
        paths=str(tmp_path),
        text=("name", "missing", "details.bullets"),
        id="sku",
        url="link",
        metadata={"language": "lang"},
    )
    [document] = read(source)
    assert (document.id, document.text, document.url) == ("7", "Chair\n\nof oak\nlight", "http://x.example")
    assert document.metadata["language"] == "en"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'\xef\xbb\xbf{"text": "with a byte-order mark"}', "with a byte-order mark"),
        (b'{"text": "not a number", "price": NaN}', "not a number"),
        (b'{"text": "huge", "number": 123456789012345678901234567890}', "huge"),
        (b'{"text": "windows"}\r', "windows"),
    ],
)
def test_what_others_write_as_json_is_read(tmp_path, line, text):
    (tmp_path / "a.jsonl").write_bytes(line + b"\n")
    assert [d.text for d in read(Jsonl(paths=str(tmp_path)))] == [text]


def test_a_line_of_any_length_costs_only_itself(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl([LINES[0], {"text": "x" * 3_000_000}, LINES[1]]))
    documents = read(Jsonl(paths=str(tmp_path), longest=100_000))
    assert [d.metadata.get(ERROR) for d in documents] == [None, "longer than 100000 bytes", None]
    assert [d.text for d in documents] == [LINES[0]["text"], "", LINES[1]["text"]]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress, bz2.compress])
def test_a_truncated_file_is_refused_or_its_rest_is_skipped(tmp_path, compress):
    lines = [{"text": f"{number} {hash(str(number))}"} for number in range(40_000)]
    data = compress(jsonl(lines))
    suffix = {gzip.compress: ".gz", bz2.compress: ".bz2"}.get(compress, ".zst")
    (tmp_path / f"a.jsonl{suffix}").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError) as caught:
        read(Jsonl(paths=str(tmp_path)))
    assert str(caught.value).startswith(f"{tmp_path / f'a.jsonl{suffix}'} is damaged: ")
    assert str(caught.value).endswith("repair or remove it, or write `damaged: skip` to leave out the rest of it")
    documents = read(Jsonl(paths=str(tmp_path), damaged="skip"))
    *good, last = [d for d in documents if d.metadata.get(ERROR) != "invalid JSON"]
    assert last.metadata[ERROR] == "a damaged file"
    assert [d.text for d in good] == [line["text"] for line in lines[: len(good)]]
    # Decompressors hand out whole blocks; of bzip2 the first is larger than what is left of the file.
    assert len(good) > (0 if suffix == ".bz2" else 1000) or suffix == ".bz2"


def test_an_empty_file_is_accepted(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "c.csv").write_bytes(b"")
    assert read(Jsonl(paths=str(tmp_path))) == read(Csv(paths=str(tmp_path))) == []


def test_a_missing_column_is_refused(tmp_path):
    pq.write_table(pa.table({"name": ["x"], "bullets": [["one", "two"]]}), tmp_path / "c.parquet")
    (tmp_path / "a.csv").write_text("title,body\nChair,Of oak\n")
    with pytest.raises(DataError, match=r"c.parquet has no column text; its columns are bullets, name"):
        read(Parquet(paths=str(tmp_path)))
    with pytest.raises(DataError, match=r"a.csv has no column text; its columns are body, title"):
        read(Csv(paths=str(tmp_path)))
    assert [d.text for d in read(Parquet(paths=str(tmp_path), text=("name", "bullets")))] == ["x\n\none\ntwo"]


def test_csv(tmp_path):
    (tmp_path / "a.csv").write_text('title,text\nChair,"Of oak,\nfrom here"\nTable,\nStool,a,b\n')
    documents = read(Csv(paths=str(tmp_path), text=("title", "text")))
    assert [d.text for d in documents] == ["Chair\n\nOf oak,\nfrom here", "Table", ""]
    assert documents[2].metadata[ERROR] == "a row with more fields than the header"
    (tmp_path / "b.tsv").write_text("text\turl\nhello\thttp://x.example\n")
    [document] = read(Csv(paths=str(tmp_path / "b.tsv")))
    assert (document.id, document.url) == ("b.tsv:1", "http://x.example")


def test_text_and_html_folders(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("Hello\n")
    (tmp_path / "deep" / "b.txt").write_bytes("Größe: 5 cm, für den täglichen Gebrauch im Büro".encode("latin-1"))
    (tmp_path / "e.txt").write_text(" ")
    (tmp_path / ".hidden.txt").write_text("no")
    source = TextFiles(paths=str(tmp_path))
    assert source.num_shards() == 1
    documents = read(source)
    assert [(d.id, d.metadata.get(ERROR)) for d in documents] == [
        ("a.txt", None),
        ("deep/b.txt", None),
        ("e.txt", "empty file"),
    ]
    assert "Größe" in documents[1].text
    assert TextFiles(paths=str(tmp_path), split=1).num_shards() == 3
    (tmp_path / "p.html.gz").write_bytes(gzip.compress(PAGE.encode()))
    [page] = read(HtmlFiles(paths=str(tmp_path)))
    assert "solid oak" in page.text
    assert "All rights reserved" not in page.text
    [page] = read(HtmlFiles(paths=str(tmp_path), extract="none"))
    assert "<nav>" in page.text


def archive(pages):
    records = []
    for number, (kind, mime, body, status) in enumerate(pages):
        block = f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\n\r\n".encode() + body if kind == "response" else body
        head = {
            "WARC-Type": kind, "WARC-Target-URI": f"http://x.example/{number}", "WARC-Record-ID": f"<urn:uuid:{number}>",
            "WARC-Date": "2026-01-01T00:00:00Z", "Content-Length": str(len(block)),
            "Content-Type": "application/http; msgtype=response" if kind == "response" else mime,
        }  # fmt: skip
        lines = "".join(f"{key}: {value}\r\n" for key, value in head.items())
        records.append(f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n")
    return records


def test_web_archives(tmp_path):
    plain = archive(
        [
            ("response", "text/html; charset=utf-8", PAGE.encode(), "200 OK"),
            ("response", "image/png", b"\x89PNG", "200 OK"),
            ("response", "text/html", PAGE.encode(), "404 Not Found"),
            ("response", "text/html; charset=iso-8859-1", PAGE.replace("oak", "büchen").encode("latin-1"), "200 OK"),
            ("conversion", "text/plain", b"Plain text of a page", ""),
            ("response", "text/html", b"<html><body></body></html>", "200 OK"),
        ]
    )
    data = b"".join(map(gzip.compress, plain))
    (tmp_path / "a.warc.gz").write_bytes(data)
    documents = read(Warc(paths=str(tmp_path)))
    assert [d.url for d in documents] == [f"http://x.example/{number}" for number in (0, 3, 4, 5)]
    assert "solid oak" in documents[0].text
    assert "solid büchen" in documents[1].text
    assert documents[2].text == "Plain text of a page"
    assert documents[3].metadata[ERROR] == "no main text in the page"
    offset = int(documents[2].id.rpartition(":")[2])
    assert b"Plain text of a page" in gzip.decompress(data[offset:])[:600]
    (tmp_path / "a.warc").write_bytes(b"".join(plain))
    assert [d.text for d in read(Warc(paths=str(tmp_path / "a.warc")))] == [d.text for d in documents]
    for name, content in (
        ("a.warc.gz", data[:-40]),
        ("a.warc.gz", data[: len(gzip.compress(plain[0])) // 2]),
        ("a.warc.gz", data[:200] + b"\0" * 50 + data[250:]),
        ("a.warc.gz", b"no archive at all"),
        ("a.warc", b"".join(plain)[:500]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} is damaged: "):
            read(Warc(paths=str(tmp_path / name)))


def test_a_dataset_in_a_folder_and_one_saved_to_disk(tmp_path):
    import datasets

    (tmp_path / "shop").mkdir()
    for number in range(3):
        pq.write_table(
            pa.Table.from_pylist(LINES[number * 10 : number * 10 + 10]), tmp_path / "shop" / f"train-{number}.parquet"
        )
    source = HuggingFace(dataset=str(tmp_path / "shop"))
    source.check()
    documents = read(source)
    assert [d.text for d in documents] == [line["text"] for line in LINES[:30]]
    assert (documents[0].id, documents[11].id) == ("shop/train/00000:0", "shop/train/00001:1")
    check_document_source(source)
    datasets.Dataset.from_list(LINES[:5]).save_to_disk(tmp_path / "saved")
    assert [d.text for d in read(HuggingFace(dataset=str(tmp_path / "saved")))] == [line["text"] for line in LINES[:5]]
    with pytest.raises(DataError, match=r"'.*shop' has no column body; its columns are text, url"):
        HuggingFace(dataset=str(tmp_path / "shop"), text="body").check()


def test_a_dataset_that_cannot_be_opened_is_named():
    source = HuggingFace(dataset="nobody/no-such-dataset", revision="v2")
    source.check()  # without a network: a name is a name
    assert [str(name) for name in source.hub_names()] == ["dataset nobody/no-such-dataset at 'v2'"]
    with pytest.raises(DataError, match=r"huggingface: the dataset 'nobody/no-such-dataset' cannot be opened: "):
        source.num_shards()
    with pytest.raises(DataError, match=r"dataset: './none/such' is neither a folder nor a name like 'owner/name'"):
        HuggingFace(dataset="./none/such").check()


def test_object_stores(tmp_path):
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/web/a.jsonl", jsonl(LINES[:20]))
    store.pipe("/bucket/web/b.jsonl.gz", gzip.compress(jsonl(LINES[20:])))
    store.pipe("/bucket/web/notes.txt", b"no")
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(LINES), table)
    store.pipe("/bucket/t.parquet", table.getvalue())
    for paths in ("memory://bucket/web", "memory://bucket/web/*.jsonl*"):
        source = Jsonl(paths=paths, split=300)
        source.check()
        documents = read(source)
        assert [d.text for d in documents] == [line["text"] for line in LINES]
        assert documents[0].id == "a.jsonl:0"
        assert source.num_shards() > 4
        assert source.inputs() == []
        assert set(source.stamps()) == {"memory://bucket/web/a.jsonl", "memory://bucket/web/b.jsonl.gz"}
    assert len(read(Parquet(paths="memory://bucket/t.parquet"))) == 40
    (tmp_path / "a.jsonl").write_bytes(jsonl(LINES[:3]))
    assert next(iter(read(Jsonl(paths=f"file://{tmp_path}")))).id == "a.jsonl:0"
    before = Jsonl(paths="memory://bucket/web").stamps()
    store.pipe("/bucket/web/a.jsonl", jsonl(LINES[:21]))
    assert Jsonl(paths="memory://bucket/web").stamps() != before
    store.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ("memory://nothing/here", r"jsonl: paths: 'memory://nothing/here' matches no file$"),
        ("nosuchscheme://x/y", r"'nosuchscheme://x/y' cannot be opened: Protocol not known: nosuchscheme"),
    ],
)
def test_a_store_that_holds_nothing(paths, message):
    with pytest.raises(DataError, match=message):
        Jsonl(paths=paths).check()


def test_a_sample_is_the_same_share_whatever_the_shards(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl([{"text": f"page {number}"} for number in range(1000)]))
    samples = []
    for split in (10**6, 2000):
        source = Jsonl(paths=str(tmp_path), split=split, sample=0.2)
        count = source.num_shards()
        samples.append([d.id for index in range(count) for d in shard_documents(source, index, count)])
    assert samples[0] == samples[1]
    assert 150 < len(samples[0]) < 250


def test_files_that_moved_give_the_same_sample(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jsonl").write_bytes(jsonl(LINES))
    taken = [d.id for d in shard_documents(Jsonl(paths=str(tmp_path / "a"), sample=0.5), 0, 1)]
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert taken == [d.id for d in shard_documents(Jsonl(paths=str(tmp_path / "b"), sample=0.5), 0, 1)]
