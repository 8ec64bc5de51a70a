"""Strict YAML: scalars of YAML 1.2, a line for every value, no duplicate keys."""

import pytest

from rexplug.errors import RecipeError
from rexplug.recipe.strict_yaml import parse, parse_file


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("8e-4", 8e-4),
        ("1e9", 1e9),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", float("inf")),
        ("8192", 8192),
        ("-3", -3),
        ("0", 0),
        ("1_000", 1000),
        ("0x10", 16),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        # Text, which PyYAML would make something else of.
        ("012", "012"),
        ("12:30", "12:30"),
        ("no", "no"),
        ("on", "on"),
        ("2024-01-01", "2024-01-01"),
        ("350B", "350B"),
        ("'8e-4'", "8e-4"),
        ("'~'", "~"),
    ],
)
def test_scalars(written, value):
    read = parse(f"key: {written}", "r.yaml").value["key"]
    assert read == value
    assert type(read) is type(value)


def test_every_key_and_item_has_its_line():
    source = parse("a:\n  b: [1,\n    {c: 2}]\nd: 3\n", "r.yaml")
    assert source.lines == {
        ("a",): "r.yaml:1",
        ("a", "b"): "r.yaml:2",
        ("a", "b", 0): "r.yaml:2",
        ("a", "b", 1): "r.yaml:3",
        ("a", "b", 1, "c"): "r.yaml:3",
        ("d",): "r.yaml:4",
    }


def test_what_is_not_in_the_file_is_placed_by_its_nearest_part():
    source = parse("a:\n  b: 1\n", "r.yaml")
    assert source.where(("a", "b", "c", 0)) == "r.yaml:2"
    assert source.where(("a", "x")) == "r.yaml:1"
    assert source.where(("x",)) is None


def test_aliases_repeat_a_value():
    assert parse("a: &x {k: [1]}\nb: *x\n", "r.yaml").value == {"a": {"k": [1]}, "b": {"k": [1]}}


def test_an_empty_text_has_no_value():
    assert parse("# nothing\n", "r.yaml").value is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "r.yaml:3: a: the key is written twice"),
        ("a:\n  - {b: 1, b: 2}\n", "r.yaml:2: a.0.b: the key is written twice"),
        ("a: 1\na: 2\nb: 1\nb: 2\n", "r.yaml:2: a: the key is written twice\nr.yaml:4: b: the key is written twice"),
        ("? [1]\n: 2\n", "r.yaml:1: the recipe: a key must be plain text"),
        ("a:\n  ? {b: 1}\n  : 2\n", "r.yaml:2: a: a key must be plain text"),
        ("a: [\n", "r.yaml:2: this is not YAML: expected the node content, but found '<stream end>'"),
        ("a: 1\n b: 2\n", "r.yaml:2: this is not YAML: mapping values are not allowed here"),
        ("a: *b\n", "r.yaml:1: this is not YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2: this is not YAML: but found another document"),
        ("a: !secret 3\n", "r.yaml:1: a: the tag '!secret' is not supported"),
        (
            "a: !!python/object/apply:os.getcwd []\n",
            "r.yaml:1: a: the tag 'tag:yaml.org,2002:python/object/apply:os.getcwd' is not supported",
        ),
        (
            "a: &x [*x]\n",
            "r.yaml:1: an alias is inside the value that it repeats, or values are nested more than 100 levels deep",
        ),
    ],
)
def test_refused_values(text, message):
    with pytest.raises(RecipeError) as caught:
        parse(text, "r.yaml")
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["- 1\n", "", "just text\n"])
def test_a_recipe_is_a_mapping(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        parse_file(path)
    assert str(caught.value) == f"{path}: a recipe is a mapping of keys like name, sources and phases"


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RecipeError, match="cannot be read: 'utf-8' codec can't decode"):
        parse_file(path)


def test_a_folder_is_not_a_recipe(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read: .*Is a directory"):
        parse_file(tmp_path)
