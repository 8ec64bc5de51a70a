"""datatrove's own classes as their source declares them: names, options and defaults, read without importing them.

An import takes a third of a second, and every command lists components.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Optional, Union

from pydantic import Field


@dataclass(frozen=True)
class Block:
    """A class of datatrove: its `module`, its own name there, the `name` under which users know it."""

    module: str
    theirs: str
    name: str
    node: ast.ClassDef

    @property
    def doc(self) -> str:
        """The first line of its docstring."""
        lines = (ast.get_docstring(self.node) or "").strip().splitlines()
        return lines[0].strip().rstrip(".:") if lines else ""

    def options(self, left_out: Collection[str]) -> dict[str, Any]:
        """Pydantic fields for the arguments of `__init__`, those `left_out` aside."""
        fields: dict[str, Any] = {}
        for argument, default in self._arguments():
            if argument.arg in left_out:
                continue
            annotation = ast.unparse(argument.annotation) if argument.annotation else "any value"
            kind = _plain(argument.annotation, default) or _literal(argument.annotation)
            if kind is None:
                kind = Any if default is _REQUIRED else _kind(default)
            said = f"As datatrove has it ({annotation})."
            fields[argument.arg] = (kind, Field(... if default is _REQUIRED else default, description=said))
        return fields

    def _arguments(self) -> Iterator[tuple[ast.arg, Any]]:
        for function in self.node.body:
            if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                arguments = function.args.args
                defaults: list[ast.expr | None] = [None] * (len(arguments) - len(function.args.defaults))
                for argument, default in zip(arguments, [*defaults, *function.args.defaults], strict=True):
                    yield argument, _REQUIRED if default is None else _value(default)


_REQUIRED = object()
_TYPES: dict[str, Any] = {"str": str, "int": int | float, "float": float, "bool": bool, "dict": dict[str, Any]}


@cache
def blocks(folder: str, ending: str) -> tuple[Block, ...]:
    """The classes below `datatrove.pipeline.<folder>` whose names have this ending; empty without datatrove."""
    spec = find_spec("datatrove")
    if spec is None or spec.origin is None:
        return ()
    found = []
    for path in sorted((Path(spec.origin).parent / "pipeline" / folder).glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        # `CSVReader = CsvReader`: the package exports the second name alone.
        exported = {
            node.value.id: target.id
            for node in body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in body:
            if isinstance(node, ast.ClassDef) and node.name.endswith(ending):
                name = exported.get(node.name, node.name)
                found.append(Block(f"datatrove.pipeline.{folder}.{path.stem}", node.name, name, node))
    return tuple(found)


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None  # a constant of datatrove, such as the language; its own default applies


def _plain(annotation: ast.expr | None, default: Any) -> Any:
    """`str | None` and the like as a type; None if the annotation holds anything else."""
    if annotation is None or isinstance(annotation, ast.Constant):
        return None
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name):
            if node.id not in _TYPES:
                return None
        elif not isinstance(node, ast.BinOp | ast.BitOr | ast.Load) and not (
            isinstance(node, ast.Constant) and node.value is None
        ):
            return None
    names = [name.strip() for name in ast.unparse(annotation).split("|")]
    kinds = [_TYPES.get(name, type(None)) for name in names] + ([type(None)] if default is None else [])
    return Union[tuple(kinds)]  # noqa: UP007  # a type made of a list


def _literal(annotation: ast.expr | None) -> Any:
    """`Literal["infer", "gzip"] | None` as a type; None if the annotation holds no Literal."""
    for node in ast.walk(annotation) if annotation is not None else ():
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
            try:
                values = ast.literal_eval(node.slice)
            except ValueError:
                return None
            return Optional[Literal[values]]  # noqa: UP045  # a type made of values
    return None


def _kind(default: Any) -> Any:
    if isinstance(default, bool):
        return bool
    if isinstance(default, int | float):
        return int | float | None
    if isinstance(default, str):
        return str | tuple[str, ...] | None
    return Any
