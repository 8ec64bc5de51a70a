"""Writes the files of a new plugin from templates."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rexplug.contracts.samples import domain_documents, general_documents
from rexplug.errors import RexplugError
from rexplug.io.atomic import replacing, write_text
from rexplug.plugins.files import PLUGIN_NAME
from rexplug.version import __version__

KINDS = ("source", "filter", "labeller", "mixing", "masking", "scorer", "evaluator")
"""The kinds of components that can be written."""
_TAKEN = ("core", "rexplug")
_FILES = {
    "pyproject.toml": "pyproject.toml.j2",
    "README.md": "README.md.j2",
    ".gitignore": "gitignore.j2",
    ".github/workflows/tests.yml": "tests.yml.j2",
    ".github/workflows/release.yml": "release.yml.j2",
    "src/{module}/__init__.py": "module.py.j2",
    "src/{module}/recipe.yaml": "recipe.yaml.j2",
    "tests/test_{name}.py": "test_plugin.py.j2",
}


def write_plugin(name: str, folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Write the distribution of a plugin into a new folder.

    Args:
        name: the plugin's name, with which the names of its components begin.
        folder: must not exist, or be empty.
        kinds: which components to write, of `KINDS`.

    Returns:
        The files, in order.

    Raises:
        RexplugError: the name or a kind is not possible, or the folder is not empty.
    """
    if not PLUGIN_NAME.fullmatch(name) or name in _TAKEN:
        raise RexplugError(
            f"'{name}' cannot be the name of a plugin: lower-case letters, digits and underscores, a letter first, and not "
            f"{' or '.join(_TAKEN)}"
        )
    for kind in kinds:
        if kind not in KINDS:
            close = difflib.get_close_matches(kind, KINDS, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise RexplugError(f"no kind of component is called '{kind}'{hint} (the kinds are {', '.join(KINDS)})")
    if not kinds:
        raise RexplugError(f"a plugin has at least one component; the kinds are {', '.join(KINDS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RexplugError(f"{folder} exists already; give another folder with --out")
    module = f"rexplug_{name}"
    values: dict[str, Any] = {
        "name": name,
        "module": module,
        "title": name.replace("_", " "),
        "kinds": [kind for kind in KINDS if kind in kinds],
        # A development version such as 0.1.dev5 does not satisfy >=0.1.
        "version": ".".join(__version__.split(".")[:2]) + (".dev0" if "dev" in __version__ else ""),
    }
    files = {path.format(**values): _filled(template, values) for path, template in _FILES.items()}
    samples = {"general": general_documents(), name: domain_documents()}
    if "evaluator" in kinds:
        samples["test"] = domain_documents(first=1000, count=60)
    for source, documents in samples.items():
        files[f"src/{module}/samples/{source}.jsonl"] = "".join(json.dumps(document) + "\n" for document in documents)
    with replacing(folder) as new:
        for path, text in files.items():
            write_text(new / path, text)
    return [folder / path for path in files]


def _filled(template: str, values: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rexplug.new_plugin"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,  # no markup: Python, YAML, TOML and Markdown
    )  # fmt: skip
    return environment.get_template(template).render(values)
