"""Comparisons of models: results found in folders, pooled over runs, compared on the same items."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from rexplug import DataError, Metric, Scores
from rexplug.cli import cli
from rexplug.cli.comparison import cell_text
from rexplug.io.atomic import write_json
from rexplug.report.compare import Comparison, compare_models, pooled
from rexplug.report.comparison_page import write_comparison
from rexplug.report.results import find_all, find_results


def write(folder, values, *, evaluator="toy.search", metric="score", moment="last", reason=None, scores=True, ids=None):
    """A result as the harness writes it."""
    values = np.atleast_2d(values)
    content = {"evaluator": evaluator, "label": evaluator, "options": {}, "moment": moment, "revision": "r"}
    if reason:
        write_json(folder / f"{evaluator}.json", {**content, "not_applicable": reason})
        return folder
    content_of_metric = {
        "value": float(values.mean()),
        "low": None,
        "high": None,
        "num_items": values.shape[1],
        "spread": None,
        "num_seeds": None,
    }
    write_json(
        folder / f"{evaluator}.json", {**content, "main": metric, "metrics": {metric: content_of_metric}, "notes": []}
    )
    if scores:
        keys = ids or [str(i) for i in range(values.shape[1])]
        each = {"ids": keys, "values": values.tolist()}
        (folder / f"{evaluator}.scores").write_text(json.dumps({"scores": {metric: each}}))
    return folder


def trained(folder, label, values, seeds=3):
    """Several training runs of a method, pooled as an ablation pools them; with small differences between them."""
    runs = [write(folder / label / f"seed-{n}", np.asarray(values) + 0.001 * n) for n in range(seeds)]
    return pooled(label, [find_results(f"x={run}")[0] for run in runs])


@pytest.fixture
def low():
    return np.random.default_rng(0).random(200) * 0.5


NOT_VARIED = "differs on these items; seeds were not varied"


def test_differences_over_several_seeds_are_called_real(tmp_path, low):
    models = [trained(tmp_path, label, low + shift) for label, shift in (("a", 0.0), ("b", 0.1), ("c", -0.1))]
    comparison = compare_models(models)
    (row,) = comparison.rows
    assert [cell.difference.verdict for cell in row.cells[1:]] == ["real", "real"]
    assert comparison.findings()[0].startswith("toy.search score: b is above a by +0.100 (95 %: +0.100 to +0.100, p")
    write_comparison(comparison, html=tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text()
    assert 'class="n better"' in page
    assert 'class="n worse"' in page
    assert "the difference is called real" in page
    assert [cell_text(cell).plain.split("\n")[0][-2:] for cell in row.cells[1:]] == [" +", " -"]
    assert [str(cell_text(cell).style) for cell in row.cells] == ["", "green", "red"]


def test_one_training_run_against_several_is_not_called_real(tmp_path, low):
    (row,) = compare_models([trained(tmp_path, "a", low), trained(tmp_path, "b", low + 0.1, seeds=1)]).rows
    assert row.cells[1].difference.verdict == NOT_VARIED


def test_differences_of_single_training_runs_hold_only_for_these_items(tmp_path, low):
    generator = np.random.default_rng(1)
    write(tmp_path / "all" / "a", low)
    write(tmp_path / "all" / "b", low + 0.1)
    write(tmp_path / "all" / "c", generator.permutation(low))
    write(tmp_path / "all" / "d", low, reason="it cannot")
    models = find_results(str(tmp_path / "all"))
    assert [model.label for model in models] == ["a", "b", "c", "d"]
    comparison = compare_models(models)
    (row,) = comparison.rows
    assert [cell.difference and cell.difference.verdict for cell in row.cells] == [
        None,
        NOT_VARIED,
        "may be chance",
        None,
    ]
    assert not any(cell.difference.real for cell in row.cells if cell.difference)
    assert row.cells[3].reason == "it cannot"
    assert comparison.num_tests == 2
    first, second = comparison.findings()
    assert first == (
        f"toy.search score: b against a +0.100 (95 %: +0.100 to +0.100, p < 0.001 after Holm): {NOT_VARIED}."
    )
    assert second.endswith("may be chance.")


def test_page_and_json_hold_the_same(tmp_path, low):
    for name, shift in (("a", 0.0), ("b<i>", 0.1)):
        write(tmp_path / "all" / name, low + shift)
    comparison = compare_models(find_results(str(tmp_path / "all")))
    write_comparison(comparison, html=tmp_path / "c.html", json=tmp_path / "c.json", title="Two")
    page, file = (tmp_path / "c.html").read_text(), json.loads((tmp_path / "c.json").read_text())
    assert "<i>" not in page
    assert "b&lt;i&gt;" in page
    assert NOT_VARIED in page
    assert 'class="n better' not in page
    assert "No difference is called real" in page
    difference = file["rows"][0]["cells"][1]["difference"]
    assert (difference["real"], difference["verdict"]) == (False, NOT_VARIED)
    assert file["findings"] == comparison.findings()


def test_the_reference_is_the_first_model_that_has_the_metric(tmp_path, low):
    write(tmp_path / "bm25", low, reason="bm25 predicts no words")
    for name, shift in (("a", 0.0), ("b", 0.2)):
        write(tmp_path / name, low + shift)
    models = [find_results(str(tmp_path / name))[0] for name in ("bm25", "a", "b")]
    (row,) = compare_models(models).rows
    assert row.reference == "a"
    assert row.cells[2].difference.differs


def test_a_run_gives_its_last_moment_or_the_one_asked_for(tmp_path, low):
    run = tmp_path / "shop"
    for moment in ("initial", "pretrain", "anneal"):
        write(run / "evaluation" / moment, low, moment=moment)
    write_json(run / "run.json", {"stages": {f"evaluate.{m}": {} for m in ("initial", "pretrain", "anneal")}})
    assert find_results(str(run))[0].results["toy.search"]["moment"] == "anneal"
    (early,) = find_results(f"{run}@pretrain")
    assert (early.label, early.results["toy.search"]["moment"]) == ("shop@pretrain", "pretrain")
    assert find_results(f"mine={run}")[0].label == "mine"
    with pytest.raises(DataError) as caught:
        find_results(f"{run}@extend")
    assert str(caught.value) == f"{run}@extend: there is no such moment; there are initial, pretrain, anneal"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("{0}/none", "{0}/none: there is no such folder; give runs or folders that `rexplug evaluate` wrote"),
        ("{0}/empty", "{0}/empty: there are no results in it; give runs or folders that `rexplug evaluate` wrote"),
        ("{0}/one@last", "{0}/one@last: only runs have moments"),
    ],
)
def test_paths_without_results_are_refused(tmp_path, low, argument, message):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "one", low)
    with pytest.raises(DataError) as caught:
        find_results(argument.format(tmp_path))
    assert str(caught.value) == message.format(tmp_path)


def test_two_models_of_one_name_are_refused(tmp_path, low):
    write(tmp_path / "a", low)
    models = find_results(str(tmp_path / "a")) * 2
    with pytest.raises(DataError) as caught:
        compare_models(models)
    assert str(caught.value) == "two models are called 'a'; put LABEL= before one of them"


def test_folders_of_one_name_are_distinguished_by_their_parents(tmp_path, low, monkeypatch):
    for name in ("masking=random/seed-1", "masking=guided/seed-1", "other/seed-2", "x/masking=random/seed-1"):
        write(tmp_path / name, low)
    monkeypatch.chdir(tmp_path)
    names = ["masking=random/seed-1", "masking=guided/seed-1", "other/seed-2"]
    assert [results.label for results in find_all(names)] == [
        "masking=random/seed-1",
        "masking=guided/seed-1",
        "seed-2",
    ]
    further = find_all(["masking=random/seed-1", "x/masking=random/seed-1", "mine=other/seed-2"])
    assert [results.label for results in further] == [
        f"{tmp_path.name}/masking=random/seed-1",
        "x/masking=random/seed-1",
        "mine",
    ]
    # The same folder twice, or a label given twice, cannot be distinguished.
    with pytest.raises(DataError, match="two models are called 'm'; put LABEL= before one of them"):
        compare_models(find_all(["m=other/seed-2", "m=masking=random/seed-1"]))
    with pytest.raises(DataError, match="two models are called"):
        compare_models(find_all(["other/seed-2", "other/seed-2"]))


def test_runs_of_a_variant_are_one_model_with_a_spread(tmp_path, low):
    folders = [write(tmp_path / f"s{n}", low + shift) for n, shift in enumerate((0.0, 0.1, 0.2))]
    together = pooled("v", [find_results(str(folder))[0] for folder in folders])
    metric = Metric(**together.results["toy.search"]["metrics"]["score"])
    assert metric.value == pytest.approx(low.mean() + 0.1)
    assert metric.spread == pytest.approx(0.1)
    assert metric.num_seeds == 3
    assert isinstance(together.scores["toy.search"]["score"], Scores)
    assert len(together.scores["toy.search"]["score"].values) == 3
    write(tmp_path / "other", low, ids=[f"x{i}" for i in range(200)])
    with pytest.raises(DataError) as caught:
        pooled("v", [find_results(str(tmp_path / name))[0] for name in ("s0", "other")])
    assert str(caught.value) == "v: toy.search score: the runs were measured on different items and cannot be pooled"


def test_without_scores_nothing_is_tested_and_a_note_says_so(tmp_path, low):
    for name in ("a", "b"):
        write(tmp_path / "all" / name, low, scores=False)
    comparison = compare_models(find_results(str(tmp_path / "all")))
    assert comparison.num_tests == 0
    assert comparison.notes == [
        "toy.search score has no scores of single items, so that differences in it were not tested."
    ]


def test_the_command_prints_table_and_findings(tmp_path, low):
    for name, shift in (("a", 0.0), ("b", 0.1)):
        write(tmp_path / "all" / name, low + shift)
    done = CliRunner().invoke(cli, ["compare", str(tmp_path / "all"), "--html", str(tmp_path / "x.html")])
    assert done.exit_code == 0, done.output
    assert f"b against a +0.100 (95 %: +0.100 to +0.100, p < 0.001 after Holm): {NOT_VARIED}." in done.output
    assert " (+)\n" in done.output
    assert (
        "(+) and (-): on these items above or below the first model with the metric (paired, 1 tests, Holm); seeds"
        in done.output
    )
    assert (tmp_path / "x.html").is_file()


def heads(*models):
    comparison = Comparison(models, ())
    return comparison.varied, comparison.heads


def test_what_all_labels_share_is_shown_once():
    assert heads("masking=random rate:0.15", "masking=guided_mlm.whole_word") == (
        "masking",
        [["random rate:0.15"], ["guided_mlm.", "whole_word"]],
    )


def test_labels_that_differ_in_more_than_a_value_stay_whole():
    for models in (["a=1 b=2", "a=1 b=3"], ["runs/a", "masking=random"], ["masking=random"], ["a=1", "b=1"]):
        assert heads(*models) == (None, [[model] for model in models])


@pytest.mark.parametrize(
    ("formats", "note"),
    [
        (("fp32", "fp32"), None),
        (("fp32", "bf16"), "Evaluated with matrix products in bf16: b. The others are in fp32."),
        (("bf16", "bf16"), "Evaluated with matrix products in bf16: a, b."),
    ],
)
def test_models_that_were_evaluated_in_bf16_are_named(tmp_path, low, formats, note):
    for label, precision in zip("ab", formats, strict=True):
        path = write(tmp_path / label, low) / "toy.search.json"
        write_json(path, {**json.loads(path.read_text()), "precision": precision})
    comparison = compare_models(find_all([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert list(comparison.notes) == ([] if note is None else [note])


def test_results_of_different_code_are_named(tmp_path, low):
    for label, version in (("a", "2.11.0"), ("b", "2.12.0"), ("c", "2.11.0")):
        path = write(tmp_path / label, low) / "toy.search.json"
        write_json(path, {**json.loads(path.read_text()), "computed_by": {"rexplug": "1f", "torch": version}})
    notes = compare_models(find_all([str(tmp_path / label) for label in "abc"])).notes
    assert notes == [
        "toy.search was computed by other code, or with other versions of libraries, on b than on a; evaluate both again."
    ]


def test_metrics_with_the_tag_detail_are_compared(tmp_path, low):
    for label in ("a", "b"):
        write(tmp_path / "all" / label, low)
        path = tmp_path / "all" / label / "toy.search.json"
        content = json.loads(path.read_text())
        shown = {**content["metrics"]["score"], "tags": ["detail", "rare"]}
        write_json(
            path,
            content
            | {"metrics": {**content["metrics"], "of_rare": shown, "of_all.words": content["metrics"]["score"]}},
        )
    models = find_results(str(tmp_path / "all"))
    rows = compare_models(models).rows
    assert [(row.metric, row.tags) for row in rows] == [("score", ()), ("of_rare", ("detail", "rare"))]
    assert [row.metric for row in compare_models(models, every_metric=True).rows] == [
        "score",
        "of_rare",
        "of_all.words",
    ]
    assert [row["tags"] for row in compare_models(models).to_json()["rows"]] == [[], ["detail", "rare"]]


def test_pooled_runs_keep_tags(tmp_path, low):
    for number in range(2):
        path = write(tmp_path / f"seed-{number}", low) / "toy.search.json"
        content = json.loads(path.read_text())
        content["metrics"]["score"]["tags"] = ["rare"]
        write_json(path, content)
    of_seeds = [find_results(str(tmp_path / f"seed-{number}"))[0] for number in range(2)]
    assert tuple(pooled("both", of_seeds).results["toy.search"]["metrics"]["score"]["tags"]) == ("rare",)


def test_parts_of_masked_recovery_without_tags_are_compared(tmp_path, low):
    """Results of earlier versions have no tags."""
    for label in ("a", "b"):
        write(tmp_path / "all" / label, low, evaluator="masked_recovery", metric="web.published_acc@1")
        path = tmp_path / "all" / label / "masked_recovery.json"
        content = json.loads(path.read_text())
        one = content["metrics"]["web.published_acc@1"]
        write_json(path, content | {"metrics": {**content["metrics"], "web.salient": one, "web.other": one}})
    rows = compare_models(find_results(str(tmp_path / "all"))).rows
    assert [(row.metric, row.tags) for row in rows] == [
        ("web.published_acc@1", ()),
        ("web.salient", ("detail", "salient")),
    ]


def test_scores_that_do_not_fit_together_are_not_tested(tmp_path, low):
    write(tmp_path / "all" / "a", low)
    write(tmp_path / "all" / "b", low, ids=["1", "2"])
    comparison = compare_models(find_results(str(tmp_path / "all")))
    assert comparison.num_tests == 0
    (note,) = [note for note in comparison.notes if "scores" in note]
    assert note == "toy.search score, b: the scores do not fit together: there are 200 values in a row, but 2 ids."
