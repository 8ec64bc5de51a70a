"""`rexplug.open_run`: stages, metrics, evaluations, corpus and model of a folder."""

import json

import pytest

import rexplug
from rexplug import api


def line(phase, step, loss, **more):
    return {"phase": phase, "step": step, "tokens": 100 * step, "loss": loss, "source_loss": {"web": loss}, **more}


def result(value):
    return {
        "evaluator": "masked_recovery", "label": "masked_recovery", "main": "top1",
        "metrics": {
            "top1": {"value": value, "low": value - 0.1, "high": value + 0.1, "num_items": 50},
            "top5": {"value": value + 0.2},
        },
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """The files of a run that trained a phase; what came after is outdated."""
    counts = {part: {"documents": number, "bytes": 10 * number} for part, number in (("read", 9), ("kept", 7))}
    stages = {
        "curate": {"status": "done", "seconds": 2.5, "result": {"sources": {"web": {**counts, "held_out": {"documents": 1}}}}},
        "tokenize": {"status": "done", "seconds": 0.5, "result": {"web": {"tokens": 1234}}, "stale": None},
        "train.pretrain": {"status": "done", "seconds": 3.0, "result": {"tokens": 200, "steps": 2}},
        "evaluate.pretrain": {"status": "done", "result": {}},
        "train.anneal": {"status": "failed", "error": "no room"},
        "evaluate.anneal": {"status": "done", "stale": "train.anneal ran again"},
        "evaluate.baselines": {"status": "done"},
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps({"status": "failed", "recipe": "toy", "stages": stages}))
    lines = [line("pretrain", 1, 6.0), line("pretrain", 2, 5.0, masked=30), line("anneal", 1, 4.0)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    for place, value in (("evaluation/pretrain", 0.4), ("evaluation/anneal", 0.9), ("baselines/bm25", 0.3)):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "masked_recovery.json").write_text(json.dumps(result(value)))
    return tmp_path


def test_stages_have_status_and_timings(folder):
    run = rexplug.open_run(folder)
    assert (run.folder, run.status, run.seconds) == (folder, "failed", 6.0)
    assert list(run.stages)[:3] == ["curate", "tokenize", "train.pretrain"]
    curate = run.stages["curate"]
    assert (curate.status, curate.seconds, curate.done, curate.stale) == ("done", 2.5, True, None)
    assert run.stages["train.anneal"].error == "no room"
    assert run.stages["evaluate.anneal"].stale == "train.anneal ran again"
    assert not run.stages["evaluate.anneal"].done
    assert rexplug.open_run(run).stages == run.stages
    assert rexplug.open_run(str(folder)).stages == run.stages


def test_metrics_are_rows_and_columns(folder):
    run = rexplug.open_run(folder)
    assert [(row["phase"], row["step"], row["loss"]) for row in run.metrics] == [
        ("pretrain", 1, 6.0), ("pretrain", 2, 5.0), ("anneal", 1, 4.0),
    ]  # fmt: skip
    assert run.columns("loss", "source_loss.web", phase="pretrain") == {
        "loss": [6.0, 5.0],
        "source_loss.web": [6.0, 5.0],
    }
    assert run.columns("masked") == {"masked": [None, 30, None]}
    with pytest.raises(rexplug.DataError) as error:
        run.columns("los")
    assert str(error.value) == (
        f"no step of {folder} has the metric 'los'; there are phase, step, tokens, loss, source_loss, masked"
    )


def test_phases_that_do_not_exist_have_no_columns(folder):
    run = rexplug.open_run(folder)
    with pytest.raises(rexplug.DataError) as error:
        run.columns("loss", phase="aneal")
    assert str(error.value) == f"{folder} has trained no phase 'aneal'; there are pretrain, anneal"
    with pytest.raises(rexplug.RexplugError) as error:
        run.columns(["loss"])
    assert str(error.value) == "the name of a metric is a string, not ['loss']; write columns('step', 'loss')"


def test_evaluations_that_hold_are_rows(folder):
    rows = rexplug.open_run(folder).evaluations
    assert [(row["moment"], row["model"], row["metric"], row["main"], row["value"]) for row in rows] == [
        ("pretrain", "pretrain", "top1", True, 0.4),
        ("pretrain", "pretrain", "top5", False, pytest.approx(0.6)),
        ("baselines", "bm25", "top1", True, 0.3),
        ("baselines", "bm25", "top5", False, 0.5),
    ]
    assert (rows[0]["low"], rows[0]["high"], rows[0]["num_items"]) == (pytest.approx(0.3), 0.5, 50)
    assert (rows[1]["low"], rows[1]["num_items"]) == (None, None)


def test_counts_of_the_corpus(folder):
    assert rexplug.open_run(folder).corpus == {"web": api.SourceCounts(read=9, kept=7, held_out=1, tokens=1234)}
    (folder / "run.json").write_text(json.dumps({"stages": {}}))
    assert rexplug.open_run(folder).corpus == {}


def test_missing_items_are_reported(folder, tmp_path):
    run = rexplug.open_run(folder)
    with pytest.raises(rexplug.DataError) as error:
        run.load_model()
    assert str(error.value) == (
        f"{folder} has no exported model yet; run the recipe to its end, or export a checkpoint with "
        "rexplug.api.export_checkpoint"
    )
    with pytest.raises(rexplug.DataError) as error:
        run.load_tokenizer()
    assert str(error.value) == (
        f"{folder}/tokenizer/tokenizer.json is missing; rexplug run RECIPE --from tokenize makes it again"
    )
    with pytest.raises(rexplug.DataError) as error:
        _ = run.recipe
    assert str(error.value) == f"{folder}/recipe.yaml is missing; rexplug run RECIPE writes it again"
    (tmp_path / "run.json").unlink()
    with pytest.raises(rexplug.DataError, match="it has no run.json; give one like runs/NAME"):
        rexplug.open_run(folder)


def test_a_tokenized_run_resumes_and_reports_its_corpus(tokenized_run, notes):
    _, recipe, where = tokenized_run
    again = rexplug.run(recipe, run_dir=where.root, until="tokenize", progress=notes)
    assert again.status == "done"
    assert {name: (each.read, each.held_out) for name, each in again.corpus.items()} == {
        "web": (30, 0),
        "shop": (20, 0),
    }
    assert all(counts.tokens for counts in again.corpus.values())
    assert again.recipe == recipe
    assert any("curate" in line for line in notes.lines)
    assert again.load_tokenizer().mask_token == "[MASK]"


def test_an_unknown_stage_is_refused(tokenized_run):
    _, recipe, where = tokenized_run
    with pytest.raises(rexplug.RecipeError, match="--until trian: unknown stage; the stages are relevance, "):
        rexplug.run(recipe, run_dir=where.root, until="trian")


def test_from_a_stage_after_the_last_one_is_refused(tokenized_run):
    _, recipe, where = tokenized_run
    with pytest.raises(rexplug.RecipeError) as error:
        rexplug.run(recipe, run_dir=where.root, from_="train", until="curate")
    assert str(error.value) == "--from train: comes after --until curate, so that nothing would be done again"


def test_a_script_without_a_main_guard_gets_a_clear_error(tokenized_run, monkeypatch):
    import multiprocessing

    _, recipe, where = tokenized_run
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(rexplug.RexplugError) as error:
        rexplug.run(recipe, run_dir=where.root)
    assert str(error.value) == (
        "rexplug.run was called while a worker process imported this script; put the call under "
        "`if __name__ == '__main__':`, since workers import the script that starts them"
    )
