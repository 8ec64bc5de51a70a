"""Writing in one step: a second name for a file, with and without hard links."""

import os

import pytest

from rexplug.io.atomic import link_or_copy


def no_links(source, target):
    raise OSError("this file system has no hard links")


@pytest.mark.parametrize("links", [True, False])
def test_a_file_has_its_content_under_both_names(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    source, target = tmp_path / "a", tmp_path / "folder" / "b"
    source.write_text("content")
    link_or_copy(source, target)
    link_or_copy(source, target)  # as after a stop
    source.unlink()
    assert target.read_text() == "content"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["b"]
