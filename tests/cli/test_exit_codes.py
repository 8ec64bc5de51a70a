"""How `main` reports errors: a user's mistake as one message and exit code 2, an interruption as 130, a bug as traceback and 1."""

import re
import resource
import subprocess
import sys

import click
import pytest

from rexplug import cli as commands
from rexplug.errors import DataError, RunInterrupted


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs `rexplug` with arguments, in this process; returns code, output and errors."""

    def do(*arguments):
        monkeypatch.setattr("sys.argv", ["rexplug", *map(str, arguments)])
        try:
            commands.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return (code, *capsys.readouterr())

    return do


@pytest.fixture
def raising(call, monkeypatch):
    """Runs a command that raises."""

    def do(error):
        @click.command()
        def boom():
            raise error

        monkeypatch.setattr(commands._Commands, "get_command", lambda group, context, name: boom)
        return call("boom")

    return do


def test_a_mistake_of_the_user(raising):
    assert raising(DataError("data/web matches no file")) == (2, "", "rexplug: data/web matches no file\n")


def test_a_run_that_was_stopped(raising):
    assert raising(RunInterrupted("stopped after pretrain")) == (130, "", "rexplug: stopped after pretrain\n")


def test_ctrl_c(raising):
    code, _, errors = raising(KeyboardInterrupt())
    assert code == 130
    assert errors.strip() == (
        "rexplug: interrupted; what was finished is kept, and the same command resumes from there"
    )


def test_our_own_mistake(raising):
    code, _, errors = raising(ZeroDivisionError("division by zero"))
    assert code == 1
    assert errors.startswith("Traceback (most recent call last):")
    assert errors.endswith(
        "ZeroDivisionError: division by zero\n"
        "rexplug: this is a mistake in rexplug or in a plugin, not yours; please report it\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run", "--help"], ["check", "--help"], ["--version"]])
def test_help_is_not_an_error(call, arguments):
    code, output, errors = call(*arguments)
    assert (code, errors) == (0, "")
    assert output


def test_the_module_is_the_command(tmp_path):
    asked = [sys.executable, "-m", "rexplug", "check", str(tmp_path / "nowhere.yaml")]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"rexplug: {tmp_path / 'nowhere.yaml'}: file not found\n")


def test_help_lists_every_command(call):
    _, output, _ = call("--help")
    for name in ("run", "check", "show", "plugins", "schema"):
        assert f"\n  {name} " in output


def test_an_unknown_command(call):
    code, _, errors = call("rnu")
    assert code == 2
    assert "No such command 'rnu'" in errors


def test_a_recipe_that_is_not_there(call, tmp_path):
    missing = tmp_path / "nowhere.yaml"
    for command in ("check", "show", "run"):
        assert call(command, missing)[::2] == (2, f"rexplug: {missing}: file not found\n")


RECIPE = """\
name: tiny
sources:
  web: {use: text, paths: texts}
  more: {use: jsonl, paths: more.jsonl}
tokenizer: {use: train, vocabulary: 1k}
model: {size: nano}
phases:
  - {name: one, tokens: 10k, context: 128, batch_tokens: 1k, learning_rate: {peak: 8e-4},
     mixing: {use: annealing.constant, shares: {web: 1, more: 1}}, masking: random}
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    return "r.yaml"


def test_check_lists_every_input_that_is_missing(call, recipe, tmp_path):
    code, output, errors = call("check", recipe)
    assert (code, output) == (2, "")
    assert errors.splitlines() == [
        f"rexplug: sources.web: text: paths: 'texts' matches no file (looked from {tmp_path})",
        f"sources.more: jsonl: paths: 'more.jsonl' matches no file (looked from {tmp_path})",
    ]


def test_check_summarizes_the_recipe(call, recipe, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("A text.")
    (tmp_path / "more.jsonl").write_text('{"text": "More."}\n')
    assert call("check", recipe) == (
        0,
        "r.yaml is in order: 2 sources, 1 phase, 10,000 tokens, model nano\n",
        "",
    )
    assert call("check", recipe, "phases.one.tokens=2M")[1].endswith(", 2,000,000 tokens, model nano\n")


def test_show_prints_a_recipe(call, recipe, tmp_path):
    code, output, errors = call("show", recipe, "seed=4")
    assert (code, errors) == (0, "")
    (tmp_path / "again.yaml").write_text(output)
    assert call("show", "again.yaml")[1] == output
    assert "\nseed: 4\n" in output


def test_show_blames_an_override(call, recipe):
    assert call("show", recipe, "sede=4")[::2] == (
        2,
        "rexplug: r.yaml has 1 problem:\n  override sede=4: sede: unknown key; did you mean 'seed'?\n",
    )


def test_plugins_shows_what_did_not_load(call, tmp_path, monkeypatch):
    info = tmp_path / "rexplug_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rexplug-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rexplug]\nbroken = rexplug_broken_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    reason = "ModuleNotFoundError: No module named 'rexplug_broken_not_there'"
    code, output, _ = call("plugins")
    assert code == 0
    assert f"\nDid not load\n  broken (from rexplug-broken): {reason}\n" in output
    for name in ("broken", "broken.filter"):
        assert call("plugins", name)[::2] == (2, f"rexplug: plugin 'broken' did not load: {reason}\n")


def test_plugins_lists_the_components_of_a_plugin(call):
    code, output, _ = call("plugins", "annealing")
    assert code == 0
    assert "annealing.cosine (mixing schedule)" in output
    assert "annealing.constant (mixing schedule)" in output


def test_plugins_prints_the_options_of_a_class_before_those_that_it_inherits(call):
    output = call("plugins", "jsonl")[1]
    names = re.findall(r"^  (\w+): ", output, re.MULTILINE)
    assert names == [
        "text", "id", "url", "metadata", "paths", "split", "longest", "damaged", "filters", "limit", "sample", "license",
    ]  # fmt: skip


def test_plugins_refuses_an_unknown_name(call):
    code, _, errors = call("plugins", "annealing.cosin")
    assert code == 2
    assert errors.startswith(
        "rexplug: no plugin or component is called 'annealing.cosin'; there are annealing.constant, "
    )


def write_too_much_with_numpy(path):
    path.write_bytes(bytes(100_000))


def write_too_much_with_torch(path):
    import torch

    torch.save(torch.zeros(100_000), path)


def write_too_much_with_safetensors(path):
    import torch
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(100_000)}, path)


@pytest.mark.parametrize(
    "write", [write_too_much_with_numpy, write_too_much_with_torch, write_too_much_with_safetensors]
)
def test_a_full_disk_is_a_user_error(raising, tmp_path, write, monkeypatch):
    """A limit on the size of files simulates a full disk, which each library reports with another message."""
    # What is imported meanwhile must not be compiled into files that the limit cuts short: Python would not notice.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(Exception, match=r"large|unexpected pos") as caught:
            write(tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    code, _, errors = raising(caught.value)
    assert code == 2
    assert errors.startswith("rexplug: the disk is full (")
    assert errors.endswith("); make room, and the same command resumes from there\n")


def test_a_missing_file_is_not_a_full_disk(raising):
    assert raising(FileNotFoundError(2, "No such file or directory"))[0] == 1


def test_long_values_are_not_repeated_whole(raising, call):
    code, _, errors = raising(DataError("first " + "x" * 100_000 + " last\nsecond line"))
    assert code == 2
    first, second = errors.splitlines()
    assert first.startswith("rexplug: first xxx")
    assert " characters ...] " in first
    assert first.endswith("xxx last")
    assert len(first) < 2200
    assert second == "second line"
    code, _, errors = call("run", "--no-such-option" + "y" * 100_000)
    assert code == 2
    assert len(errors) < 2500


def test_a_closed_output_pipe_ends_the_command_without_an_error(tokenized_run):
    _, _, run = tokenized_run
    for arguments in (["tokens", "show", run.root], ["corpus", "show", run.root]):
        code = "import sys; from rexplug.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.close()
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, b""), arguments
