"""Content of files is kept until they change."""

import os

import pytest

from rexplug.io.file_cache import cached_until_changed


def test_a_file_is_read_once_until_it_changes(tmp_path):
    reads = []

    @cached_until_changed(maxsize=2)
    def content(path):
        reads.append(path.name)
        return path.read_text()

    path = tmp_path / "a.txt"
    path.write_text("one")
    assert [content(path), content(path)] == ["one", "one"]
    assert reads == ["a.txt"]
    path.write_text("three")
    assert content(path) == "three", "another size"
    (tmp_path / "b.txt").write_text("seven")
    stat = path.stat()
    os.utime(tmp_path / "b.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "b.txt").replace(path)
    assert content(path) == "seven", "another file of the same size and time"
    assert len(reads) == 3


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        cached_until_changed(maxsize=1)(lambda path: path.name)(tmp_path / "none")
