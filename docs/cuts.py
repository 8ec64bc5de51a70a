"""Sections of files that tests run, shown in pages: the lines between `# -- start NAME --` and `# -- end NAME --`."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

_SECTION = re.compile(r"^ *# -- start (\w+) --\n(.*?)^ *# -- end \1 --$", re.MULTILINE | re.DOTALL)


def block(path: Path, code: str) -> str:
    """Code of a file as a block of Markdown."""
    return f"```{'yaml' if path.suffix == '.yaml' else 'python'}\n{code}```\n"


def without_marks(path: Path) -> str:
    """The whole text of a file without the lines that mark sections."""
    return re.sub(r"^ *# -- (?:start|end) \w+ --\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def sections(path: Path) -> list[tuple[str, str]]:
    """(name, code without its indentation) of the sections of a file, in order."""
    found = _SECTION.findall(path.read_text(encoding="utf-8"))
    return [(name, textwrap.dedent(code).strip("\n") + "\n") for name, code in found]
