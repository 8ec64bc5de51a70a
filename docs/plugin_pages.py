"""The text of the pages on the plugin API: for each kind of component its class, examples, and the types of its methods."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from cuts import block, sections, without_marks
from plugin_api import SHARED, function_of, is_attribute, page_of, pages_of_kinds, public_names, signatures
from python_page import call, docstring, fields_of
from reference_pages import COMPONENT_PAGES, NOTE, anchor, first_line, one_line, option_table, options_of, table

from rexplug import testing
from rexplug.components import Component
from rexplug.documented import strings_under_fields
from rexplug.plugins import hookspecs
from rexplug.plugins.hookspecs import HOOKS
from rexplug.report.markdown import cell

IMPORTS = "[imports and the pattern that all examples share](../hooks.md#the-file-of-the-examples)"
PAGES_OF_KINDS = tuple(pages_of_kinds())
ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests/docs/legal.py"
"""A plugin with a component of every kind; a section has the name of the public class that it is an example of."""
TESTS = sorted((ROOT / "tests/docs").glob("test_plugin_*.py"))
"""Tests of its components, in sections `test_NAME`, and of types and functions, in sections with their names.

ruff formats the blocks in pages too: an expression that is wrapped only because of its indentation here would be joined there.
"""
OTHERS = {"Fields": "notices", "FineTuningTask": "loads_or_unloads"}
"""Public class -> the section of `tests/harbour_plugin.py` that is an example of it."""
RECIPE = ROOT / "tests/docs/legal.yaml"
"""The recipe with the plugin's components; sections as in the plugin."""


@cache
def examples() -> dict[str, list[str]]:
    """Name of a section -> its code as blocks, of all files of examples."""
    found: dict[str, list[str]] = {}
    for path in (PLUGIN, *TESTS, RECIPE):
        for name, code in sections(path):
            found.setdefault(name, []).append(block(path, code))
    harbour = ROOT / "tests/harbour_plugin.py"
    parts = dict(sections(harbour))
    return found | {name: [block(harbour, parts[section])] for name, section in OTHERS.items()}


def index_page() -> str:
    """The kinds of components with their hooks, and every public name for plugins with a link."""
    lines = [NOTE, "# Plugin API\n"]
    lines.append(
        "The classes that a plugin subclasses, the values that their methods receive and return, and functions that help. Each "
        "page begins with an example. [Your plugin](../guide/write-a-plugin.md) leads from the first file to a published "
        "package. All names are those of `rexplug`.\n"
    )
    rows = []
    for hook in HOOKS:
        page, _, place = COMPONENT_PAGES[hook.kind.__name__]
        rows.append((f"[`{hook.kind.__name__}`](plugin-api/{page}.md)", cell(first_line(hook.kind)), cell(place)))
    lines += table(("subclass", "what it does", "where a recipe names it"), rows)
    lines += ["## Types and functions\n"]
    rows = [
        (f"[`{name}`]({link(name, '')})", cell(meaning(name).split("\n\n")[0]))
        for name, thing in sorted(public_names().items(), key=lambda item: item[0].lower())
        if not _is_kind(thing)
    ]
    lines += table(("name", "meaning"), rows)
    lines += [
        "## The file of the examples\n",
        "The examples are parts of one plugin, a file `legal.py` that tests of rexplug run. It begins with:\n",
        *example("imports"),
        "and ends with the classes that it offers:\n",
        *example("COMPONENTS"),
        "A recipe that uses all of them, and trains a demo model in about a minute:\n",
        block(RECIPE, without_marks(RECIPE).partition("\n")[2]),
    ]
    lines += ["## Hooks\n", hookspecs.__doc__.partition("\n\n")[2] if hookspecs.__doc__ else ""]
    lines += table(("hook", "what it returns"), ((f"`{hook.name}`", cell(hook.description)) for hook in HOOKS))
    lines += example("hookimpl")
    return "\n".join(lines)


def kind_page(page: str) -> str:
    """A kind of component: example, methods, options, and the types that belong to it."""
    kind = pages_of_kinds()[page]
    name = kind.__name__
    hook = next(hook for hook in HOOKS if hook.kind is kind)
    lines = [NOTE, f"# {name}\n", docstring(kind) + "\n"]
    checks = (f"check_{kind.kind.replace(' ', '_')}", "check_plugin")
    kit = " and ".join(f"[`{check}`](../python-api.md#{check})" for check in checks if check in testing.__all__)
    lines.append(
        f"{COMPONENT_PAGES[name][2]} Hook: `{hook.name}`. Tests: {kit}. "
        f"[{COMPONENT_PAGES[name][1]} that ship with rexplug](../components/{page}.md).\n"
    )
    if name in examples():
        lines += ["## A complete example\n", f"It uses the {IMPORTS}.\n", *example(name)]
    lines += ["## Methods\n", *links_to_other_pages(kind, page), *methods(kind)]
    if attributes := list(attributes_of(kind)):
        lines += ["## Attributes\n", *table(("attribute", "type", "meaning"), attributes)]
    if options := options_of(kind):
        lines += [f"## Options of every {kind.kind}\n", *option_table(options)]
    for other in names_of(page):
        if other != name:
            lines += section(other, page)
    return "\n".join(lines)


def shared_page() -> str:
    """The names that belong to no kind of component, or to all."""
    lines = [NOTE, "# Shared types\n"]
    lines.append(
        "The base class of all components, types of options, errors, and functions that any component may use.\n"
    )
    for name in names_of(SHARED):
        lines += section(name, SHARED)
    return "\n".join(lines)


def names_of(page: str) -> list[str]:
    """The public names that a page describes: classes, exceptions, functions; each in the order of `page_of`."""
    names = [name for name, home in page_of().items() if home == page]
    return sorted(
        names, key=lambda name: (inspect.isfunction(public_names()[name]), is_exception(public_names()[name]))
    )


def is_exception(thing: Any) -> bool:
    """Whether it is a class of exceptions."""
    return inspect.isclass(thing) and issubclass(thing, BaseException)


def section(name: str, page: str) -> list[str]:
    """A type or function: meaning, where it appears, fields, methods, example."""
    thing = public_names()[name]
    lines = [f"## {name}\n"]
    if inspect.isfunction(thing):
        lines.append(f"```python\n{call(f'rexplug.{name}', thing)}\n```\n")
    lines.append(meaning(name).rstrip() + "\n")
    if places := usages(name, page):
        lines.append(places + "\n")
    if inspect.isclass(thing):
        rows = [
            (
                f"`{field.name}`", f"`{cell(field.type)}`", "required" if field.default is None else f"`{cell(field.default)}`",
                cell(field.meaning),
            )
            for field in fields_of(thing)
            if not issubclass(thing, Component) or field.name in vars(thing).get("__annotations__", {})
        ]  # fmt: skip
        if rows:
            lines += table(("field", "type", "default", "meaning"), rows)
        if attributes := list(attributes_of(thing)):
            lines += table(("attribute", "type", "meaning"), attributes)
        lines += methods(thing)
    if name in examples():
        lines += ["For example:\n", *example(name)]
    return lines


def example(name: str) -> Iterator[str]:
    """The code of an example, its lines in a recipe, and its test."""
    for part in examples()[name]:
        if part.startswith("```yaml"):
            yield "In a recipe:\n"
        yield part
    if tests := examples().get(f"test_{name}"):
        yield "In a test:\n"
        yield from tests


def meaning(name: str) -> str:
    """The docstring of a public name, or the string under its assignment."""
    thing = public_names()[name]
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return docstring(thing)
    for module in _modules():
        source = inspect.getsource(module)
        body = ast.parse(source).body if name in source else []
        for assignment, text in pairwise(body):
            if (
                isinstance(assignment, ast.Assign)
                and ast.unparse(assignment.targets[0]) == name
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                value = ast.unparse(assignment.value)
                written = f"\n\n`{name} = {value}`" if value.startswith("Literal") else ""
                return inspect.cleandoc(str(text.value.value)) + written
    return ""


def _modules() -> list[Any]:
    """The modules of rexplug that are loaded once every public name is."""
    assert public_names()
    importlib.import_module("rexplug.components")
    return [module for name, module in sorted(sys.modules.items()) if name.startswith("rexplug.") and module.__file__]


def usages(name: str, page: str) -> str:
    """Which methods take a type or return it, and which fields hold it, with links."""
    found: dict[str, list[str]] = {"Argument of": [], "Returned by": [], "Held by": []}
    for other, thing in public_names().items():
        if other == name:
            continue
        for signature in signatures(thing):
            for role, names in zip(found, (signature.takes, signature.returns, signature.holds), strict=True):
                if name in names:
                    shown = f"{other}.{signature.member}" if signature.member else other
                    target = link(other, page, "" if role == "Held by" else signature.member)
                    found[role].append(f"[`{shown}`]({target})")
    parts = [f"{role} {', '.join(links)}" for role, links in found.items() if links]
    return f"{'. '.join(parts)}." if parts else ""


def link(name: str, page: str, member: str = "") -> str:
    """The address of a name, or of a method of it, from a page of `reference/plugin-api`, or from `reference` if empty."""
    home = page_of()[name]
    place = anchor(f"{name}.{member}") if member else "" if _is_kind(public_names()[name]) else anchor(name)
    if home == page and place:
        return f"#{place}"
    return f"{'' if page else 'plugin-api/'}{home}.md{'#' if place else ''}{place}"


def _is_kind(thing: Any) -> bool:
    return thing in pages_of_kinds().values()


def links_to_other_pages(kind: type[Component], page: str) -> Iterator[str]:
    """A line with links to the types in the signatures of a kind that other pages describe."""
    names = {name for signature in signatures(kind) for name in signature.takes | signature.returns}
    links = [f"[`{name}`]({link(name, page)})" for name in sorted(names) if page_of()[name] != page]
    if links:
        yield f"Types that other pages describe: {', '.join(links)}.\n"


def methods(thing: type) -> Iterator[str]:
    """Signature and documentation of the public methods that a class defines itself."""
    for name, member in list(vars(thing).items()):
        function = function_of(member)
        if name.startswith("_") or function is None or is_attribute(member):
            continue
        need = "Optional. " if _is_kind(thing) else ""
        if getattr(function, "__isabstractmethod__", False):
            need = "**Required.** "
        yield f"### {thing.__name__}.{name}\n"
        yield f"```python\n{call(name, function)}\n```\n"
        yield f"{need}{docstring(function)}".rstrip() + "\n"


def attributes_of(thing: type) -> Iterator[tuple[str, str, str]]:
    """Class variables with documentation, and properties, of a class itself: name, type, meaning."""
    docs = strings_under_fields(thing)
    for name, annotation in vars(thing).get("__annotations__", {}).items():
        if "ClassVar" in str(annotation) and name in docs:
            kind = str(annotation).removeprefix("ClassVar[").removesuffix("]")
            yield f"`{name}`", f"`{cell(kind)}`", cell(f"{one_line(docs[name])} A class variable.")
    for name, member in list(vars(thing).items()):
        function = function_of(member)
        if not name.startswith("_") and function is not None and is_attribute(member):
            returns = inspect.signature(function).return_annotation
            yield f"`{name}`", f"`{cell(returns)}`", cell(one_line(function))
