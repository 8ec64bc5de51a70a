"""All problems of a recipe are reported at once, each with its line."""

import pytest

from rexplug import MixingSchedule, PluginError


@pytest.mark.parametrize(
    ("right", "wrong", "problems"),
    [
        ("name: toy", "nmae: toy", ["r.yaml: name: is missing", "r.yaml:1: nmae: unknown key; did you mean 'name'?"]),
        ("name: toy", "name: 3", ["r.yaml:1: name: Input should be a valid string"]),
        ("min_words: 9", "min_wrods: 9",
         ["r.yaml:3: sources.web.filters.1.min_wrods: unknown key; did you mean 'min_words'?"]),
        ("min_words: 9", "zzz: 9",
         ["r.yaml:3: sources.web.filters.1.zzz: unknown key; the keys are use, min_words"]),
        ("[toy.long,", "[toy.lnog,",
         ["r.yaml:3: sources.web.filters.0: no CorpusFilter is called 'toy.lnog'; did you mean 'toy.long'? "
          "(installed: toy.long)"]),
        ("[toy.long,", "[toy.shares,",
         ["r.yaml:3: sources.web.filters.0: no CorpusFilter is called 'toy.shares' ('toy.shares' is a mixing schedule) "
          "(installed: toy.long)"]),
        ("{use: pages,", "{usw: pages,",
         ["r.yaml:3: sources.web: a document source is written as its name, or as a mapping with the name under 'use'"]),
        ("web: {use", "Web: {use", ["r.yaml:3: sources.Web: String should match pattern '^[a-z][a-z0-9_-]*$'"]),
        ("{use: train, vocabulary: 1k}", "train", ["r.yaml:4: tokenizer: write a mapping; its keys are use, vocabulary, sample, from"]),
        ("{use: train, vocabulary: 1k}", "{use: train, from: x}",
         ["r.yaml:4: tokenizer: write either 'use: train' (with a vocabulary) or 'from: FOLDER or hub name'"]),
        ("{use: train, vocabulary: 1k}", "{from: x, vocabulary: 1k}",
         ["r.yaml:4: tokenizer: 'vocabulary' goes with 'use: train'; it has no effect with 'from'"]),
        ("{size: nano}", "{}",
         ["r.yaml:5: model: write either 'size' (train from scratch) or 'from' (continue from a checkpoint)"]),
        ("context: 128", "context: 2048", ["r.yaml:7: phases.0: batch_tokens (1024) is less than a microbatch (2048)"]),
        ("peak: 8e-4", "peak: 8e-4, warmup: 20k",
         ["r.yaml:7: phases.0: learning_rate.warmup and decay need 20000 tokens, but the phase has 10000"]),
        ("peak: 8e-4", "peak: 8e-4, final: 0.1, schedule: constant",
         ["r.yaml:11: phases.0.learning_rate: 'final' has no effect: this learning rate does not fall"]),
        ("name: two", "name: one", ["r.yaml: two phases are called 'one'"]),
        ("name: two", "name: one-1024",
         ["r.yaml: a phase cannot be called 'one-1024' beside 'one': a run keeps evaluations on the way through 'one' under such "
          "names"]),
        ("scorer: toy.numbers", "scorer: plain",
         ["r.yaml:20: phases.1.masking.scorer: no SalienceScorer is called 'plain' ('plain' is a masking policy) "
          "(installed: toy.numbers)"]),
        ("scorer: toy.numbers", "scorer: {use: toy.numbers, strenght: 3}",
         ["r.yaml:20: phases.1.masking.scorer.strenght: unknown key; did you mean 'strength'?"]),
    ],
)  # fmt: skip
def test_one_mistake(complaint, toy, right, wrong, problems):
    text = complaint(toy.replace(right, wrong, 1))
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    assert sorted(text.splitlines()[1:]) == sorted(f"  {problem}" for problem in problems)
    assert text.splitlines()[0] == f"r.yaml has {count}:"


def test_an_empty_recipe_lists_the_required_keys(complaint):
    assert complaint("{}\n") == (
        "r.yaml has 5 problems:\n"
        "  r.yaml: name: is missing\n"
        "  r.yaml: sources: is missing\n"
        "  r.yaml: tokenizer: is missing\n"
        "  r.yaml: model: is missing\n"
        "  r.yaml: phases: is missing"
    )


def test_empty_lists_and_mappings(complaint, toy):
    head = toy[: toy.index("phases:")]
    assert complaint(head + "phases: []\n") == "r.yaml has 1 problem:\n  r.yaml:6: phases: is empty"


def test_an_evaluator_is_listed_once(complaint, toy):
    assert complaint(toy + "evaluators: [toy.count, {use: toy.count, words: [a]}]\n") == (
        "r.yaml has 1 problem:\n  r.yaml: 'toy.count' is listed twice"
    )


def test_an_evaluator_without_a_name(complaint, toy):
    assert complaint(toy + "evaluators: [3]\n") == (
        "r.yaml has 1 problem:\n"
        "  r.yaml:21: evaluators.0: an evaluator is written as its name, or as a mapping with the name under 'use'"
    )


def test_what_did_not_load_is_cited(tmp_path, monkeypatch, toy):
    from pathlib import Path
    from types import SimpleNamespace

    from rexplug.errors import RecipeError
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import load_recipe

    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text("name: toy\nsources: {web: {use: pharma.pages}}\n")
    registry = load_plugins({"pharma": SimpleNamespace()}, installed=False)
    with pytest.raises(RecipeError) as caught:
        load_recipe(Path("r.yaml"), (), registry)
    assert str(caught.value).splitlines()[1] == (
        "  r.yaml:2: sources.web: no DocumentSource is called 'pharma.pages' (installed: none); plugin 'pharma' did not "
        "load: plugin 'pharma' offers nothing; list its classes, COMPONENTS = [...], or return them from functions like rexplug_corpus_filters() that are marked with @rexplug.hookimpl"
    )


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ("[{at: 0, from: 0, shares: {web: 1}}]", "phases.0.mixing.steps.0.at: unknown key; the keys are from, shares"),
        ("[{from: 0, shares: {web: 1}, share: {web: 1}}]",
         "phases.0.mixing.steps.0.share: unknown key; did you mean 'shares'?"),
    ],
)  # fmt: skip
def test_an_unknown_key_in_a_list_of_a_component_s_options(tmp_path, steps, problem):
    from rexplug.errors import RecipeError
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import load_recipe

    path = tmp_path / "r.yaml"
    path.write_text(
        "name: toy\nsources: {web: {use: text, paths: in}}\ntokenizer: {use: train}\nmodel: {size: nano}\n"
        "phases:\n  - {name: one, tokens: 10k, context: 128, batch_tokens: 512, learning_rate: {peak: 1e-3},\n"
        f"     mixing: {{use: annealing.stepwise, steps: {steps}}}, masking: random}}\n"
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, (), load_plugins())
    assert str(caught.value).splitlines()[1:] == [f"  {path}:7: {problem}"]


def test_a_mixing_schedule_that_raises_is_not_blamed_on_the_recipe(load_toy, toy, monkeypatch, toy_registry):
    schedule = toy_registry.find(MixingSchedule, "toy.shares")

    def weights(self, progress):
        return {"web": 1 / progress}

    monkeypatch.setattr(schedule, "weights", weights)
    with pytest.raises(PluginError) as caught:
        load_toy(toy)
    first, line = str(caught.value).splitlines()
    assert first == (
        "phases.one.mixing: toy.shares.weights() raised ZeroDivisionError at progress 0: float division by zero"
    )
    assert line.endswith(', in weights: return {"web": 1 / progress}')


def test_a_mixing_schedule_that_cannot_read_a_file(load_toy, toy, monkeypatch, toy_registry):
    def weights(self, progress):
        raise FileNotFoundError("shares.json")

    monkeypatch.setattr(toy_registry.find(MixingSchedule, "toy.shares"), "weights", weights)
    with pytest.raises(PluginError) as caught:
        load_toy(toy)
    assert str(caught.value) == "toy.shares.weights() at progress 0: FileNotFoundError: shares.json"
