"""Runs of one label are training runs of one model."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from rexplug import DataError
from rexplug.cli import cli
from rexplug.io.atomic import write_json
from rexplug.report.compare import compare_models
from rexplug.report.seeds import find_models


def notes_of(comparison):
    """The notes on models and seeds, without those on time."""
    return [note for note in comparison.notes if not note.startswith("Time: ")]


@pytest.fixture
def low():
    return np.random.default_rng(0).random(200) * 0.5


def write(folder, values, *, revision, trained_here=True, moment="anneal"):
    """A result as the harness writes it."""
    values = np.atleast_2d(values)
    metric = {"value": float(values.mean()), "low": None, "high": None, "num_items": values.shape[1]}
    write_json(
        folder / "toy.search.json",
        {
            "evaluator": "toy.search", "label": "toy.search", "options": {}, "moment": moment, "revision": revision,
            "trained_here": trained_here, "main": "score", "metrics": {"score": metric}, "notes": [],
        },
    )  # fmt: skip
    items = {"ids": [str(i) for i in range(values.shape[1])], "values": values.tolist()}
    (folder / "toy.search.scores").write_text(json.dumps({"scores": {"score": items}}))
    return folder


def write_run(folder, values, seed, *, moments=("anneal",), **recipe):
    """A run directory with an evaluation after each moment."""
    for moment in moments:
        write(folder / "evaluation" / moment, values, revision=f"{folder.name}-{seed}-{moment}", moment=moment)
    write_json(folder / "run.json", {"stages": {f"evaluate.{moment}": {} for moment in moments}})
    (folder / "recipe.yaml").write_text(
        json.dumps({"name": folder.name, "training_seed": seed, "phases": {"anneal": {"steps": 10, **recipe}}})
    )
    return folder


@pytest.fixture
def runs(tmp_path, low):
    """Two methods, three seeds each."""
    for number in range(3):
        write_run(tmp_path / f"a-{number}", low + 0.002 * number, number)
        write_run(tmp_path / f"b-{number}", low + 0.1 + 0.002 * number, number)
    return tmp_path


def test_runs_of_a_label_are_pooled_and_their_difference_is_real(runs):
    models = find_models([f"{name}={runs}/{name}-{number}" for number in range(3) for name in "ab"])
    assert [(model.label, model.training_runs, list(model.notes)) for model in models] == [("a", 3, []), ("b", 3, [])]
    (row,) = compare_models(models).rows
    assert row.cells[0].metric.num_seeds == 3
    assert row.cells[1].difference.verdict == "real"
    assert row.cells[1].difference.training_runs == 3


def test_runs_without_labels_stay_models_of_their_own(runs):
    models = find_models([str(runs / "a-0"), f"b={runs}/b-0", str(runs / "a-1"), f"b={runs}/b-1"])
    assert [(model.label, model.training_runs) for model in models] == [("a-0", 1), ("b", 2), ("a-1", 1)]


def test_the_folder_of_a_variant_stands_for_its_seeds(tmp_path, low):
    for number in (17, 18, 19):
        for name, shift in (("masking=random", 0.0), ("masking=guided", 0.1)):
            write_run(
                tmp_path / name / f"seed-{number}", low + shift + 0.001 * number, number, moments=("pretrain", "anneal")
            )
    first, second = find_models([str(tmp_path / "masking=random"), f"mine={tmp_path}/masking=guided@pretrain"])
    assert (first.label, first.training_runs, first.results["toy.search"]["moment"]) == ("masking=random", 3, "anneal")
    assert (second.label, second.training_runs, second.results["toy.search"]["moment"]) == ("mine", 3, "pretrain")


def test_several_seeds_against_a_model_without_seeds_can_be_real(runs, low):
    write(runs / "out" / "bm25", low, revision="bm25", trained_here=False)
    write(runs / "out" / "minilm", low + 0.2, revision="m", trained_here=False)
    of_b = [f"b={runs}/b-{number}" for number in range(3)]

    def verdicts(*arguments):
        comparison = compare_models(find_models(arguments))
        return [cell.difference.verdict for cell in comparison.rows[0].cells[1:]], notes_of(comparison)

    note = (
        "Not trained here and taken as they are, without seeds to vary: {}. What is said about them is about these models, "
        "not about how they were trained."
    )
    assert verdicts(str(runs / "out" / "bm25"), *of_b) == (["real"], [note.format("bm25")])
    assert verdicts(str(runs / "out" / "bm25"), str(runs / "out" / "minilm")) == (
        ["real"],
        [note.format("bm25, minilm")],
    )
    one_seed = ["differs on these items; seeds were not varied"]
    assert verdicts(str(runs / "out" / "bm25"), of_b[0]) == (one_seed, [])
    assert verdicts(f"a={runs}/a-0", *of_b) == (one_seed, [])


def test_what_is_not_a_run_with_another_seed_is_not_pooled(runs, low):
    write(runs / "out" / "bm25", low, revision="bm25", trained_here=False)

    def refused(*arguments):
        with pytest.raises(DataError) as caught:
            find_models(arguments)
        return str(caught.value).replace(f"{runs}/", "")

    assert refused(f"a={runs}/a-0", f"a={runs}/out/bm25") == (
        "'a' is given to a=a-0 and a=out/bm25: only runs that differ in their seed can be pooled, and a=out/bm25 is not the "
        "result of a run; give it a label of its own"
    )
    assert refused(f"a={runs}/a-0", f"a={runs}/a-0") == (
        "'a' is given to a=a-0 and a=a-0, which have the same weights; pool runs with different seeds (training_seed)"
    )
    write_run(runs / "c", low, 9, moments=("pretrain",))
    assert refused(f"a={runs}/a-0", f"a={runs}/c") == (
        "'a' is given to models of different moments: a=a-0 after anneal, a=c after pretrain"
    )
    write_run(runs / "d", low[:50], 9)
    assert refused(f"a={runs}/a-0", f"a={runs}/d") == (
        "a: toy.search score: the runs were measured on different items and cannot be pooled"
    )


def test_recipes_that_differ_in_more_than_the_seed_are_named(runs, low):
    write_run(runs / "a-9", low, 9, steps=20, masking="random")
    comparison = compare_models(find_models([f"a={runs}/a-0", f"a={runs}/a-9", f"b={runs}/b-0"]))
    assert notes_of(comparison) == [
        f"a: the recipes of a={runs}/a-0 and a={runs}/a-9 differ in more than the seed: phases.anneal.steps, "
        "phases.anneal.masking."
    ]


def test_the_command_pools_and_writes_tables(runs):
    files = {name: runs / f"table.{name}" for name in ("csv", "markdown", "latex")}
    options = [argument for name, path in files.items() for argument in (f"--{name}", str(path))]
    arguments = [f"{name}={runs}/{name}-{number}" for name in "ab" for number in range(3)]
    done = CliRunner().invoke(cli, ["compare", *arguments, *options])
    assert done.exit_code == 0, done.output
    assert "b is above a by +0.100" in done.output
    assert (
        "+ and -: really above or below the first model with the metric (paired, 1 tests, Holm); ~: may be"
        in done.output
    )
    assert "seeds were not varied" not in done.output
    assert all(path.stat().st_size for path in files.values())
