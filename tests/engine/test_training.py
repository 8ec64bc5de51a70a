"""A phase from its first step to its last: figures, rates, loss, what passes to the next phase, and what stops it."""

import json
import os
import pty
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rexplug.errors import DataError, RunInterrupted

CLOCK = ("tokens_per_second", "flops_per_second", "memory_gib", "seconds", "seconds_left")


class Crash(Exception):
    """Stands for whatever ends a process."""


class After:
    """A progress that does something after a number of steps."""

    def __init__(self, steps, action):
        self.left, self.action, self.notes = steps, action, []

    def start(self, task, total=None, unit=""):
        pass

    def update(self, done, **figures):
        if figures:
            self.left -= 1
            if self.left == 0:
                self.action()

    def note(self, text):
        self.notes.append(text.strip())


def crash():
    raise Crash


def lines_of(bench):
    lines = [json.loads(line) for line in bench.run.metrics.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines]


def outcome(bench, phase="first"):
    """Everything that a phase leaves and that a clock does not touch."""
    final = bench.run.checkpoints / phase / "final"
    state = json.loads((final / "state.json").read_text())
    del state["seconds"]
    optimizer = torch.load(final / "optimizer.pt", weights_only=True)
    return {
        "weights": (final / "model.safetensors").read_bytes(),
        "moments": [value for _, each in sorted(optimizer["state"].items()) for value in each.values()],
        "first_moments": [each["exp_avg"] for _, each in sorted(optimizer["state"].items())],
        "groups": optimizer["param_groups"],
        "state": state,
        "metrics": lines_of(bench),
    }


def assert_same(one, two):
    for key in ("weights", "state", "metrics"):
        assert one[key] == two[key], key
    assert str(one["groups"]) == str(two["groups"])
    assert len(one["moments"]) == len(two["moments"])
    for a, b in zip(one["moments"], two["moments"], strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.fixture
def own_output():
    """Whoever hears SIGHUP lets go of the terminal; the tests' own is given back to them."""
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    yield
    for descriptor, copy in kept.items():
        os.dup2(copy, descriptor)
        os.close(copy)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, request):
    bench = request.getfixturevalue("bench_at")(tmp_path_factory.mktemp("undisturbed") / "run")
    bench.train("first")
    return outcome(bench)


def test_every_step_is_told(bench):
    made = bench()
    result = made.train("first")
    lines = lines_of(made)
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
    assert sorted(path.name for path in (made.run.checkpoints / "first").iterdir()) == ["final", "positions.log"]


def test_the_rate_of_a_step_comes_from_the_tokens_before_it(bench):
    made = bench()
    made.train("first")
    before = 0
    for line in lines_of(made):
        expected = before / 500 if before < 500 else 1 - (before - 500) / 2500
        assert line["learning_rate"] == pytest.approx(1e-2 * expected)
        before = line["tokens"]


@pytest.mark.slow
def test_it_learns(bench, phase):
    long = phase(
        "first", tokens=60_000, batch_tokens=512, learning_rate={"peak": 3e-3, "schedule": "constant", "warmup": 2000}
    )
    made = bench(phases=[long])
    made.train("first")
    lines = lines_of(made)
    assert lines[0]["loss"] == pytest.approx(4.16, abs=0.15), "about log 64 at the start"
    assert lines[-1]["loss"] < 2.5


def test_the_gradient_is_that_of_the_sum_over_the_batch_however_it_is_cut_into_rows(bench, phase):
    made = bench(phases=[phase("first", tokens=500, batch_tokens=512)])
    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.engine.loader import to_tensors
    from rexplug.model import load_model
    from rexplug.model.attention import use_packed_attention

    assert made.train("first")["steps"] == 1
    stream = made.stream("first")
    batch, after = stream.next(stream.start)
    assert len({row.num_masked for row in batch.rows}) > 1, "rows of unlike weight are the point"
    model = load_model(made.run.checkpoints / "initial")
    use_packed_attention(model)
    wrapped = PackedMaskedLM(model, 2, "blocks")
    loss = sum(wrapped({"rows": [row]})["loss"] for row in to_tensors(batch, after)["rows"]) / batch.num_masked
    loss.backward()
    assert lines_of(made)[0]["loss"] == pytest.approx(float(loss.detach()), rel=1e-6)
    # After one step the first moment, freed of its bias, is the gradient.
    moments = outcome(made)["first_moments"]
    gradients = [
        each.grad
        for each in [p for p in model.parameters() if p.ndim > 1] + [p for p in model.parameters() if p.ndim == 1]
    ]
    assert len(moments) == len(gradients)
    for moment, gradient in zip(moments, gradients, strict=True):
        assert float((moment - gradient).abs().max()) <= 1e-5 * float(gradient.abs().max())


def test_rows_taken_together_give_the_sum_of_their_losses_and_gradients(bench, phase):
    made = bench(phases=[phase("first", tokens=500, batch_tokens=512)])
    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.engine.loader import to_tensors
    from rexplug.model import build_model
    from rexplug.model.attention import use_packed_attention

    stream = made.stream("first")
    rows = to_tensors(*stream.next(stream.start))["rows"]
    assert len(rows) > 2
    # The packer fills these rows to the last token, but others it cannot: padding between rows is the point.
    for place, width in enumerate((5, 0, 3)):
        padded = torch.nn.functional.pad(rows[place].token_ids, (0, width), value=stream.special.pad)
        rows[place] = replace(rows[place], token_ids=padded)
    model = build_model(made.recipe.model, stream.special, context=64, seed=0)
    use_packed_attention(model)
    wrapped = PackedMaskedLM(model, 2, "blocks")

    def run(groups):
        model.zero_grad()
        wrapped.reset()
        for group in groups:
            wrapped({"rows": group})["loss"].backward()
        return wrapped.totals.clone(), torch.cat([each.grad.flatten() for each in model.parameters()])

    totals, gradient = run([[row] for row in rows])
    together, of_all = run([rows])
    assert torch.allclose(totals, together, rtol=1e-6)
    assert float((gradient - of_all).abs().max()) <= 1e-5 * float(gradient.abs().max())


@pytest.mark.parametrize(
    ("precision", "residual", "expected"),
    [("bf16", "bf16", torch.bfloat16), ("bf16", "fp32", None), ("fp32", "bf16", None), ("tf32", "bf16", None)],
)
def test_the_residual_stream_is_bf16_where_the_recipe_asks_and_products_are(bench, precision, residual, expected):
    from rexplug.engine.hardware import Hardware

    hardware = Hardware(torch.device("cuda"), precision, "sdpa", "", compiled=False, compile_reason="")
    assert hardware.residual_dtype(bench(precision=precision, residual=residual).recipe) == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_a_number_format_that_a_cpu_does_not_train_in_is_refused(bench, precision):
    with pytest.raises(DataError) as error:
        bench(precision=precision).train("first")
    assert str(error.value) == f"model.precision: {precision} needs a GPU; 'auto' takes what this machine has"


@pytest.mark.parametrize("backend", ["eager", "sdpa", "varlen"])
def test_the_host_never_waits_for_what_the_device_holds(bench, phase, backend):
    made = bench(phases=[phase("first", tokens=500, batch_tokens=512)])
    from composer.devices import DeviceCPU

    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.engine.loader import data_spec
    from rexplug.model import build_model
    from rexplug.model.attention import use_packed_attention

    class Meta(DeviceCPU):
        """A meta tensor has a shape and no content: whatever reads a number of it fails, as on a GPU it would wait."""

        def tensor_to_device(self, tensor):
            return tensor.to("meta")

    stream = made.stream("first")
    spec = data_spec(stream, stream.start)
    batch = Meta().batch_to_device(next(iter(spec.dataloader)))
    rows = [row for microbatch in spec.split_batch(batch, 1) for row in microbatch["rows"]]
    with pytest.raises(NotImplementedError):
        rows[0].cu_seqlens.tolist()
    model = build_model(made.recipe.model, stream.special, context=64, seed=0).to("meta")
    use_packed_attention(model)
    wrapped = PackedMaskedLM(model, 2, backend)
    wrapped.totals = wrapped.totals.to("meta")
    assert spec.get_num_tokens_in_batch(batch, "total") == batch["about"]["num_tokens"]
    for size in (1, len(rows)):
        for microbatch in spec.split_batch(batch, size):
            wrapped(microbatch)["loss"].backward()
    assert all(each.grad is not None for each in model.parameters())


@pytest.mark.parametrize("steps", [1, 4, 11])
def test_a_crash_and_a_new_start_end_in_the_same_bits(bench_at, tmp_path, undisturbed, steps):
    made = bench_at(tmp_path / "run")
    with pytest.raises(Crash):
        made.train("first", After(steps, crash))
    progress = After(-1, crash)
    made.train("first", progress)
    assert_same(outcome(made), undisturbed)
    resumed = [note for note in progress.notes if "resumes after step" in note]
    assert len(resumed) == (0 if steps == 1 else 1)


def test_a_damaged_checkpoint_is_passed_over(bench_at, tmp_path, undisturbed):
    made = bench_at(tmp_path / "run")
    with pytest.raises(Crash):
        made.train("first", After(9, crash))
    folders = sorted((made.run.checkpoints / "first").glob("step-*"))
    assert len(folders) == 2, "keep: 2"
    weights = folders[-1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (made.run.checkpoints / "first" / ".tmp-1-step-000000099").mkdir()
    made.train("first")
    assert_same(outcome(made), undisturbed)


def test_a_finished_phase_is_not_trained_again(bench_at, tmp_path):
    made = bench_at(tmp_path / "run")
    first = made.train("first")
    before = outcome(made)
    assert made.train("first", After(1, crash)) == first
    assert_same(outcome(made), before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_stops(bench_at, tmp_path, undisturbed, own_output, number):
    made = bench_at(tmp_path / "run")
    handler = signal.getsignal(number)
    with pytest.raises(RunInterrupted) as stop:
        made.train("first", After(5, lambda: signal.raise_signal(number)))
    tokens = lines_of(made)[-1]["tokens"]
    assert str(stop.value) == (
        f"stopped in phase 'first' after step 5 ({tokens:,} of 3,000 tokens); saved; the same command resumes from here"
    )
    assert signal.getsignal(number) is handler
    progress = After(-1, crash)
    made.train("first", progress)
    assert f"first resumes after step 5 ({tokens:,} of 3,000 tokens)" in progress.notes
    assert_same(outcome(made), undisturbed)


def test_a_signal_in_the_last_step_stops_too(bench_at, tmp_path, undisturbed):
    made = bench_at(tmp_path / "run")
    last = undisturbed["state"]["step"]
    with pytest.raises(RunInterrupted) as stop:
        made.train("first", After(last, lambda: signal.raise_signal(signal.SIGINT)))
    assert str(stop.value) == "stopped at the end of phase 'first'; saved; the same command resumes from here"
    made.train("first", After(1, crash))
    assert_same(outcome(made), undisturbed)


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM])
def test_the_end_of_a_session_is_no_second_wish_to_stop(own_output, first):
    """Whoever ends a session sends SIGHUP beside SIGTERM, in either order; only somebody who waits asks twice."""
    from rexplug.engine.stop_request import StopRequest

    with (stop := StopRequest()).listening():
        hear = signal.getsignal(signal.SIGTERM)
        assert hear == signal.getsignal(signal.SIGHUP)
        hear(first, None)
        assert stop.received
        hear(signal.SIGTERM if first == signal.SIGHUP else signal.SIGHUP, None)
        hear(signal.SIGHUP, None)
        with pytest.raises(KeyboardInterrupt):
            hear(signal.SIGTERM, None)


def test_a_run_under_nohup_outlives_its_terminal():
    from rexplug import distributed
    from rexplug.engine.stop_request import StopRequest

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert distributed.stop_signals() == (signal.SIGTERM, signal.SIGINT)
        with (stop := StopRequest()).listening():
            signal.raise_signal(signal.SIGHUP)
            assert not stop.received
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_a_terminal_that_is_closed_leaves_a_checkpoint(bench_at, tmp_path, undisturbed):
    """A terminal of its own, whose other end is closed: writing to it fails from then on."""
    script = (
        "import fcntl, sys, termios; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import conftest as c\n"
        "from rexplug.errors import RunInterrupted\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "class Print(c.Silent):\n"
        "    def update(self, done, **figures): figures and print('step', flush=True)\n"
        "try: c.frequent(Path(sys.argv[2])).train('first', Print())\n"
        "except RunInterrupted as error: print(error, flush=True); Path(sys.argv[3]).write_text(str(error)); sys.exit(130)\n"
    )
    arguments = [
        sys.executable,
        "-c",
        script,
        str(Path(__file__).parent),
        str(tmp_path / "run"),
        str(tmp_path / "said"),
    ]
    terminal, ours = pty.openpty()
    child = subprocess.Popen(arguments, stdin=ours, stdout=ours, stderr=ours, start_new_session=True)
    os.close(ours)
    heard = b""
    while heard.count(b"step") < 4:
        heard += os.read(terminal, 1000)
    os.close(terminal)
    assert child.wait(timeout=120) == 130
    assert (tmp_path / "said").read_text().startswith("stopped in phase 'first' after step ")
    made = bench_at(tmp_path / "run")
    assert list((made.run.checkpoints / "first").glob("step-*"))
    made.train("first")
    assert_same(outcome(made), undisturbed)


def test_a_phase_that_is_made_longer_says_where_rate_and_mixture_jump_to(bench, phase):
    from rexplug_annealing import Linear

    mixing = Linear(start={"web": 0.9, "retail": 0.1}, end={"web": 0.1, "retail": 0.9})
    first = phase("first", tokens=1500, mixing=mixing)
    made = bench(phases=[first])
    assert made.train("first")["warnings"] == []
    assert made.train("first")["warnings"] == []
    made.phases = [{**first, "tokens": 3000}]
    tokens = lines_of(made)[-1]["tokens"]
    progress = After(-1, crash)
    found = made.train("first", progress)["warnings"]
    rate = 1e-2 * (1 - (tokens - 500) / 2500)
    share = 0.9 - 0.8 * tokens / 3000
    assert found == [
        f"phase 'first' resumes after {tokens:,} tokens with a learning rate of {rate:.3g}, but stopped at 0; this undoes what "
        "the decay gained. Add a phase of its own, or resume from a checkpoint before the decay",
        "phase 'first' resumes with another mixture than it stopped with: "
        f"'web' has {share:.1%} of the tokens instead of 10.0%, 'retail' has {1 - share:.1%} of the tokens instead of 90.0%",
    ]
    assert [f"warning: {each}" for each in found] == [line for line in progress.notes if line.startswith("warning")]


def test_a_phase_that_was_stopped_and_goes_on_unchanged_warns_of_nothing(bench_at, tmp_path):
    made = bench_at(tmp_path / "run")
    with pytest.raises(RunInterrupted):
        made.train("first", After(7, lambda: signal.raise_signal(signal.SIGTERM)))
    assert made.train("first")["warnings"] == []


@pytest.mark.parametrize(("every", "kind"), [(1, "local"), (99, "global")])
def test_a_theta_for_layers_that_the_model_does_not_have_is_refused(bench, phase, tmp_path, every, kind):
    from transformers import ModernBertForMaskedLM

    from rexplug.engine import initial_checkpoint
    from rexplug.recipe.schema import Model

    made = bench(phases=[phase("first"), phase("second", rope={f"{kind}_theta": 20_000})])
    stream = made.stream("first")
    initial_checkpoint(made.recipe, stream.special, made.run)
    model = ModernBertForMaskedLM.from_pretrained(made.run.checkpoints / "initial")
    kinds = ["full_attention" if every == 1 else "sliding_attention"] * model.config.num_hidden_layers
    model.config.layer_types = kinds
    model.save_pretrained(tmp_path / "one-kind")
    recipe = made.recipe.model_copy(update={"model": Model.model_validate({"from": str(tmp_path / "one-kind")})})
    with pytest.raises(DataError) as error:
        initial_checkpoint(recipe, stream.special, made.run)
    assert str(error.value) == (
        f"phases.second.rope.{kind}_theta: the model has no {kind} layers, so there is nothing to change; leave it out"
    )


def test_a_loss_that_is_no_number_names_the_step_and_its_documents(bench, phase):
    made = bench(phases=[phase("first", learning_rate={"peak": 1, "schedule": "constant"}, optimizer={"use": "adamw"})])
    made.peak = 1e30
    with pytest.raises(DataError) as error:
        made.train("first")
    message = str(error.value)
    assert message.startswith("phase 'first', step 2: the loss is nan; documents in the batch: ")
    assert "web-" in message or "retail-" in message
    assert [line["step"] for line in lines_of(made)] == [1]


def test_the_next_phase_takes_weights_and_moments_and_keeps_its_own_rate(bench, phase):
    second = phase(
        "second", tokens=400, learning_rate={"peak": 1e-3, "schedule": "constant"}, rope={"global_theta": 160000},
        optimizer={"weight_decay": 1e-3},
    )  # fmt: skip
    made = bench(phases=[phase("first", tokens=600, learning_rate={"peak": 1e-2, "schedule": "constant"}), second])
    made.train("first")
    result = made.train("second")
    assert result["rope_theta"] == {"global": 160_000.0, "local": 10_000.0}
    assert result["warnings"] == []
    final = made.run.checkpoints / "second" / "final"
    for group, decay in zip(
        torch.load(final / "optimizer.pt", weights_only=True)["param_groups"], (1e-3, 0.0), strict=True
    ):
        assert (group["lr"], group["max_lr"], group["weight_decay"]) == (1e-3, 1e-3, decay)
    lines = lines_of(made)
    assert (
        lines[-1]["total_tokens"]
        == lines[-1]["tokens"] + [line for line in lines if line["phase"] == "first"][-1]["tokens"]
    )
    assert {line["learning_rate"] for line in lines if line["phase"] == "second"} == {1e-3}


def test_falling_twice_and_another_optimizer_are_warned_of(bench, phase):
    second = phase("second", tokens=300, optimizer={"use": "adamw"})
    second["learning_rate"] = {"peak": 1e-3, "schedule": "linear"}
    made = bench(phases=[phase("first", tokens=600), second])
    made.train("first")
    assert made.train("second")["warnings"] == [
        "phase 'second' lowers the learning rate again although 'first' before it ended decayed; "
        "a decay works best from a checkpoint at full learning rate",
        "phase 'second' uses adamw, 'first' used stable_adamw: the optimizer starts anew",
    ]


def test_any_phase_can_be_read_by_transformers_alone(bench):
    from transformers import AutoModelForMaskedLM

    made = bench()
    made.train("first")
    final = made.run.checkpoints / "first" / "final"
    model = AutoModelForMaskedLM.from_pretrained(final)
    saved = load_file(final / "model.safetensors")
    assert torch.equal(
        model.state_dict()["model.embeddings.tok_embeddings.weight"], saved["model.embeddings.tok_embeddings.weight"]
    )
    assert "rexplug" not in (final / "config.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [2, 7])
def test_a_killed_process_leaves_nothing_that_changes_the_outcome(bench_at, tmp_path, undisturbed, steps):
    """SIGKILL, from outside Python's reach, in a process of its own."""
    script = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import conftest as c\n"
        "class Kill(c.Silent):\n"
        "    left = int(sys.argv[3])\n"
        "    def update(self, done, **figures):\n"
        "        Kill.left -= 1\n"
        "        if not Kill.left: os.kill(os.getpid(), signal.SIGKILL)\n"
        "c.frequent(Path(sys.argv[2])).train('first', Kill())\n"
    )
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "run"), str(steps)]
    done = subprocess.run(arguments, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    made = bench_at(tmp_path / "run")
    made.train("first")
    assert_same(outcome(made), undisturbed)
