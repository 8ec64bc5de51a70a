"""Randomly changed recipes: `check`, `show` and `plan` work or end with one message."""

import tempfile
from pathlib import Path

import pytest
from foreign.recipes.commands import COMMANDS, faults, prepare, run_command
from foreign.recipes.mutants import Mutant, mutant

from rexplug.recipe.strict_yaml import parse

FEW = range(24)
MORE = range(24, 324)
TOY = """
name: toy
sources: {{web: {{use: jsonl, paths: data/general}}}}
tokenizer: {{use: train, vocabulary: 1k}}
model: {{size: nano}}
phases:
  - {{name: one, tokens: 100k, context: 128, batch_tokens: 1024, masking: random,
      learning_rate: {{peak: 8e-4}}, mixing: {{use: annealing.constant, shares: {{web: 1}}}}{more}}}
"""


@pytest.fixture(scope="module")
def place():
    """A folder with the shipped recipes, and text for those that read local files."""
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        yield Path(name)


def wrong(seeds, place):
    problems = []
    for seed in seeds:
        changed = mutant(seed)
        for command in COMMANDS:
            problems += [
                f"{command} of seed {seed} ({changed.what}): {fault}"
                for fault in faults(command, run_command(command, changed, place), place)
            ]
    return problems


def test_changed_recipes(place):
    assert wrong(FEW, place) == []


@pytest.mark.slow
def test_more_changed_recipes(place):
    assert wrong(MORE, place) == []


def test_a_seed_makes_the_same_recipe():
    assert [mutant(seed) for seed in range(20)] == [mutant(seed) for seed in range(20)]
    assert len({mutant(seed) for seed in range(20)}) == 20


def answer(place, command, content, *overrides):
    content = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    given = run_command(command, Mutant(0, content, overrides, "by hand"), place)
    assert given.error is None, given.cause
    return given


# One example of each cause that once was a traceback.
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: x\x07y\n", "mutant.yaml:1: this is not YAML: the character U+0007 is not allowed; inside double quotes write it "
         "with a backslash"),
        ("a: 1\nb: " + "[" * 101 + "\n", "mutant.yaml:2: values are nested more than 100 levels deep"),
        ("a: " + "{a: " * 20_000, "mutant.yaml:1: values are nested more than 100 levels deep"),
        ("a: !!int x\n", "mutant.yaml:1: a: 'x' is not a whole number"),
        ("a: !!bool x\n", "mutant.yaml:1: a: 'x' is neither true nor false"),
        ("a: !!float x\n", "mutant.yaml:1: a: 'x' is not a number"),
        ("a: !!null x\n", "mutant.yaml:1: a: 'x' is not null"),
        ("a: !!timestamp x\n", "mutant.yaml:1: a: the tag 'tag:yaml.org,2002:timestamp' is not supported"),
        ("a: 1e400\n", "mutant.yaml:1: a: '1e400' is too large for a floating-point number"),
        ("a: " + "9" * 5000 + "\n", "mutant.yaml:1: a: a number of more than 100 digits"),
        ("a: 0x" + "f" * 5000 + "\n", "mutant.yaml:1: a: a number of more than 100 digits"),
        ('a: "\\ud800"\n', "mutant.yaml:1: a: text with a lone surrogate, which is not valid Unicode"),
        ('"\\ud800": 1\n', "mutant.yaml:1: the recipe: the key is text with a lone surrogate, which is not valid Unicode"),
        ('a: "\\U99999999"\n', "mutant.yaml:1: this is not YAML: a number that is too large"),
        ('extends: "a\\0b"\n', "mutant.yaml:1: extends: text with the character U+0000, which is not allowed"),
        (f"extends: {'x' * 500}\n", f"mutant.yaml:1: extends: {'x' * 500}: cannot be read: [Errno 36] File name too long: "
         f"'{'x' * 500}'"),
        ("extends: .\n", "mutant.yaml:1: extends: .: cannot be read: [Errno 21] Is a directory: '.'"),
        ("a: &a [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else '*a'] * 9)}]\n" for i in range(9)),
         "mutant.yaml:1: more than 20,000 values; an alias (*name) counts as all the values that it repeats"),
        ("a: [" + "1, " * 21_000 + "]\n", "mutant.yaml:1: more than 20,000 values"),
        ("a: " + "x" * 1_000_001, "mutant.yaml: too large for a recipe: more than 1,000,000 characters"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_a_recipe(place, text, message):
    given = answer(place, "check", text)
    assert given.code == 2
    assert given.message == message
    assert given.seconds < 10


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("phases.²=1", "override phases.²=1: unknown item phases.²; the items are one, or 0 to 0"),
        ("phases." + "9" * 5000 + "=1", "unknown item phases.999"),
        ("sources.\ud800.paths=1", "the path is text with a lone surrogate, which is not valid Unicode"),
        ("phases.0.optimizer.betas=[0.9, 0.98]\x00", "the character U+0000 is not allowed"),
        ("sources.web." + "a." * 5000 + "b=1", "a path of 5,003 keys; recipes are nested at most 100 levels deep"),
        ("phases.0.tokens.x=1", "phases.0.tokens: {'use': '100k', 'x': 1} is not an amount"),
        ("phases.0.context.x=1", "override phases.0.context.x=1: phases.0.context is 128, which has no keys"),
        ("description=\x1b[31m", "the character U+001B is not allowed"),
        ("tokenizer.from=" + "x" * 5000, "tokenizer: write either 'use: train'"),
    ],
)
def test_an_invalid_override(place, override, message):
    given = answer(place, "check", TOY.format(more=""), override)
    assert given.code == 2
    assert message in given.message
    assert len(given.message) < 4000
    assert all(line.isprintable() for line in given.message.splitlines())


def test_a_pair_of_surrogate_escapes_is_one_character():
    assert parse('a: "\\uD83D\\uDE00"', "r.yaml").value == {"a": "😀"}
