"""Files that may be compressed are read in bounded memory and time, completely or with an error."""

import bz2
import gzip
import hashlib
import io
import lzma
import resource
import sys

import pytest
import zstandard

from rexplug import DataError, read_lines, read_records
from rexplug.io import compression as module
from rexplug.io.compression import DecompressionBomb, decompressed

ZST = zstandard.ZstdCompressor(level=19)
WAYS = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": ZST.compress, ".xz": lzma.compress}
LINES = b"".join(b'{"text": "line %d"}\n' % number for number in range(3000))


def bomb(ending, mebibytes):
    """A compressed file of that many MiB of zeros, written without holding all of them in memory."""
    piece = bytes(1 << 20)
    if ending != ".zst":
        whole = WAYS[ending](piece)
        return whole * mebibytes  # members of gzip and streams of bzip2 follow one another
    making = zstandard.ZstdCompressor(level=19).compressobj()
    return b"".join([*(making.compress(piece) for _ in range(mebibytes)), making.flush()])


@pytest.mark.parametrize("ending", WAYS)
def test_what_was_compressed_comes_back(ending):
    content = WAYS[ending](LINES)
    with decompressed(io.BytesIO(content), f"a{ending}") as file:
        assert file.read() == LINES
    with decompressed(io.BytesIO(content + content), f"a{ending}") as file:  # several frames, members, streams
        assert list(file) == (LINES + LINES).splitlines(keepends=True)


@pytest.mark.parametrize("ending", WAYS)
def test_a_truncated_file_raises_instead_of_ending(ending):
    content = WAYS[ending](LINES)
    with pytest.raises((OSError, EOFError)), decompressed(io.BytesIO(content[:-7]), f"a{ending}") as file:
        file.read()


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_a_cut_file_is_read_up_to_its_end(ending):
    noise = b"".join(b"%s\n" % hashlib.sha512(b"%d" % n).hexdigest().encode() for n in range(8_000))
    content = WAYS[ending](noise)
    read = []
    with pytest.raises((OSError, EOFError)), decompressed(io.BytesIO(content[:-5]), f"a{ending}") as file:
        read += iter(file.readline, None)
    assert len(read) > (7_900 if ending != ".bz2" else 6_000)  # bzip2 is read in whole blocks of 900 kB


@pytest.mark.parametrize("ending", [".bz2", ".zst"])
def test_a_small_file_does_not_grow_without_end(ending, monkeypatch):
    """Zeros in a few kB end after the bytes that every file may have, in memory that does not grow with them."""
    content = bomb(ending, 200)
    assert len(content) < 20_000
    monkeypatch.setattr(module, "ALWAYS_ALLOWED", 20_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = 0
    with pytest.raises(DecompressionBomb) as caught, decompressed(io.BytesIO(content), f"a{ending}") as file:
        while block := file.read(1 << 16):
            taken += len(block)
    assert str(caught.value) == "it decompresses to more than 1,000 times its size"
    assert taken <= 25_000_000
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("ending", ["", *WAYS])
def test_records_and_lines_of_compressed_files(tmp_path, ending):
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(WAYS.get(ending, bytes)(LINES))
    assert [row["text"] for _, row in read_records(path)][:2] == ["line 0", "line 1"]
    assert len(list(read_lines(path))) == 3000
    assert next(read_lines(path)) == (1, '{"text": "line 0"}')


@pytest.mark.parametrize("read", [read_records, read_lines])
def test_a_damaged_file_is_named(tmp_path, read):
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(ZST.compress(LINES)[:-7])
    with pytest.raises(DataError) as caught:
        list(read(path))
    assert str(caught.value) == f"cannot read {path}: Truncated compressed stream"


@pytest.mark.parametrize("read", [read_records, read_lines])
def test_a_line_of_any_length_is_not_read_whole(tmp_path, monkeypatch, read):
    monkeypatch.setattr(module, "LONGEST_LINE", 1000)
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "' + "a" * 2000 + '"}\n')
    with pytest.raises(DataError) as caught:
        list(read(path))
    assert str(caught.value) == f"{path}:2: a line of more than 1,000 characters"


def test_records_that_are_nested_too_deep(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(DataError) as caught:
        list(read_records(path))
    assert str(caught.value) == f"{path}:1: not valid JSON: it is nested too deep"


def test_lines_that_are_not_utf8(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match=r"words\.txt is not UTF-8: 'utf-8' codec can't decode byte 0xe9"):
        list(read_lines(path))
