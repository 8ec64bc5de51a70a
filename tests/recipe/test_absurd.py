"""Options that cannot work are errors; options outside published values are warnings."""

import pytest

from rexplug.recipe.notes import recipe_notes


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("peak: 8e-4", "peak: .inf", "phases.0.learning_rate.peak: Input should be a finite number"),
        ("peak: 8e-4", "peak: .nan", "phases.0.learning_rate.peak: Input should be a finite number"),
        ("peak: 8e-4", "peak: '1e400'", "phases.0.learning_rate.peak: Input should be a finite number"),
        ("peak: 8e-4", "peak: 8", "phases.0.learning_rate.peak: Input should be less than or equal to 1"),
        ("context: 128", "context: 128\n    optimizer: {betas: [0.9, 1.0]}", "phases.0.optimizer.betas.1: Input should be less than 1"),
        ("context: 128", "context: 128\n    optimizer: {betas: [-0.1, 0.9]}",
         "phases.0.optimizer.betas.0: Input should be greater than or equal to 0"),
        ("context: 128", "context: 128\n    optimizer: {eps: 0}", "phases.0.optimizer.eps: Input should be greater than or equal to"),
        ("context: 128", "context: 128\n    optimizer: {weight_decay: 1}", "phases.0.optimizer.weight_decay: Input should be less than 1"),
        ("context: 128", "context: 128\n    rope: {global_theta: .inf}", "phases.0.rope.global_theta: Input should be a finite number"),
        ("context: 128", "context: 128\n    rope: {local_theta: 1e13}",
         "phases.0.rope.local_theta: Input should be less than or equal to 1000000000000"),
        ("context: 128", "context: 2097152", "phases.0.context: Input should be less than or equal to 1048576"),
        ("context: 128", "context: 128\n    average: 1000000", "phases.0.average: Input should be less than or equal to 1000"),
        ("context: 128", "context: 128\n    loss_guard: {spike: .nan}", "phases.0.loss_guard.spike: Input should be a finite number"),
        ("context: 128", "context: 128\n    checkpoints: {every_minutes: .inf}",
         "phases.0.checkpoints.every_minutes: Input should be a finite number"),
        ("tokens: 10k", "tokens: .inf", "phases.0.tokens: inf is not an amount; write a whole number"),
        ("tokens: 10k", "tokens: 9999999T", "phases.0.tokens: '9999999T' is more than 10^18"),
        ("tokens: 10k", "tokens: 1e30", "phases.0.tokens: 1e+30 is more than 10^18"),
        ("tokens: 10k", "tokens: ٣", "phases.0.tokens: '٣' is not an amount; write a whole number"),
        ("batch_tokens: 1024", "batch_tokens: 1T", "phases.0.batch_tokens: Input should be less than or equal to 1073741824"),
        ("vocabulary: 1k", "vocabulary: 2M", "tokenizer.vocabulary: Input should be less than or equal to 1000000"),
        ("name: toy", "name: toy\nseed: 4294967296", "seed: Input should be less than 4294967296"),
        ("name: toy", "name: toy\ntraining_seed: -1", "training_seed: Input should be greater than or equal to 0"),
        ("name: toy", f"name: {'x' * 101}", "name: String should have at most 100 characters"),
        ("name: one", f"name: {'x' * 101}", "phases.0.name: String should have at most 100 characters"),
        ("name: one", "name: initial",
         "phases.0: a phase cannot be called 'initial': a run keeps results of another stage under that name"),
        ("name: one", "name: baselines",
         "phases.0: a phase cannot be called 'baselines': a run keeps results of another stage under that name"),
        ("shares: {web: 1}}", "shares: {web: .inf}}", "phases.0.mixing.shares.web: Input should be a finite number"),
        ("shares: {web: 1}}", "shares: {web: 0}}",
         "phase 'one': toy.shares.weights(0) returned {'web': 0.0}; weights are finite, at least 0 and "
         "not all 0"),
        ("shares: {web: 1}}", "shares: {web: 1e308, shop: 1e308}}",
         "phase 'one': toy.shares.weights(0) returned {'web': 1e+308, 'shop': 1e+308}; weights are finite"),
        ("masking: plain", "masking: {use: plain, rate: .nan}", "phases.0.masking.rate.start: Input should be a finite number"),
        ("tokens: 10k", "tokens: " + "9" * 99,
         f"phases.0.tokens: {'9' * 99} is more than 10^18"),
    ],
)  # fmt: skip
def test_options_that_cannot_work(complaint, toy, right, wrong, problem):
    assert problem in complaint(toy.replace(right, wrong, 1))


def test_a_long_value_is_not_repeated_whole(complaint, toy):
    text = complaint(toy.replace("tokens: 10k", f"tokens: {'x' * 100_000}", 1))
    assert "phases.0.tokens: '" + "x" * 119 + "... (100,002 characters) is not an amount" in text
    text = complaint(toy.replace("use: toy.shares", f"use: {'x' * 100_000}", 1))
    assert len(text) < 3000
    text = complaint(toy, f"{'x' * 100_000}=1")
    assert len(text) < 5000


def test_problems_are_listed_up_to_fifty(complaint, toy):
    text = complaint(toy + "\n".join(f"key{number}: 1" for number in range(80)))
    assert text.splitlines()[0] == "r.yaml has 80 problems:"
    assert len(text.splitlines()) == 52
    assert text.splitlines()[-1] == "  and 30 more"


@pytest.mark.parametrize(
    ("right", "odd", "note"),
    [
        ("peak: 8e-4", "peak: 0.3", "phases.one.learning_rate.peak: 0.3 is 100 times the highest of a published encoder "
         "(3e-3); expect the loss to diverge"),
        ("peak: 8e-4", "peak: 1e-9", "phases.one.learning_rate.peak: at 1e-09 the weights hardly change; published encoders used "
         "2.5e-4 to 3e-3"),
        ("context: 128", "context: 128\n    optimizer: {weight_decay: 0.1}",
         "phases.one.optimizer.weight_decay: every step at the peak multiplies the weights by 0.9, since this decay is not scaled "
         "by the learning rate; published values are 1e-5 to 3e-4"),
        ("context: 128", "context: 128\n    rope: {global_theta: 2}",
         "phases.one.rope.global_theta: 2 is far from published values (10,000 to 1,000,000)"),
        ("masking: plain", "masking: {use: plain, rate: 0.9}",
         "phases.one.masking.rate: 90% of the tokens are masked, which leaves little to infer them from"),
        ("masking: plain", "masking: {use: plain, rate: 0}",
         "phases.one.masking.rate: 0 masks one token of a row, so that almost nothing is learnt"),
        ("batch_tokens: 1024", "batch_tokens: 20k",
         "phases.one.batch_tokens: a batch of 20,000 is more than the phase has (10,000): it is one step"),
        ("batch_tokens: 1024", "batch_tokens: 1024\n    evaluate_every: 10",
         "phases.one.evaluate_every: 10 tokens are less than a batch (1,024): it happens at every step"),
    ],
)  # fmt: skip
def test_values_that_are_warned_of(load_toy, toy, right, odd, note):
    assert recipe_notes(load_toy(toy)) == ()
    assert recipe_notes(load_toy(toy.replace(right, odd, 1))) == (note,)


def test_the_shipped_recipes_get_no_notes():
    from pathlib import Path

    from rexplug.recipe import load_recipe

    for path in sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml")):
        assert recipe_notes(load_recipe(path)) == (), path.name
