"""Versions, entry points, extras and pins agree."""

import re
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from packaging.version import Version

from rexplug import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_package_has_the_version_of_its_metadata():
    assert __version__ == version("rexplug")


def test_the_changelog_begins_with_the_next_release_or_this_one():
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert Version(first) >= Version(__version__), f"begin a section in CHANGELOG.md for what follows {__version__}"
    assert PROJECT["tool"]["hatch"]["version"]["fallback-version"] == f"{first}.dev0"


def test_entry_points_are_packaged_and_import():
    packaged = {Path(path).name for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]}
    for module in PROJECT["project"]["entry-points"]["rexplug"].values():
        assert import_module(module)
        assert module.split(".")[0] in packaged


def test_every_dependency_of_a_developer_is_pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line.strip() and not line.startswith("#")]
    for pin in pins:
        assert re.fullmatch(r"[\w.-]+==[\w.+!-]+", pin), f"'{pin}' is not a plain pin"
    extras = PROJECT["project"]["optional-dependencies"]
    required = [*PROJECT["project"]["dependencies"], *extras["test"], *extras["dev"], *extras["docs"]]
    names = {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in required} - {"rexplug"}
    assert names <= {normal(pin.split("==")[0]) for pin in pins}


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution.lower())
