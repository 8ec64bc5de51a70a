"""Names of models on the command line: labels are unique, also across number formats."""

import pytest

from rexplug import DataError
from rexplug.evaluation import ModelSpec, distinct, in_precisions
from rexplug.recipe.evaluation import Baseline, ModelOptions


def parsed(*names):
    return [ModelSpec.parse(name) for name in names]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["x=a", "x=b", "x=c"], ["x", "x-2", "x-3"]),
        (["x=a", "x=b", "x-2=c"], ["x", "x-2", "x-2-2"]),
        (["x-2=c", "x=a", "x=b"], ["x-2", "x", "x-3"]),
    ],
)
def test_labels_of_models_are_unique(names, labels):
    assert [spec.label for spec in distinct(parsed(*names))] == labels


def test_labels_in_bf16_differ_from_those_of_other_models():
    specs = distinct(in_precisions(parsed("x=a", "x-bf16=b", "x-bf16-2=c", "bm25"), ["fp32", "bf16"]))
    assert [(spec.label, spec.what, spec.precision) for spec in specs] == [
        ("x", "a", "fp32"),
        ("x-bf16", "a", "bf16"),
        ("x-bf16-2", "b", "fp32"),
        ("x-bf16-bf16", "b", "bf16"),
        ("x-bf16-2-2", "c", "fp32"),
        ("x-bf16-2-bf16", "c", "bf16"),
        ("bm25", "bm25", "fp32"),
    ]


def test_a_model_may_be_named_only_once_per_number_format():
    with pytest.raises(DataError) as error:
        distinct(parsed("x=a", "y=a"))
    assert str(error.value) == "the model a is named twice"
    assert len(distinct(in_precisions(parsed("x=a"), ["fp32", "bf16"]))) == 2


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (".", "'.'"),
        ("..", "'..'"),
        ("a\0b", r"'a\x00b'"),
        ("\ud800", r"'\ud800'"),
        ("ü" * 101, f"'{'ü' * 101}'"),
    ],
)
def test_a_label_must_be_a_valid_folder_name(label, shown):
    with pytest.raises(DataError) as error:
        ModelSpec.parse(f"{label}=bm25")
    assert str(error.value) == (
        f"{shown[:-1]}=bm25': {shown} is not a label: the model's results get a folder of that name; write LABEL=MODEL with "
        "another, of at most 200 bytes"
    )
    assert ModelSpec.parse("ü" * 100 + "=bm25").what == "bm25"


@pytest.mark.parametrize("folder", [".", "./", "../..", "/", "models/" + "x" * 201])
def test_a_folder_whose_name_cannot_be_a_label_needs_one(folder):
    with pytest.raises(
        DataError, match=r"is not a label: the model's results get a folder of that name; write LABEL=MODEL"
    ):
        ModelSpec.parse(folder)
    assert ModelSpec.parse(f"mine={folder}").label == "mine"


def test_a_model_with_options():
    spec = ModelSpec.of(Baseline(model="e5=intfloat/e5-base", query_prompt="query: ", precision="bf16"))
    assert (spec.label, spec.what, spec.precision) == ("e5", "intfloat/e5-base", "bf16")
    with_more = spec.with_options(ModelOptions(query_prompt="q: ", max_tokens=64))
    assert with_more.options.given == {"query_prompt": "query: ", "max_tokens": 64, "precision": "bf16"}
    assert ModelSpec.parse("bm25").with_options(ModelOptions(max_tokens=64)).options.given == {}
    assert spec.by_default("fp32").precision == "bf16"
    assert [found.precision for found in in_precisions([spec], ["fp32", "bf16"])] == ["bf16"]


def test_only_models_of_runs_were_trained_here(tmp_path):
    for folder in ("run/checkpoints/anneal/final", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.json").write_text("{}")
    (tmp_path / "run" / "run.json").write_text("{}")
    of_run, elsewhere = tmp_path / "run/checkpoints/anneal/final", tmp_path / "elsewhere"
    names = [str(of_run), str(elsewhere), f"random:{of_run}", "bm25", "intfloat/e5-base"]
    assert [ModelSpec.parse(name).trained_here for name in names] == [True, False, False, False, False]


def test_a_model_may_be_named_twice_with_other_options():
    specs = [ModelSpec.of(Baseline(model="a")), ModelSpec.of(Baseline(model="a", query_prompt="query: "))]
    assert [spec.label for spec in distinct(specs)] == ["a", "a-2"]


def test_lexical_baselines_have_no_options():
    with pytest.raises(DataError) as error:
        ModelSpec.of(Baseline(model="bm25", query_prompt="query: "))
    assert str(error.value) == "bm25 is not an encoder and has no option query_prompt; leave it out"


def test_the_model_of_a_run_after_a_phase(tmp_path):
    run = tmp_path / "shop"
    for folder in ("initial", "pretrain/final"):
        (run / "checkpoints" / folder).mkdir(parents=True)
        (run / "checkpoints" / folder / "config.json").write_text("{}")
    (run / "run.json").write_text("{}")
    initial, pretrain, twin, missing, other = parsed(
        f"{run}@initial", f"{run}@pretrain", f"random:{run}@pretrain", f"{run}@anneal", f"{tmp_path}@pretrain"
    )
    assert initial.place == run / "checkpoints/initial"
    assert pretrain.place == twin.place == run / "checkpoints/pretrain/final"
    assert (pretrain.label, twin.label) == ("shop-pretrain", "random-shop-pretrain")
    assert pretrain.label == parsed(str(run / "checkpoints/pretrain"))[0].label
    with pytest.raises(DataError) as caught:
        missing.load()
    assert str(caught.value) == f"{run}@anneal: the run has no such checkpoint; it has initial, pretrain"
    with pytest.raises(DataError) as caught:
        other.load()
    assert str(caught.value) == f"{tmp_path}@pretrain: there is no such folder"
