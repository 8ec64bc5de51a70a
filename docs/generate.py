"""Write the generated pages of the documentation; `--check` names those that are out of date instead of writing.

Pages under `reference/` are generated from the code: recipe keys, commands, plugin API, components and Python API.
README and the other pages may contain code of a file that tests run, between `<!-- cut: FILE NAME -->` and `<!-- end -->`; in
that file the code is between `# -- start NAME --` and `# -- end NAME --`. The layers in `architecture.md` come from the
import contract, the table in `reference/plugins.md` from the folders of the plugins.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

import plugin_pages
import reference_pages as reference
from cuts import block, sections
from python_page import python_page

from rexplug.plugins.hookspecs import KINDS

DOCS = Path(__file__).parent
ROOT = DOCS.parent

PAGES: dict[str, Callable[[], str]] = {
    "reference/recipe.md": reference.recipe_page,
    "reference/hooks.md": plugin_pages.index_page,
    **{
        f"reference/plugin-api/{page}.md": partial(plugin_pages.kind_page, page) for page in plugin_pages.PAGES_OF_KINDS
    },
    "reference/plugin-api/shared.md": plugin_pages.shared_page,
    "reference/cli.md": reference.cli_page,
    "reference/python-api.md": python_page,
    "reference/components/index.md": reference.components_index,
    **{
        f"reference/components/{reference.COMPONENT_PAGES[kind.__name__][0]}.md": partial(
            reference.components_page, kind
        )
        for kind in KINDS.values()
    },
}


def with_cuts(text: str) -> str:
    """A page with every cut as it is in the file that it comes from, and with the layers."""
    pattern = re.compile(r"(<!-- cut: (\S+) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    text = pattern.sub(lambda m: f"{m[1]}{block(ROOT / m[2], cut(ROOT / m[2], m[3]))}{m[4]}", text)
    for mark, content in (("layers", layers), ("plugins", plugins)):
        before, found, rest = text.partition(f"<!-- {mark} -->\n")
        if found:
            text = f"{before}{found}{content()}<!-- end -->{rest.partition('<!-- end -->')[2]}"
    return text


def plugins() -> str:
    """A table of the plugins in this repository: those of rexplug's own distribution, and those with one of their own."""
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]["rexplug"]
    rows = [
        [f"`{name}`", "`rexplug`", reference.one_line(import_module(module)).partition(". ")[0].rstrip(".")]
        for name, module in own.items()
    ]
    for file in sorted(file for folder in ("plugins", "verticals") for file in ROOT.glob(f"{folder}/*/pyproject.toml")):
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        for name in project["entry-points"]["rexplug"]:
            rows.append(
                [f"`{name}`", f"`{file.parent.relative_to(ROOT).as_posix()}`", project["description"].rstrip(".")]
            )
    return "\n".join(reference.table(["plugin", "comes with", "for"], rows))


def layers() -> str:
    """The layers of the import contract, high to low."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    names = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    return f"`{' > '.join(layer.strip('()') for layer in names)}`\n"


def cut(path: Path, name: str) -> str:
    """The code of the section `name` of a file."""
    parts = [code for section, code in sections(path) if section == name]
    if len(parts) != 1:
        sys.exit(f"{path.relative_to(ROOT)} has {len(parts)} sections named '{name}'; a cut needs exactly one")
    return parts[0]


def pages() -> Iterator[tuple[Path, str]]:
    """Every page that is generated or has cuts, with the text that it should have."""
    for name, make in PAGES.items():
        yield DOCS / name, make().rstrip() + "\n"
    for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        if "<!-- end -->" in text:
            yield path, with_cuts(text)


def main() -> int:
    """Write the pages, or with `--check` compare them."""
    stale = []
    for path, text in pages():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in sys.argv[1:]:
            stale.append(path.relative_to(ROOT).as_posix())
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run python docs/generate.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
