"""What a disk or a store fails to give is not damage, and files that change under a run are named."""

import gzip
import io
import json
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from rexplug.components import Shard
from rexplug.corpus.sources import Jsonl, Parquet, Warc
from rexplug.errors import DataError
from rexplug.executors.job import Failure
from rexplug.io.compression import StorageError

LINES = "".join(json.dumps({"text": f"chair {number}"}) + "\n" for number in range(1000)).encode()


class StalledFile(MemoryFile):
    """Gives some bytes, then nothing within the time that the store allows."""

    def readinto(self, buffer):
        if self.tell():
            raise TimeoutError("the store did not answer within 60 s")
        return super().readinto(memoryview(buffer)[:100])


class StalledStore(MemoryFileSystem):
    protocol = "stalled"
    store: ClassVar[dict[str, object]] = {}

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("stalled://"))

    def _open(self, path, mode="rb", **options):
        file = super()._open(path, mode, **options)
        return StalledFile(self, path, file.getvalue()) if mode == "rb" else file


fsspec.register_implementation("stalled", StalledStore, clobber=True)


def read(source):
    return list(source.documents(Shard(0, 1)))


@pytest.mark.parametrize("source", [Jsonl, Parquet, Warc])
@pytest.mark.parametrize("damaged", ["refuse", "skip"])
def test_a_timeout_is_tried_again_and_never_taken_for_damage(source, damaged):
    suffix = source.suffixes[-2] if source is Jsonl else source.suffixes[0]
    data = gzip.compress(LINES, 0) if suffix.endswith(".gz") else LINES
    fsspec.filesystem("stalled").pipe(f"/x{suffix}", data)
    with pytest.raises(StorageError) as error:
        read(source(paths=f"stalled://x{suffix}", damaged=damaged))
    assert str(error.value) == (
        f"stalled://x{suffix} could not be read: TimeoutError: the store did not answer within 60 s"
    )
    failure = Failure.of(error.value)
    assert failure.again
    assert str(failure.error(None)) == str(error.value), "after the last attempt it is one line"


def test_a_file_that_vanished(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_bytes(LINES)
    source = Jsonl(paths=str(tmp_path))
    assert source.files
    file.unlink()
    with pytest.raises(DataError) as error:
        read(source)
    assert (
        str(error.value)
        == f"{file} was there when the run began and is gone; put it back, or run the same command again"
    )


@pytest.mark.parametrize("damaged", ["refuse", "skip"])
@pytest.mark.parametrize(
    ("suffix", "content", "change"),
    [
        ("jsonl", LINES[:-500], f"it had {len(LINES):,} bytes and has {len(LINES) - 500:,}"),
        ("jsonl", LINES + LINES, f"it had {len(LINES):,} bytes and has {2 * len(LINES):,}"),
        ("jsonl", LINES.replace(b"chair", b"table"), "it was written again"),
        ("jsonl.gz", gzip.compress(LINES)[:-30], None),
    ],
)
def test_a_file_that_changed(tmp_path, damaged, suffix, content, change):
    file = tmp_path / f"x.{suffix}"
    file.write_bytes(gzip.compress(LINES) if suffix.endswith("gz") else LINES)
    source = Jsonl(paths=str(tmp_path), damaged=damaged)
    assert source.files
    file.write_bytes(content)
    with pytest.raises(DataError) as error:
        read(source)
    assert str(error.value).startswith(f"{file} changed while it was read: {change or 'it had '}")


def test_a_file_that_breaks_off_is_still_damaged(tmp_path):
    many = b"".join(b'{"text": "%d"}\n' % (number * 7919 % 99991) for number in range(50_000))
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(many)[:-30])
    with pytest.raises(DataError, match="is damaged"):
        read(Jsonl(paths=str(tmp_path)))
    assert len(read(Jsonl(paths=str(tmp_path), damaged="skip"))) > 40_000


def test_reading_gives_the_bytes(tmp_path):
    from rexplug.corpus.sources.file_io import opened

    (tmp_path / "x").write_bytes(LINES)
    with opened(str(tmp_path / "x")) as file:
        assert file.readline() == LINES.splitlines(keepends=True)[0]
        file.seek(0, io.SEEK_END)
        assert file.tell() == len(LINES)
        file.seek(0)
        assert file.read() == LINES
