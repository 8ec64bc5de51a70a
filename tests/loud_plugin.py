"""An installed plugin that writes to standard output in every way: what it writes must not reach the results of a command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_MODULE = '''
import os
import subprocess
import sys

import rexplug
from pydantic import field_validator


def shout(when):
    print(f"print {when}")
    os.write(1, f"descriptor {when}\\n".encode())
    subprocess.run([sys.executable, "-S", "-c", f"print('process {when}')"], check=True)


shout("at import")


class Words(rexplug.CorpusFilter):
    """Keep every text, loudly."""

    name = "loud.words"

    least: int = 1
    """Fewest words."""

    @field_validator("least")
    @classmethod
    def _shout(cls, value):
        shout("in a call")
        return value

    def judge(self, document):
        return rexplug.Verdict(True)


COMPONENTS = [Words]
'''


def install(folder: Path) -> None:
    """Put the distribution of the plugin `loud` into a folder, as pip would."""
    info = folder / "rexplug_loud-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rexplug-loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rexplug]\nloud = rexplug_loud\n")
    (folder / "rexplug_loud.py").write_text(_MODULE)


def rexplug(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that finds the plugin installed in `folder`."""
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "rexplug", *map(str, arguments)], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
