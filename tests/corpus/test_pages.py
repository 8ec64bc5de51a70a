"""Limits per page: one that is too large, too slow or crashes its process is dropped alone."""

import subprocess
import sys

import psutil
import pytest

from rexplug.components import Shard
from rexplug.corpus.sources import ERROR, HtmlFiles
from rexplug.corpus.sources.html_worker import extract_apart

SENTENCE = "<p>This chair is made of solid oak from managed forests and carries up to 120 kilograms.</p>"
PAGE = f"<html><body><article>{SENTENCE * 3}</article></body></html>"
SLOW = f"<html><body><article>{SENTENCE}<ul>{'<li><a href=/x>a link to a thing</a></li>' * 8000}</ul></article></body></html>"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.html").write_text(PAGE)
    (tmp_path / "b-slow.html").write_text(SLOW)
    (tmp_path / "c.html").write_text(PAGE.replace("chair", "table"))
    return tmp_path


def read(folder, **options):
    return [
        (d.id, d.text[:10], d.metadata.get(ERROR))
        for d in HtmlFiles(paths=str(folder), **options).documents(Shard(0, 1))
    ]


def test_a_page_that_takes_too_long_is_dropped_alone(folder):
    assert read(folder, extract_seconds=0.2) == [
        ("a.html", "This chair", None),
        ("b-slow.html", "", "extraction took more than 0.2 s"),
        ("c.html", "This table", None),
    ]
    assert read(folder)[1] == ("b-slow.html", "This chair", None)


def test_a_page_of_too_many_tags_is_dropped_before_extraction(folder):
    assert read(folder, most_tags=30_000, extract_seconds=0.2)[1] == (
        "b-slow.html",
        "",
        "more than 30000 tags in the page",
    )
    assert read(folder, most_tags=10, extract="none")[1] == ("b-slow.html", SLOW[:10], None)


@pytest.mark.parametrize(
    "inner", ["<div>", "<table><tr><td>", "<b><i>", "<!--", "<a href='", "&#x", "\0", "<svg><math>"]
)
def test_no_nesting_and_no_fragment_crashes_a_worker(inner):
    text, reason, _ = extract_apart(f"<html><body>{inner * 20_000}{SENTENCE}", {"url": None}, 20, with_data=True)
    assert text or not reason or reason.startswith("extraction ")


def extractors():
    return [
        process
        for process in psutil.Process().children()
        if any("html_worker.py" in part for part in process.cmdline())
    ]


def test_a_killed_process_is_replaced():
    assert extract_apart(PAGE, {}, 20)[0].startswith("This chair")
    for process in extractors():
        process.kill()
        process.wait()
    assert extract_apart(PAGE, {}, 20)[0].startswith("This chair")
    assert len(extractors()) == 1


def test_it_ends_with_its_parent():
    script = (
        "import os, psutil\n"
        "from rexplug.corpus.sources.html_worker import extract_apart\n"
        f"extract_apart({PAGE!r}, {{}}, 20)\n"
        "print(psutil.Process().children()[0].pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    try:
        child = psutil.Process(int(said))
        gone, _ = psutil.wait_procs([child], timeout=20)
        assert gone or child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        pass
