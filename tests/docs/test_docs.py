"""The documentation tells the truth."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rexplug import __version__
from rexplug.cli import cli
from rexplug.plugins.hookspecs import KINDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_and_commands_exist(page):
    text = page.read_text()
    for name in re.findall(r"\b(?:recipes|docs|plugins)/[\w/.-]+\.(?:yaml|md|py)\b", text):
        assert (ROOT / name).exists(), f"{page.name} names {name}"
    for target in re.findall(r"\]\(([\w/.-]+\.md)\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for command in re.findall(r"^(?:\S*/)?rexplug (\S+)", text, re.MULTILINE):
        assert cli.get_command(None, command), f"{page.name} calls rexplug {command}"


def test_generated_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_code_in_pages_is_cut_from_files():
    found = 0
    for page in PAGES:
        for path, mark, code in re.findall(
            r"<!-- cut: (\S+) (\w+) -->\n```python\n(.*?)```\n<!-- end -->", page.read_text(), re.DOTALL
        ):
            source = (ROOT / path).read_text()
            part = source.split(f"# -- start {mark} --\n")[1].split(f"# -- end {mark} --")[0]
            assert code.strip() == part.strip(), f"{page.name}: {path} {mark}"
            found += 1
    assert found >= 3


def test_architecture_marks_every_hook():
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert set(re.findall(r"# (rexplug_\w+)", page)) == set(KINDS)


def test_changelog_has_the_version():
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
