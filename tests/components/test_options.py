"""A class whose options could not be written in a recipe and read back is refused when it is offered."""

import builtins
import re
import warnings
from functools import cached_property
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar
from uuid import uuid4

import pytest
import yaml
from pydantic import Field, ValidationError, computed_field, model_validator

from rexplug import Component, CorpusFilter, DataError, MaskingPolicy, PluginError, Ramp, SalienceScorer, Use, Verdict
from rexplug.components.options import RESERVED, option_problem
from rexplug.plugins.discovery import load_plugins
from rexplug.plugins.registry import Registry


def filter_with(**options):
    """A filter with the given options: name -> (type, default), or -> type for one that must be written."""
    annotations = {name: each[0] if isinstance(each, tuple) else each for name, each in options.items()}
    defaults = {name: each[1] for name, each in options.items() if isinstance(each, tuple)}
    body = {
        "__annotations__": annotations, "__module__": __name__, "name": "toy.filter",
        "judge": lambda self, document: Verdict(True), **defaults,
    }  # fmt: skip
    return type(CorpusFilter)("Filter", (CorpusFilter,), body)


class Numbers(SalienceScorer):
    """A scorer of numbers, which is never run."""

    name = "toy.numbers"

    def score(self, document):
        raise NotImplementedError


class Guided(MaskingPolicy):
    """Has a component as a default."""

    name = "toy.guided"

    scorer: Annotated[SalienceScorer, Use()] = Numbers()

    def choose(self, batch, progress, generator):
        return batch.maskable


class ByName(Guided):
    """Has a name where a component belongs."""

    scorer: Annotated[SalienceScorer, Use()] = "toy.numbers"


class Computed(CorpusFilter):
    """Has a computed field, which a dump would contain and a recipe must not."""

    name = "toy.computed"

    @computed_field
    @cached_property
    def total(self) -> int:
        return 3

    def judge(self, document):
        return Verdict(True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"words": (int, 5)},
        {"words": int, "units": (tuple[str, ...], ("mg", "ml"))},
        {"words": (int | None, None)},
        {"pattern": (re.Pattern[str], re.compile("a+"))},
        {"levels": (tuple[tuple[int, float], ...], ((2, 0.5),))},
        {"names": (dict[str, float], Field(default_factory=lambda: {"web": 1.0}))},
        {"from_": (str, Field("a", alias="from")), "words": int},
    ],
)
def test_what_can_be_written(options):
    assert option_problem(filter_with(**options)) is None


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"use": (str, "x")}, "whose option 'use' cannot be written in a recipe: there `use` names the component"),
        ({"what": (str, Field("x", alias="use"))},
         "whose option 'what' cannot be written in a recipe: there `use` names the component"),
        ({"words": (int, "five")},
         "whose option 'words' has the default 'five', which is not valid: Input should be a valid integer, unable to parse "
         "string as an integer"),
        ({"words": (int, "5")}, "whose option 'words' has the default '5', which is read back as 5"),
        ({"words": (Annotated[int, Field(ge=1)], 0)},
         "whose option 'words' has the default 0, which is not valid: Input should be greater than or equal to 1"),
        ({"words": (Annotated[int, Field(ge=1)], 0), "other": int},
         "whose option 'words' has the default 0, which is not valid: Input should be greater than or equal to 1"),
        ({"most": (float, float("inf"))},
         "whose option 'most' has the default inf, which is not valid: Input should be a finite number"),
        ({"pattern": (Any, re.compile("a+"))},
         "whose option 'pattern' has the default re.compile('a+'), which is read back as 'a+'"),
        ({"pattern": (re.Pattern[str], re.compile("a+", re.IGNORECASE)), "other": int},
         "whose option 'pattern' has the default re.compile('a+', re.IGNORECASE), which is read back as re.compile('a+')"),
        ({"units": (set[str], {"mg"})}, "whose option 'units' is a set, whose order changes from process to process; make it a tuple"),
        ({"units": (dict[str, frozenset[int]], {})},
         "whose option 'units' is a set, whose order changes from process to process; make it a tuple"),
        ({"token": (str, Field(default_factory=lambda: str(uuid4())))},
         "whose option 'token' has another default each time; a run would never find its own results again"),
        ({"word": (str, "\ud800")},
         "whose option 'word' has the default '\\ud800', which cannot be written in a recipe: 'utf-8' codec can't encode "
         "character '\\ud800' in position 10: surrogates not allowed"),
        ({"key": (str, Field("", exclude=True))},
         "whose option 'key' is excluded from what is written, so that neither recipe nor fingerprint would hold it"),
    ],
)  # fmt: skip
def test_what_cannot_be_written(options, problem):
    assert option_problem(filter_with(**options)) == problem


def test_an_option_does_not_hide_what_rexplug_calls():
    with pytest.warns(UserWarning, match="shadows an attribute"):
        hiding = filter_with(judge_batch=(int, 3))
    assert option_problem(hiding) == (
        "whose option 'judge_batch' hides CorpusFilter.judge_batch, which rexplug asks for; give it another name"
    )


def test_a_component_as_a_default():
    assert option_problem(Guided) is None
    assert option_problem(ByName) == (
        "whose option 'scorer' has the default 'toy.numbers', which cannot be written in a recipe: "
        "Error calling function `dump`: AttributeError: 'str' object has no attribute 'dump'"
    )


def test_a_computed_field_is_not_an_option():
    assert option_problem(Computed) == (
        "whose computed field 'total' would be printed as an option; make it a plain property"
    )


def test_unknown_options_are_forbidden_everywhere():
    lax = type(CorpusFilter)(
        "Lax", (CorpusFilter,),
        {"model_config": {"extra": "allow"}, "__module__": __name__, "judge": lambda self, document: Verdict(True)},
    )  # fmt: skip
    assert option_problem(lax) == (
        "which takes unknown options; leave `extra` out of its model_config, so that a typo is an error"
    )


def test_the_registry_refuses_such_a_class():
    with pytest.raises(PluginError) as caught:
        Registry().check("toy", "rexplug_corpus_filters", filter_with(use=(str, "x")))
    assert str(caught.value) == (
        "plugin 'toy', rexplug_corpus_filters() offers Filter, whose option 'use' cannot be written in a recipe: there `use` "
        "names the component"
    )


def test_every_installed_component_can_be_written_and_read_back():
    for entry in load_plugins().entries.values():
        assert option_problem(entry.component) is None, entry.component.name


def test_an_option_that_is_written_as_nothing_stays_nothing(tmp_path):
    """`url: null` means that no address is read; left out of what `show` prints it would mean the default."""
    from rexplug.recipe import dump_recipe, load_recipe

    path = tmp_path / "r.yaml"
    recipe = f"""
name: toy
sources: {{web: {{use: jsonl, paths: {tmp_path}, url: null}}}}
tokenizer: {{use: train}}
model: {{size: nano}}
loggers: [{{use: wandb, group: null}}]
phases:
  - {{name: one, tokens: 10k, context: 128, batch_tokens: 1024, learning_rate: {{peak: 8e-4}}, masking: random,
      mixing: {{use: annealing.constant, shares: {{web: 1}}}}}}
"""
    path.write_text(recipe)
    first = load_recipe(path)
    text = dump_recipe(first)
    assert yaml.safe_load(text)["sources"]["web"]["url"] is None
    assert "limit" not in yaml.safe_load(text)["sources"]["web"]
    path.write_text(text)
    assert load_recipe(path) == first


@pytest.mark.parametrize("name", RESERVED)
def test_what_rexplug_relies_on_is_left_as_it_is(name):
    overriding = type("Other", (filter_with(words=(int, 5)),), {"__module__": __name__, name: lambda self: None})
    assert option_problem(overriding) == (
        f"which defines '{name}'; this is rexplug's own, and plugins leave it as it is"
    )


class Strict(CorpusFilter):
    """Raises, when it is made, what an option says."""

    name = "toy.strict"

    raised: str = "none"
    """Name of an exception."""

    @model_validator(mode="after")
    def _right(self):
        if self.raised == "None":
            return None
        if self.raised != "none":
            raise {**vars(builtins), "DataError": DataError}[self.raised]("no lexicon")
        return self

    def judge(self, document):
        return Verdict(True)


class Filtered(Component):
    """Holds a filter."""

    judge: Annotated[CorpusFilter, Use()]


def made(kind):
    registry = load_plugins({"toy": SimpleNamespace(COMPONENTS=[Strict])}, installed=False)
    return Filtered.model_validate({"judge": {"use": "toy.strict", "raised": kind}}, context={"components": registry})


@pytest.mark.parametrize("kind", ["KeyError", "TypeError", "OSError", "MemoryError", "StopIteration", "SystemExit"])
def test_what_a_validator_raises_is_a_problem_of_its_place_with_the_component_and_the_line(kind):
    with pytest.raises(ValidationError) as caught:
        made(kind)
    (problem,) = caught.value.errors()
    assert problem["loc"] == ("judge",)
    text = "'no lexicon'" if kind == "KeyError" else "no lexicon"
    assert re.fullmatch(
        rf"toy\.strict raised {kind} when it was made from its options: {text} \({re.escape(__file__)}:\d+\)",
        problem["msg"],
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("DataError", "no lexicon"),
        ("ValueError", "Value error, no lexicon"),
        ("None", "a validator of toy.strict returned None; a validator of the whole class returns self"),
    ],
)
def test_what_a_validator_says_to_the_user(kind, text):
    with pytest.raises(ValidationError) as caught:
        made(kind)
    assert [problem["msg"] for problem in caught.value.errors()] == [text]


def test_ctrl_c_passes():
    with pytest.raises(KeyboardInterrupt):
        made("KeyboardInterrupt")


class Fails(CorpusFilter):
    """Cannot be made at all."""

    name = "toy.fails"

    words: tuple[str, ...] = ()
    """Words."""

    def model_post_init(self, context):
        raise OSError("no lexicon")

    def judge(self, document):
        return Verdict(True)


def test_a_class_that_raises_while_its_defaults_are_tried_does_not_load():
    registry = load_plugins({"toy": SimpleNamespace(COMPONENTS=[Fails])}, installed=False)
    assert [failure.reason for failure in registry.failures] == [
        "plugin 'toy', COMPONENTS offers Fails, whose options cannot be tried: OSError: no lexicon"
    ]


def test_a_validator_that_returns_nothing():
    class Forgets(CorpusFilter):
        words: tuple[str, ...] = ()

        @model_validator(mode="after")
        def _right(self):
            pass

        def judge(self, document):
            return Verdict(True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert option_problem(Forgets) == (
            "one of whose validators returned None; a validator of the whole class returns self"
        )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rate": (float, 0.3)}, "whose option 'rate' is of another type than MaskingPolicy.rate, which rexplug asks for; leave its type"),
        ({"rate": (Ramp, Ramp(start=0.4, end=0.4))}, None),
    ],
)  # fmt: skip
def test_an_option_of_the_base_class_keeps_its_type(options, problem):
    annotations = {name: kind for name, (kind, _) in options.items()}
    body = {
        "__annotations__": annotations, "__module__": __name__, "name": "toy.policy",
        "choose": lambda self, batch, progress, generator: batch.maskable,
        **{name: default for name, (_, default) in options.items()},
    }  # fmt: skip
    assert option_problem(type(MaskingPolicy)("Policy", (MaskingPolicy,), body)) == problem


@pytest.mark.parametrize("channels", ["salience", None, (3,)])
def test_channels_are_names(channels):
    body = {
        "__module__": __name__, "name": "toy.policy", "channels": channels,
        "__annotations__": {"channels": ClassVar[Any]},
        "choose": lambda self, batch, progress, generator: batch.maskable,
    }  # fmt: skip
    assert option_problem(type(MaskingPolicy)("Policy", (MaskingPolicy,), body)) == (
        f"whose `channels` is {channels!r}; expected a tuple of texts, such as ('salience',)"
    )
