"""Damaged run directories: every command works or names the damaged file and how to repair it."""

import json
import shutil

import pytest
from foreign.run_folders.command_line import call
from foreign.run_folders.damages import DAMAGES, damaged
from foreign.run_folders.readers import answers, others, readers, run_command
from foreign.run_folders.small_run import FINAL, STEP, build

from rexplug.checksums import FILE


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return build(tmp_path_factory.mktemp("foreign"))


@pytest.fixture
def broken(recipe, tmp_path):
    """Damages a copy of the run; returns the copy and a function that gives it a command."""

    def broken(name):
        run = damaged(recipe.parent / "run", tmp_path, name)
        return run, lambda command: run_command(run, recipe, command)

    return broken


def faults(recipe, where, name, commands):
    return [
        f"{command}: {fault}"
        for command, answer, run in answers(recipe, where, name, commands)
        if (fault := answer.fault(run))
    ]


@pytest.mark.parametrize("name", DAMAGES)
def test_commands_that_read_the_damage_name_it(name, recipe, tmp_path):
    assert faults(recipe, tmp_path, name, readers(name)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGES)
def test_other_commands_work_or_name_the_damage(name, recipe, tmp_path):
    assert faults(recipe, tmp_path, name, others(name)) == []


def test_flipped_bits_and_swapped_ids_are_neither_exported_nor_evaluated(broken):
    run, run_on_it = broken("weights flipped")
    file = run / FINAL / "model.safetensors"
    altered = f"{file} was altered: its content does not have the checksum that was recorded when it was written"
    answer = run_on_it("export")
    assert (answer.code, answer.message) == (
        2, f"rexplug: {altered}; export another checkpoint, or train it again (--from train.anneal)",
    )  # fmt: skip
    assert run_on_it("verify").message == f"rexplug: {altered}; --from train.anneal trains it again"


@pytest.mark.slow
def test_a_damaged_checkpoint_is_skipped_with_a_warning(broken, recipe):
    run, _ = broken("stopped, weights flipped")
    answer = call("run", str(recipe), "--run-dir", str(run))
    assert answer.code == 0
    assert (
        f"warning: a checkpoint is skipped: {run / STEP / 'model.safetensors'} was altered: its content does not have "
        "the checksum that was recorded when it was written"
    ) in answer.err
    final = run / FINAL / "model.safetensors"
    assert final.read_bytes() == (recipe.parent / "run" / FINAL / "model.safetensors").read_bytes()


def test_an_undamaged_run_verifies(recipe):
    run = recipe.parent / "run"
    answer = call("verify", str(run))
    assert (answer.code, answer.err) == (0, "")
    lines = [line.split() for line in answer.out.splitlines()]
    assert [(line[0], " ".join(line[-2:])) for line in lines] == [
        (place, "as written")
        for place in (
            "corpus/web", "tokenizer", "tokens/web", "checkpoints/anneal/final", "checkpoints/initial", "model", "metrics.jsonl",
            "corpus", "fitted", "evaluation/initial", "checkpoints/anneal", "evaluation/anneal",
        )
    ]  # fmt: skip
    assert not (run / "model" / FILE).read_text().count("README.md")


def test_the_first_problem_is_reported_with_its_repair(broken):
    run, run_on_it = broken("statistics.json a source null")
    assert run_on_it("corpus show").message == (
        f"rexplug: {run / 'corpus' / 'statistics.json'} is damaged: 'sources.web' is nothing instead of an object; rexplug run "
        "RECIPE --from curate makes it again"
    )


@pytest.mark.slow
def test_a_baseline_that_does_not_load_leaves_the_other_results(broken, recipe, tmp_path):
    run, _ = broken("nothing")
    peer = tmp_path / "peer"
    peer.mkdir()
    shutil.copyfile(run / "checkpoints" / "initial" / "config.json", peer / "config.json")
    shutil.copyfile(run / "tokenizer" / "tokenizer.json", peer / "tokenizer.json")
    (peer / "pytorch_model.bin").write_bytes(b"garbage")  # `check` does not unpickle, so only loading shows it
    before = json.loads((run / "run.json").read_text())
    del before["peak_memory_gib"]  # as in a folder whose first run this is
    (run / "run.json").write_text(json.dumps(before))
    answer = call("run", str(recipe), "--run-dir", str(run), f"baselines=[bm25, {peer}]")
    assert answer.code == 2
    first, second = answer.message.splitlines()
    assert first == "rexplug: everything else is done and kept, but these failed; the same command tries them again:"
    assert second.startswith(f"  evaluate.baselines: peer: {peer} ")
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["status"] == "incomplete"
    assert manifest["peak_memory_gib"] > 0
    assert " 0 GiB peak memory" not in answer.out
    assert {name: stage["status"] for name, stage in manifest["stages"].items() if stage["status"] != "done"} == {
        "evaluate.baselines": "failed"
    }
    assert list(manifest["stages"]["evaluate.baselines"]["result"]) == ["bm25", "peer"]
    assert "load it:" in answer.out, "the summary tells of the rest"
    assert call("run", str(recipe), "--run-dir", str(run), "--quiet", "baselines=[bm25]").code == 0
