"""`extends` merges a recipe over another, `defaults` sets options of every phase."""

from pathlib import Path

import pytest


@pytest.fixture
def base(load_toy, toy):
    """The toy recipe as `shared/base.yaml`."""
    Path("shared").mkdir()
    Path("shared/base.yaml").write_text(toy)


@pytest.mark.usefixtures("base")
def test_mappings_merge_and_lists_replace(load_toy):
    recipe = load_toy(
        "extends: shared/base.yaml\n"
        "curation: {held_out: 0.1}\n"
        "sources: {more: {use: pages, paths: there}, web: {filters: []}}\n"
    )
    assert recipe.name == "toy"
    assert recipe.curation.held_out == 0.1
    assert list(recipe.sources) == ["web", "more"]
    assert (recipe.sources["web"].paths, recipe.sources["web"].filters) == ("here", ())
    assert len(recipe.phases) == 2


@pytest.mark.usefixtures("base")
def test_another_component_keeps_the_filters_of_the_source(load_toy, complaint):
    recipe = load_toy("extends: shared/base.yaml\nsources: {web: {use: pages, paths: there}}\n")
    assert len(recipe.sources["web"].filters) == 2
    assert complaint("extends: shared/base.yaml\nsources: {web: {use: papes, paths: there}}\n") == (
        "r.yaml has 1 problem:\n"
        "  r.yaml:2: sources.web: no DocumentSource is called 'papes'; did you mean 'pages'? (installed: pages)"
    )


def test_the_base_is_looked_for_beside_the_file_that_names_it(load_toy, toy, toy_registry):
    from rexplug.recipe import load_recipe

    Path("deep").mkdir()
    Path("deep/base.yaml").write_text(toy)
    Path("deep/own.yaml").write_text("extends: base.yaml\nseed: 4\n")
    assert load_recipe(Path("deep/own.yaml"), (), toy_registry).seed == 4


def test_problems_name_the_file_that_contains_them(complaint, toy, load_toy):
    Path("base.yaml").write_text(toy.replace("size: nano", "size: tiny"))
    assert complaint("extends: base.yaml\nseed: -1\n") == (
        "r.yaml has 2 problems:\n"
        "  r.yaml:2: seed: Input should be greater than or equal to 0\n"
        "  base.yaml:5: model.size: Input should be 'nano', 'micro', 'mini', 'base' or 'large'"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: [a, b]\n", "r.yaml:1: extends: write the path of one recipe"),
        ("seed: 1\nextends: nowhere.yaml\n", "r.yaml:2: extends: nowhere.yaml: file not found"),
        (
            "extends: r.yaml\n",
            "r.yaml:1: extends: r.yaml extends another recipe itself; `extends` cannot be chained",
        ),
    ],
)
def test_an_invalid_base(complaint, text, message):
    assert complaint(text) == message


DEFAULTS = """\
name: toy
sources: {web: {use: pages, paths: here}}
tokenizer: {use: train}
model: {size: nano}
defaults:
  context: 128
  batch_tokens: 1k
  learning_rate: {peak: 1e-3, schedule: cosine, warmup: 100}
  mixing: {use: toy.shares, shares: {web: 1}}
  masking: {use: toy.guided, scorer: toy.numbers, rate: 0.3}
phases:
  - {name: one, tokens: 10k}
  - {name: two, tokens: 10k, context: 64, learning_rate: {warmup: 7}, masking: {rate: 0.1}}
  - {name: three, tokens: 10k, masking: plain}
"""


def test_defaults_stand_under_every_phase(load_toy):
    one, two, three = load_toy(DEFAULTS).phases
    assert (one.context, two.context, three.context) == (128, 64, 128)
    assert one.learning_rate.warmup == 100
    assert (two.learning_rate.peak, two.learning_rate.schedule, two.learning_rate.warmup) == (1e-3, "cosine", 7)
    assert (two.masking.name, two.masking.rate.start) == ("toy.guided", 0.1)
    assert (three.masking.name, three.masking.rate.start) == ("plain", 0.3)


def test_an_override_of_one_phase_leaves_the_others(load_toy):
    one, two, _ = load_toy(DEFAULTS, "phases.one.learning_rate.peak=2e-3").phases
    assert (one.learning_rate.peak, two.learning_rate.peak) == (2e-3, 1e-3)


def test_an_override_of_the_defaults_is_for_every_phase_that_does_not_set_the_option_itself(load_toy):
    overrides = ("phases.three.context=32", "defaults.context=256", "defaults.learning_rate.peak=2e-3")
    one, two, three = load_toy(DEFAULTS, *overrides).phases
    assert (one.context, two.context, three.context) == (256, 64, 32)
    assert [phase.learning_rate.peak for phase in (one, two, three)] == [2e-3] * 3


def test_an_override_may_add_defaults_to_a_recipe_without_any(load_toy):
    head, _, tail = DEFAULTS.partition("defaults:\n")
    options, _, phases = tail.partition("phases:")
    written = ", ".join(line.strip() for line in options.splitlines())
    assert load_toy(f"{head}phases:{phases}", f"defaults={{{written}}}") == load_toy(DEFAULTS)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("defaults.contxt=1", "override defaults.contxt=1: defaults.contxt: unknown key; did you mean 'context'?"),
        ("defaults=3", "override defaults=3: defaults: write a mapping of phase options"),
    ],
)
def test_a_wrong_override_of_the_defaults(complaint, override, problem):
    assert complaint(DEFAULTS, override) == f"r.yaml has 1 problem:\n  {problem}"


@pytest.mark.parametrize(
    ("wrong", "right", "problem"),
    [
        ("defaults: 3", None, "r.yaml:5: defaults: write a mapping of phase options"),
        ("  contxt: 128", "  context: 128", "r.yaml:6: defaults.contxt: unknown key; did you mean 'context'?"),
    ],
)
def test_wrong_defaults(complaint, wrong, right, problem):
    if right is None:
        head, _, tail = DEFAULTS.partition("defaults:\n")
        text = head + wrong + "\n" + tail[tail.index("phases:") :]
    else:
        text = DEFAULTS.replace(right, wrong)
    assert complaint(text) == f"r.yaml has 1 problem:\n  {problem}"


def test_a_bad_default_is_placed_where_it_was_written(complaint):
    assert complaint(DEFAULTS.replace("peak: 1e-3", "peak: 0")) == (
        "r.yaml has 3 problems:\n"
        + "\n".join(f"  r.yaml:8: phases.{i}.learning_rate.peak: Input should be greater than 0" for i in range(3))
    )
