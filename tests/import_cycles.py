"""Finds import cycles in source trees: imports at the top of modules, in functions and under TYPE_CHECKING.

`python tests/import_cycles.py` prints those of this repository.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).parents[1]
PACKAGES = (
    _ROOT / "rexplug",
    *(_ROOT / "plugins" / f"rexplug_{name}" for name in ("annealing", "ecommerce", "guided_mlm")),
    _ROOT / "plugins" / "rexplug_example" / "src" / "rexplug_example",
    *sorted((_ROOT / "verticals").glob("*/src/rexplug_*")),
)
"""The packages of this repository."""
KINDS = ("top", "type_checking", "function")
"""Kind of an import: runs when the module is loaded, is read by type checkers alone, or runs in a function."""


class Import(NamedTuple):
    """`importer` imports `imported` on a line."""

    importer: str
    imported: str
    kind: str
    line: int


def modules_of(roots: Sequence[Path]) -> dict[str, Path]:
    """Module name -> file, of the packages at `roots`."""
    modules = {}
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            parts = [root.name, *path.relative_to(root).with_suffix("").parts]
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(modules: Mapping[str, Path]) -> list[Import]:
    """All imports of modules among each other.

    The edge goes to the module that is named: `from a.b import c` to `a.b.c` where that is a module, else to `a.b`.
    That importing `a.b.c` also runs `a/__init__.py` is not counted.
    """
    found: list[Import] = []
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node, kind in _import_nodes(ast.parse(path.read_text(encoding="utf-8")), "top"):
            for target in _targets(node, package, modules):
                if target != name:
                    found.append(Import(name, target, kind, node.lineno))
    return found


def cycles(imports: Sequence[Import]) -> list[tuple[str, ...]]:
    """Groups of modules of which every one imports every other, directly or not, sorted."""
    edges: dict[str, set[str]] = {}
    for found_import in imports:
        edges.setdefault(found_import.importer, set()).add(found_import.imported)
        edges.setdefault(found_import.imported, set())
    return sorted(tuple(sorted(group)) for group in _strongly_connected(edges) if len(group) > 1)


def _import_nodes(node: ast.AST, kind: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, kind
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield from _import_nodes(ast.Module([part], []), "type_checking")
            for part in child.orelse:
                yield from _import_nodes(ast.Module([part], []), kind)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _import_nodes(child, "function")
        else:
            yield from _import_nodes(child, kind)


def _targets(node: ast.Import | ast.ImportFrom, package: str, modules: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules)
        return
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
    for alias in node.names:
        if f"{base}.{alias.name}" in modules:
            yield f"{base}.{alias.name}"
        elif base in modules:
            yield base


def _strongly_connected(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of a graph, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in index:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], index[other])
        if lowest[node] == index[node]:
            start = stack.index(node)
            groups.append(stack[start:])
            del stack[start:]

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return groups


def main() -> int:
    """Print the cycles of this repository, by the kinds of imports that are counted; 1 if there are any."""
    imports = imports_of(modules_of(PACKAGES))
    for kinds in (("top",), ("top", "type_checking"), ("top", "function"), KINDS):
        groups = cycles([found_import for found_import in imports if found_import.kind in kinds])
        sys.stdout.write(f"{' + '.join(kinds)}: {len(groups)} cycles of {sum(map(len, groups))} modules\n")
    sys.stdout.writelines(f"  {', '.join(group)}\n" for group in groups)
    return int(bool(groups))


if __name__ == "__main__":
    sys.exit(main())
