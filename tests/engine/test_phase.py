"""A phase from its first step to its last: metrics, learning rates, loss, and what passes to the next phase."""

import pytest
import torch
from engine.helpers import AtStep, Crash, crash, lines_of, same_weights, weights
from safetensors.torch import load_file

from rexplug.engine import train_phase
from rexplug.errors import DataError
from rexplug.progress import Silent


@pytest.mark.slow
def test_every_step_writes_its_metrics(bench):
    training = bench()
    result = training.train("first")
    lines = lines_of(training)
    assert [line["step"] for line in lines] == list(range(1, result["steps"] + 1))
    assert lines[-1]["tokens"] == result["tokens"] >= 3000
    assert sum(line["batch_tokens"] for line in lines) == result["tokens"]
    for line in lines:
        assert set(line) == {
            "phase", "step", "tokens", "total_tokens", "progress", "loss", "accuracy", "learning_rate", "batch_tokens",
            "gradient_norm", "masked", "fill", "shares", "planned", "source_loss", "source_accuracy",
        }  # fmt: skip
        assert sum(line["shares"].values()) == pytest.approx(1)
        assert 0 < line["fill"] <= 1
    assert result["backend"] == "blocks"
    assert (result["device"], result["precision"]) == ("cpu", "fp32")
    assert sorted(path.name for path in (training.run.checkpoints / "first").iterdir()) == ["final", "positions.log"]


def test_the_learning_rate_of_a_step_comes_from_the_tokens_before_it(bench):
    training = bench()
    training.train("first")
    before = 0
    for line in lines_of(training):
        expected = before / 500 if before < 500 else 1 - (before - 500) / 2500
        assert line["learning_rate"] == pytest.approx(1e-2 * expected)
        before = line["tokens"]


@pytest.mark.slow
def test_it_learns(bench, phase):
    long = phase(
        "first", tokens=60_000, batch_tokens=512, learning_rate={"peak": 3e-3, "schedule": "constant", "warmup": 2000}
    )
    training = bench(phases=[long])
    training.train("first")
    lines = lines_of(training)
    assert lines[0]["loss"] == pytest.approx(4.16, abs=0.15), "about log 64 at the start"
    assert lines[-1]["loss"] < 2.5


def test_the_next_phase_takes_over_weights_and_moments_but_not_the_learning_rate(bench, phase):
    second = phase(
        "second", tokens=400, learning_rate={"peak": 1e-3, "schedule": "constant"}, rope={"global_theta": 160000},
        optimizer={"weight_decay": 1e-3},
    )  # fmt: skip
    training = bench(phases=[phase("first", tokens=600, learning_rate={"peak": 1e-2, "schedule": "constant"}), second])
    training.train("first")
    result = training.train("second")
    assert result["rope_theta"] == {"global": 160_000.0, "local": 10_000.0}
    assert result["warnings"] == []
    final = training.run.checkpoints / "second" / "final"
    for group, decay in zip(
        torch.load(final / "optimizer.pt", weights_only=True)["param_groups"], (1e-3, 0.0), strict=True
    ):
        assert (group["lr"], group["max_lr"], group["weight_decay"]) == (1e-3, 1e-3, decay)
    lines = lines_of(training)
    assert (
        lines[-1]["total_tokens"]
        == lines[-1]["tokens"] + [line for line in lines if line["phase"] == "first"][-1]["tokens"]
    )
    assert {line["learning_rate"] for line in lines if line["phase"] == "second"} == {1e-3}


def test_a_second_decay_and_another_optimizer_are_warned_of(bench, phase):
    second = phase("second", tokens=300, optimizer={"use": "adamw"})
    second["learning_rate"] = {"peak": 1e-3, "schedule": "linear"}
    training = bench(phases=[phase("first", tokens=600), second])
    training.train("first")
    assert training.train("second")["warnings"] == [
        "phase 'second' lowers the learning rate again although 'first' before it ended decayed; "
        "a decay works best from a checkpoint at full learning rate",
        "phase 'second' uses adamw, 'first' used stable_adamw: the optimizer starts with empty state",
    ]


@pytest.mark.slow
def test_any_phase_can_be_read_by_transformers_alone(bench):
    from transformers import AutoModelForMaskedLM

    training = bench()
    training.train("first")
    final = training.run.checkpoints / "first" / "final"
    model = AutoModelForMaskedLM.from_pretrained(final)
    saved = load_file(final / "model.safetensors")
    assert torch.equal(
        model.state_dict()["model.embeddings.tok_embeddings.weight"], saved["model.embeddings.tok_embeddings.weight"]
    )
    assert "rexplug" not in (final / "config.json").read_text()


@pytest.mark.parametrize(("every", "kind"), [(1, "local"), (99, "global")])
def test_a_theta_for_layers_that_the_model_does_not_have_is_refused(bench, phase, tmp_path, every, kind):
    from transformers import ModernBertForMaskedLM

    from rexplug.engine import initial_checkpoint
    from rexplug.recipe.schema import Model

    training = bench(phases=[phase("first"), phase("second", rope={f"{kind}_theta": 20_000})])
    stream = training.stream("first")
    initial_checkpoint(training.recipe, stream.special, training.run)
    model = ModernBertForMaskedLM.from_pretrained(training.run.checkpoints / "initial")
    kinds = ["full_attention" if every == 1 else "sliding_attention"] * model.config.num_hidden_layers
    model.config.layer_types = kinds
    model.save_pretrained(tmp_path / "one-kind")
    recipe = training.recipe.model_copy(update={"model": Model.model_validate({"from": str(tmp_path / "one-kind")})})
    with pytest.raises(DataError) as error:
        initial_checkpoint(recipe, stream.special, training.run)
    assert str(error.value) == (
        f"phases.second.rope.{kind}_theta: the model has no {kind} layers, so there is nothing to change; leave it out"
    )


def trained(training, evaluate, progress=None):
    from rexplug.engine import initial_checkpoint

    recipe = training.recipe
    if not (training.run.checkpoints / "initial").exists():
        initial_checkpoint(recipe, training.stream("first").special, training.run)
    return train_phase(
        recipe=recipe, phase=recipe.phases[0], stream=training.stream("first"), start=training.run.checkpoints / "initial",
        run=training.run, progress=progress or Silent(), evaluate=evaluate,
    )  # fmt: skip


@pytest.mark.slow
def test_evaluation_during_a_phase_changes_nothing(bench, phase):
    plain = bench("plain", [phase("first")])
    plain.train("first")
    training = bench("evaluated", [phase("first", evaluate_every=800)])
    training.stream("first")
    seen = []

    def evaluate(folder, tokens):
        from transformers import AutoModelForMaskedLM

        seen.append((tokens, AutoModelForMaskedLM.from_pretrained(folder)(torch.tensor([[1, 5, 2]])).logits.shape))
        torch.manual_seed(len(seen))  # an evaluator may use the global generators

    trained(training, evaluate)
    assert [tokens // 800 for tokens, _ in seen] == [1, 2, 3]
    assert seen[0][1] == (1, 3, 64)
    ours, theirs = (weights(each.run.checkpoints / "first" / "final") for each in (training, plain))
    assert same_weights(ours, theirs)
    assert sorted(path.name for path in training.run.checkpoints.iterdir()) == ["first", "initial"]


@pytest.mark.slow
def test_a_full_disk_at_an_evaluation_during_a_phase(bench, phase, full_disk):
    training = bench(phases=[phase("first", evaluate_every=800, checkpoints={"every_tokens": 600})])
    seen = []
    with pytest.raises(DataError) as error:
        trained(training, lambda folder, tokens: seen.append(tokens), AtStep(4, full_disk))
    folder = training.run.checkpoints / "first"
    (left,) = sorted(path.name for path in folder.iterdir() if path.name != "positions.log")
    assert str(error.value).startswith(f"weights to evaluate could not be written to {folder} (")
    assert str(error.value).endswith(
        f"; the last good one is {left}; make room, and the same command resumes from there"
    )
    assert seen == []


@pytest.mark.slow
def test_the_temporary_weights_of_a_killed_evaluation_are_removed(bench, phase):
    training = bench(phases=[phase("first", evaluate_every=800, checkpoints={"every_tokens": 600})])
    seen = []

    with pytest.raises(Crash):
        trained(training, lambda folder, tokens: seen.append(folder), AtStep(5, crash))
    (copied,) = seen
    assert not copied.exists()
    copied.mkdir()  # as a kill would leave it, which gives no time to clear up
    (copied / "model.safetensors").write_bytes(b"half")
    trained(training, lambda folder, tokens: seen.append(tokens))
    assert [tokens // 800 for tokens in seen[1:]] == [1, 2, 3]
    folder = training.run.checkpoints / "first"
    assert sorted(path.name for path in folder.iterdir()) == ["final", "positions.log"]
    assert sorted(path.name for path in training.run.checkpoints.iterdir()) == ["first", "initial"]
