"""Stages are skipped, redone for a stated reason, resumed, and selected with --until and --from."""

import shutil
from pathlib import Path

import pytest

from rexplug.errors import DataError, RecipeError
from rexplug.pipeline.manifest import Manifest, differences, locked
from rexplug.pipeline.run_stages import run_stages
from rexplug.pipeline.stages import Incomplete, Stage
from rexplug.run_directory import RunDirectory


class Notes:
    """A progress that records notes."""

    def __init__(self):
        self.lines = []

    def start(self, task, total=None, unit=""):
        pass

    def update(self, done, **metrics):
        pass

    def note(self, text):
        self.lines.append(text)


class Bench:
    """Three stages that write a file each: curate -> train.a -> report."""

    def __init__(self, folder: Path):
        self.run = RunDirectory(folder)
        self.calls: list[str] = []
        self.fail: str | None = None

    def stages(self, rate: float = 0.3) -> list[Stage]:
        def work(name: str):
            def do():
                self.calls.append(name)
                out = self.run.root / name
                out.mkdir(parents=True, exist_ok=True)
                (out / f"part-{len(self.calls)}").touch()
                if self.fail == name:
                    raise KeyboardInterrupt
                return {"files": len(list(out.iterdir()))}

            return do

        root = self.run.root
        return [
            Stage("curate", {"limit": 5}, work("curate"), outputs=(root / "curate",)),
            Stage("train.a", {"phase": {"masking": {"rate": rate}}}, work("train.a"), ("curate",), (root / "train.a",)),
            Stage("report", {}, work("report"), ("curate", "train.a"), (root / "report",)),
        ]

    def __call__(self, rate: float = 0.3, **options) -> list[str]:
        notes = Notes()
        run_stages(self.stages(rate), Manifest.open(self.run), notes, **options)
        return notes.lines


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "run")


def test_first_run_does_everything_in_order(bench):
    assert bench() == ["curate: starts", "train.a: starts", "report: starts"]
    assert bench.calls == ["curate", "train.a", "report"]
    assert Manifest.open(bench.run).stage("train.a")["result"] == {"files": 1}


def test_second_run_skips_everything(bench):
    bench()
    assert bench() == [
        "curate: done before (0 s), nothing it depends on changed",
        "train.a: done before (0 s), nothing it depends on changed",
        "report: done before (0 s), nothing it depends on changed",
    ]
    assert len(bench.calls) == 3


def test_a_changed_option_redoes_its_stage_and_what_follows(bench):
    bench()
    assert bench(rate=0.2)[1:] == [
        "train.a: runs again, because of a change: phase.masking.rate: 0.3 -> 0.2",
        "report: runs again, because a stage before it changed",
    ]
    assert [path.name for path in (bench.run.root / "train.a").iterdir()] == ["part-4"], "old outputs must be cleared"


def test_an_interrupted_stage_continues_with_its_files(bench):
    bench.fail = "train.a"
    with pytest.raises(KeyboardInterrupt):
        bench()
    bench.fail = None
    assert bench()[1] == "train.a: continues where it was stopped"
    assert len(list((bench.run.root / "train.a").iterdir())) == 2


def test_an_interrupted_stage_whose_options_changed_starts_clean(bench):
    bench.fail = "train.a"
    with pytest.raises(KeyboardInterrupt):
        bench()
    bench.fail = None
    assert bench(rate=0.1)[1] == "train.a: runs again, because of a change: phase.masking.rate: 0.3 -> 0.1"
    assert len(list((bench.run.root / "train.a").iterdir())) == 1


def test_a_missing_output_is_made_again(bench):
    bench()
    (bench.run.root / "report" / "part-3").unlink()
    (bench.run.root / "report").rmdir()
    assert bench()[2] == f"report: runs again, because {bench.run.root / 'report'} is gone"


def test_until_stops_after_the_stage(bench):
    assert bench(until="train") == ["curate: starts", "train.a: starts"]


def test_from_redoes_the_stage_and_what_depends_on_it(bench):
    bench()
    assert bench(from_="train.a") == [
        "curate: done before (0 s), nothing it depends on changed",
        "train.a: runs again, as asked with --from",
        "report: runs again, because train.a ran again",
    ]


def test_unknown_stage_names_those_that_exist(bench):
    with pytest.raises(RecipeError) as caught:
        bench(until="trian")
    assert str(caught.value) == (
        "--until trian: unknown stage; the stages are relevance, curate, tokenize, train, evaluate, export, report, train.a"
    )


def test_two_runs_do_not_share_a_folder(tmp_path):
    run = RunDirectory(tmp_path)
    with locked(run), pytest.raises(DataError) as caught, locked(run):
        pass
    assert str(caught.value) == (
        f"another rexplug run is using {tmp_path}; wait for it, or give this one its own folder with --run-dir"
    )


def test_differences_are_listed_with_their_path():
    assert differences(
        {"a": [{"use": "x", "words": 1}, {"use": "y"}]}, {"a": [{"use": "x", "words": 2}, {"use": "y"}]}
    ) == ["a.0.words: 1 -> 2"]
    assert differences({"a": [1]}, {"a": [1, 2]}) == ["a: [1] -> [1, 2]"]
    assert differences({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5}) == [
        "a.c: 2 -> 4",
        "e: nothing -> 5",
        "d: 3 -> nothing",
    ]


def precious(bench, rate=0.3, limit=5):
    stages = bench.stages(rate)
    return [
        Stage("curate", {"limit": limit}, stages[0].work, outputs=stages[0].outputs),
        Stage("train.a", stages[1].inputs, stages[1].work, ("curate",), stages[1].outputs, precious=True),
        stages[2],
    ]


def test_half_done_training_is_not_discarded_for_a_changed_recipe(bench):
    bench.fail = "train.a"
    with pytest.raises(KeyboardInterrupt):
        run_stages(precious(bench), Manifest.open(bench.run), Notes())
    bench.fail = None
    with pytest.raises(RecipeError) as error:
        run_stages(precious(bench, rate=0.2), Manifest.open(bench.run), Notes())
    assert str(error.value) == (
        "train.a is half done (0 s) with another recipe: phases.a.masking.rate: 0.3 -> 0.2. Undo the change, continue with the "
        "new value (--allow-change phases.a.masking.rate), do it again (--from train.a), or take another folder (--run-dir)"
    )
    assert len(list((bench.run.root / "train.a").iterdir())) == 1, "nothing was touched"
    with pytest.raises(RecipeError, match=r"with another recipe: curate: limit: 5 -> 6. Undo the change, do it again"):
        run_stages(precious(bench, limit=6), Manifest.open(bench.run), Notes())
    assert bench.calls == ["curate", "train.a"], "nor was the corpus made again"


def test_an_allowed_change_resumes_from_the_checkpoints(bench):
    bench.fail = "train.a"
    with pytest.raises(KeyboardInterrupt):
        run_stages(precious(bench), Manifest.open(bench.run), Notes())
    bench.fail, notes = None, Notes()
    run_stages(precious(bench, rate=0.2), Manifest.open(bench.run), notes, allow=["phases.a.masking"])
    assert notes.lines[1] == "train.a: continues with a change: phases.a.masking.rate: 0.3 -> 0.2"
    assert len(list((bench.run.root / "train.a").iterdir())) == 2
    notes = Notes()
    run_stages(precious(bench, rate=0.2), Manifest.open(bench.run), notes)
    assert "nothing it depends on changed" in notes.lines[1], "the new value is what the stage is known with now"


def test_half_done_training_is_done_again_when_asked(bench):
    bench.fail = "train.a"
    with pytest.raises(KeyboardInterrupt):
        run_stages(precious(bench), Manifest.open(bench.run), Notes())
    bench.fail, notes = None, Notes()
    run_stages(precious(bench, rate=0.2), Manifest.open(bench.run), notes, from_="train")
    assert notes.lines[1] == "train.a: runs again, as asked with --from"


def test_long_training_that_is_done_is_kept_too(bench):
    run_stages(precious(bench), Manifest.open(bench.run), Notes())
    Manifest.open(bench.run).set_stage("train.a", seconds=7200.0)
    with pytest.raises(RecipeError, match=r"train.a is done \(120.0 min\) with another recipe: phases.a.masking.rate"):
        run_stages(precious(bench, rate=0.2), Manifest.open(bench.run), Notes())


def test_long_training_is_not_discarded_because_an_earlier_output_is_missing(bench):
    run_stages(precious(bench), Manifest.open(bench.run), Notes())
    Manifest.open(bench.run).set_stage("train.a", seconds=7200.0)
    shutil.rmtree(bench.run.root / "curate")
    with pytest.raises(RecipeError) as caught:
        run_stages(precious(bench), Manifest.open(bench.run), Notes())
    assert str(caught.value) == (
        f"{bench.run.root / 'curate'} is gone, so that curate and what comes after it would run again, train.a too (120.0 min). "
        "Restore it, make it alone again (--until curate), do all of it again (--from curate), or take another folder "
        "(--run-dir)"
    )
    assert (bench.run.root / "train.a" / "part-2").exists()
    run_stages(precious(bench), Manifest.open(bench.run), Notes(), until="curate")
    notes = Notes()
    run_stages(precious(bench), Manifest.open(bench.run), notes)
    assert notes.lines[1] == "train.a: done before (120.0 min), nothing it depends on changed"
    run_stages(precious(bench), Manifest.open(bench.run), Notes(), from_="curate")
    assert not (bench.run.root / "train.a" / "part-2").exists()


def test_lost_training_is_done_again_without_asking(bench):
    run_stages(precious(bench), Manifest.open(bench.run), Notes())
    Manifest.open(bench.run).set_stage("train.a", seconds=7200.0)
    for name in ("curate", "train.a"):
        shutil.rmtree(bench.run.root / name)
    run_stages(precious(bench), Manifest.open(bench.run), Notes())
    assert bench.calls[-3:] == ["curate", "train.a", "report"]


def test_a_phase_of_another_length_is_refused_however_short_it_was(bench):
    def stages(tokens):
        curate, train, report = precious(bench)
        inputs = {"phase": {"tokens": tokens}}
        return [curate, Stage("train.a", inputs, train.work, train.after, train.outputs, precious=True), report]

    run_stages(stages(1000), Manifest.open(bench.run), Notes())
    for tokens in (2000, 500):
        with pytest.raises(RecipeError) as caught:
            run_stages(stages(tokens), Manifest.open(bench.run), Notes())
        assert str(caught.value) == (
            f"train.a is done (0 s) with another recipe: phases.a.tokens: 1000 -> {tokens}. Undo the change, continue with the new "
            "value (--allow-change phases.a.tokens), do it again (--from train.a), or take another folder (--run-dir)"
        )
    assert (bench.run.root / "train.a" / "part-2").exists()


def test_before_a_phase_is_cleared_the_option_that_would_resume_it_is_named(bench):
    run_stages(precious(bench), Manifest.open(bench.run), Notes())
    seen = []

    class Looking(Notes):
        def note(self, text):
            if text.startswith("train.a"):
                seen.append((text, (bench.run.root / "train.a" / "part-2").exists()))

    run_stages(precious(bench, rate=0.2), Manifest.open(bench.run), Looking())
    assert seen == [
        (
            "train.a: runs again, because of a change: phase.masking.rate: 0.3 -> 0.2; with --allow-change "
            "phases.a.masking.rate it would continue from its checkpoints instead",
            True,
        )
    ]


def measured(bench, rate=0.3):
    """curate -> train.a -> evaluate.a -> report, of which the evaluation may fail."""
    curate, train, report = precious(bench, rate)
    out = bench.run.root / "evaluate.a"

    def work():
        bench.calls.append("evaluate.a")
        if bench.fail == "evaluate.a":
            raise DataError("there is no test set")
        out.mkdir(exist_ok=True)
        return {"figure": {"main": "f1", "value": 0.5}}

    evaluate = Stage("evaluate.a", {"evaluators": ["f1"]}, work, ("train.a",), (out,), optional=True)
    return [
        curate,
        train,
        evaluate,
        Stage("report", {}, report.work, ("curate", "train.a", "evaluate.a"), report.outputs),
    ]


def test_a_failed_evaluation_does_not_stop_the_run_and_is_reported_at_the_end(bench):
    bench.fail, notes = "evaluate.a", Notes()
    with pytest.raises(Incomplete) as caught:
        run_stages(measured(bench), Manifest.open(bench.run), notes)
    assert str(caught.value) == (
        "everything else is done and kept, but these failed; the same command tries them again:\n"
        "  evaluate.a: there is no test set"
    )
    assert "evaluate.a: failed, and the run continues without it: there is no test set" in notes.lines
    assert bench.calls == ["curate", "train.a", "evaluate.a", "report"]
    assert Manifest.open(bench.run).stage("evaluate.a")["status"] == "failed"
    bench.fail, notes = None, Notes()
    run_stages(measured(bench), Manifest.open(bench.run), notes)
    assert notes.lines[1:] == [
        "train.a: done before (0 s), nothing it depends on changed",
        "evaluate.a: tries again what failed",
        "report: runs again, because evaluate.a ran again",
    ]
    assert Manifest.open(bench.run).stage("evaluate.a")["status"] == "done"


def test_an_internal_error_in_an_evaluation_is_raised_after_the_other_stages(bench):
    stages = measured(bench)

    def work():
        raise ZeroDivisionError("oops")

    stages[2] = Stage("evaluate.a", {}, work, ("train.a",), optional=True)
    with pytest.raises(ZeroDivisionError, match="oops"):
        run_stages(stages, Manifest.open(bench.run), Notes())
    assert bench.calls[-1] == "report"


def test_results_of_retrained_weights_are_marked_stale_and_redone(bench):
    run_stages(measured(bench), Manifest.open(bench.run), Notes())
    run_stages(measured(bench), Manifest.open(bench.run), Notes(), from_="train", until="train")
    assert Manifest.open(bench.run).stage("evaluate.a")["stale"] == "train.a ran again"
    notes = Notes()
    run_stages(measured(bench), Manifest.open(bench.run), notes)
    assert notes.lines[1:3] == [
        "train.a: done before (0 s), nothing it depends on changed",
        "evaluate.a: runs again, because train.a ran again",
    ]
    assert Manifest.open(bench.run).stage("evaluate.a")["stale"] is None


def test_results_of_another_recipe_are_stale_until_the_change_is_undone(bench):
    run_stages(measured(bench), Manifest.open(bench.run), Notes())
    run_stages(measured(bench, rate=0.2), Manifest.open(bench.run), Notes(), until="curate")
    stage = Manifest.open(bench.run).stage("evaluate.a")
    assert stage["stale"] == "the recipe, or code, that it depends on has changed"
    notes = Notes()
    run_stages(measured(bench), Manifest.open(bench.run), notes)
    assert all("done before" in line for line in notes.lines)
    assert Manifest.open(bench.run).stage("evaluate.a")["stale"] is None


def coded(bench, filter_="1.0 aa", policy="1.0 aa"):
    """curate by one plugin's code, train.a by another's."""
    curate, train, report = precious(bench)
    return [
        Stage("curate", {"limit": 5, "plugins": {"filters": filter_}}, curate.work, outputs=curate.outputs),
        Stage("train.a", {**train.inputs, "plugins": {"masks": policy}}, train.work, ("curate",), train.outputs, precious=True),
        report,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "told", "plugin"),
    [
        ({"policy": "1.0 bb"}, "plugins.masks: 1.0 aa -> 1.0 bb", "masks"),
        ({"filter_": "1.1 bb"}, "curate: plugins.filters: 1.0 aa -> 1.1 bb", "filters"),
    ],
)
def test_half_done_training_is_not_discarded_for_changed_code(bench, changed, told, plugin):
    bench.fail = "train.a"
    with pytest.raises(KeyboardInterrupt):
        run_stages(coded(bench), Manifest.open(bench.run), Notes())
    bench.fail = None
    with pytest.raises(RecipeError) as caught:
        run_stages(coded(bench, **changed), Manifest.open(bench.run), Notes())
    assert str(caught.value) == (
        f"train.a is half done (0 s) with other code: {told}. Undo the change, continue with the new code (--allow-change "
        f"plugins.{plugin}), do it again (--from train.a), or take another folder (--run-dir)"
    )
    assert bench.calls == ["curate", "train.a"]
    notes = Notes()
    run_stages(coded(bench, **changed), Manifest.open(bench.run), notes, allow=[f"plugins.{plugin}"])
    assert bench.calls == ["curate", "train.a", "train.a", "report"]
    assert len(list((bench.run.root / "train.a").iterdir())) == 2, "it continued from the steps that were done"
    assert any("as --allow-change says" in line for line in notes.lines)
    notes = Notes()
    run_stages(coded(bench, **changed), Manifest.open(bench.run), notes)
    assert all("done before" in line for line in notes.lines)
