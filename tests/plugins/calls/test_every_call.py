"""No part of rexplug calls a component's methods itself: `rexplug.plugins.calls` does, and names the plugin that fails."""

import ast
from inspect import isfunction
from pathlib import Path

import rexplug
from rexplug.components.options import RESERVED

KINDS = (
    rexplug.Component, rexplug.DocumentSource, rexplug.CorpusFilter, rexplug.Labeller, rexplug.MixingSchedule,
    rexplug.MaskingPolicy, rexplug.SalienceScorer, rexplug.Evaluator,
)  # fmt: skip
BASES = tuple(kind.__name__ for kind in KINDS)
ROOT = Path(rexplug.__file__).parent
CALLERS = ("plugins/calls/", "components/", "contracts/")
"""The package with the calls; base classes, whose methods call each other; checks of a plugin's tests, which show what a method
raises."""
AMBIGUOUS = {
    "budget",
    "check",
    "choose",
    "documents",
    "evaluate",
    "fit",
    "inputs",
    "judge",
    "label",
    "num_shards",
    "score",
    "synthetic",
    "weights",
}
"""Names that other classes use too; they are looked for on variables and attributes with the name of a component."""
COMPONENTS = {
    "component", "corpus_filter", "evaluator", "item_filter", "labeller", "labels", "masking", "mixing", "policy", "schedule",
    "scorer", "source",
}  # fmt: skip


def contract():
    """The names of methods and properties that plugins override and rexplug calls."""
    members = {
        name
        for kind in KINDS
        for name, member in vars(kind).items()
        if not name.startswith("_") and (isfunction(member) or isinstance(member, property))
    }
    return members - set(RESERVED)


def called(path):
    """(line, name) of every attribute of a component that a file reads."""
    names = contract()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in names:
            receiver = ast.unparse(node.value).rpartition(".")[2]
            if receiver in COMPONENTS or (node.attr not in AMBIGUOUS and receiver not in ("self", "super()", *BASES)):
                yield node.lineno, ast.unparse(node)


def test_methods_of_components_are_called_in_one_package():
    found = [
        f"{path.relative_to(ROOT).as_posix()}:{line}: {text}"
        for path in sorted(ROOT.rglob("*.py"))
        if not path.relative_to(ROOT).as_posix().startswith(CALLERS)
        for line, text in called(path)
    ]
    assert found == []


def test_every_method_and_property_of_a_component_is_called_there():
    """The names of the contract are those that a test of `test_cases` calls; the default of one calls the others."""
    callers = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "plugins/calls").glob("*.py"))
    assert [name for name in sorted(contract()) if f".{name}(" not in callers and f'"{name}"' not in callers] == []


def test_the_scan_finds_a_call(tmp_path):
    file = tmp_path / "code.py"
    file.write_text("phase.mixing.weights(0.0)\nself.weights\nmodel.weights\nx.hub_names()\nself.hub_names()\n")
    assert list(called(file)) == [(1, "phase.mixing.weights"), (4, "x.hub_names")]
