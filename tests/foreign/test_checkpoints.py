"""Checkpoints that rexplug did not make: check, training, export and evaluation give the model's own numbers or one exact sentence."""

import copy
import json

import numpy as np
import pytest
import torch
from foreign.checkpoints import loading, other_families, refused_configs, refused_weights
from foreign.checkpoints.folders import CLS, PAD, SEP, WORDS
from small_recipe import small_recipe

from rexplug.errors import DataError, NotApplicable

CASES = [*loading.CASES, *refused_weights.CASES, *refused_configs.CASES, *other_families.CASES]

TEXTS = ["w1 w2 w3", " ".join(WORDS[:40]), "w9"]
ROWS = [[CLS, 7, 9, SEP], [CLS, *range(5, 55), SEP], [CLS, 40, SEP]]


def recipe_from(folder, text):
    """A recipe that continues the checkpoint in `folder` on one text, with its tokenizer."""
    return small_recipe(
        f"{{web: {{use: text, paths: {text}}}}}", tokenizer=f"{{from: {folder}}}", model=f"{{from: {folder}}}"
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    (root / "a.txt").write_text("a text")
    return root


_made = {}


def made(place, case):
    """The folder of a case and its model in memory; each is written once."""
    if case.name not in _made:
        folder = place / case.name.replace(" ", "-")
        folder.mkdir()
        _made[case.name] = folder, case.make(folder)
    return _made[case.name]


def cases(condition):
    selected = [case for case in CASES if condition(case)]
    return pytest.mark.parametrize("case", selected, ids=[case.name for case in selected])


def family(case):
    """Whether it is a model of another family; `start` is only its model type then."""
    return case.start is not None and " " not in case.start


def refused(case, folder):
    if family(case):
        return f"model.from: '{folder}' is a {case.start} model; only ModernBERT-family checkpoints are supported"
    return f"model.from: '{folder}': {case.start.replace('{folder}', str(folder))}"


def check(place, folder, *overrides):
    from rexplug.pipeline.preflight.inputs import check_inputs
    from rexplug.recipe import load_recipe

    path = place / "recipe.yaml"
    path.write_text(recipe_from(folder, place / "a.txt"))
    return check_inputs(load_recipe(path, overrides))


_started = {}


def started(folder):
    """What `start` gives, loaded once per folder; a copy that may be changed."""
    if folder not in _started:
        _started[folder] = start(folder)
    return copy.deepcopy(_started[folder].model)


def start(folder, seed=5, **options):
    from rexplug.model.build import start_model
    from rexplug.recipe.schema import Model
    from rexplug.tokens.special import SpecialTokens

    spec = Model.model_validate({"from": str(folder)} | options)
    return start_model(spec, SpecialTokens.read(folder), context=64, seed=seed)


@cases(lambda case: True)
def test_check(place, case):
    folder, _ = made(place, case)
    if case.start is not None and not case.pickled:
        with pytest.raises(DataError) as caught:
            check(place, folder)
        assert str(caught.value) == refused(case, folder)
        return
    warnings = []
    if case.new_head and case.start is None:
        warnings.append(f"model.from: '{folder}' has no masked-LM head; a new one starts from random weights")
    if case.remark:
        warnings.append(f"model.from: '{folder}' sets {case.remark}; rexplug trains without")
    assert list(check(place, folder).warnings) == warnings


@cases(lambda case: case.start is not None)
def test_training_does_not_start_from(place, case):
    folder, _ = made(place, case)
    with pytest.raises(DataError) as caught:
        start(folder)
    assert str(caught.value) == refused(case, folder)


def own_logits(model, row):
    with torch.no_grad():
        return model(input_ids=torch.tensor([row])).logits[0]


def packed_logits(model, rows):
    from rexplug.model.attention import Packing
    from rexplug.model.packed import forward_packed, use_packed_attention

    use_packed_attention(model.eval())
    lengths = [len(row) for row in rows]
    cu_seqlens = torch.tensor([0, *np.cumsum(lengths).tolist()], dtype=torch.int32)
    with torch.no_grad():
        hidden = forward_packed(
            model, torch.tensor([token for row in rows for token in row]), Packing(cu_seqlens, sum(lengths), "blocks")
        )
        return hidden.split(lengths), model.decoder(model.head(hidden)).split(lengths)


@cases(lambda case: case.start is None)
def test_training_starts_from_the_numbers_of(place, case):
    folder, model = made(place, case)
    first = started(folder)
    new_weights = _started[folder].new_weights
    assert bool(new_weights) == case.new_head
    for row, hidden, logits in zip(ROWS, *packed_logits(first, ROWS), strict=True):
        with torch.no_grad():
            right = model.base_model(input_ids=torch.tensor([row])).last_hidden_state[0]
        torch.testing.assert_close(hidden, right, atol=1e-4, rtol=1e-4)
        if not case.new_head:
            torch.testing.assert_close(logits, own_logits(model, row), atol=2e-4, rtol=1e-4)
    if case.new_head:
        again = start(folder).model
        assert set(new_weights) == {"decoder.bias", "head.dense.weight", "head.norm.weight"}
        assert torch.equal(first.head.dense.weight, again.head.dense.weight), "the same seed, the same head"
        assert not torch.equal(first.head.dense.weight, start(folder, seed=6).model.head.dense.weight)
    assert first.config.pad_token_id == PAD


@cases(lambda case: case.start is None and not case.new_head)
def test_a_step_of_training_has_the_gradient_of(place, case):
    """Masked tokens' loss by our head and layers against transformers' own, in every weight."""
    from rexplug.model.attention import Packing
    from rexplug.model.loss import masked_lm_loss
    from rexplug.model.packed import forward_packed, use_packed_attention

    folder, model = made(place, case)
    ours = started(folder)
    use_packed_attention(ours.train())
    row, places, labels = ROWS[1], torch.tensor([3, 8, 20]), torch.tensor([9, 10, 11])
    packing = Packing(torch.tensor([0, len(row)], dtype=torch.int32), len(row), "blocks")
    masked_lm_loss(ours, forward_packed(ours, torch.tensor(row), packing)[places], labels)[0].backward()
    model.zero_grad()
    logits = model(input_ids=torch.tensor([row])).logits[0][places]
    torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
    right = {name: each.grad for name, each in model.named_parameters()}
    for name, each in ours.named_parameters():
        torch.testing.assert_close(each.grad, right[name], atol=1e-3, rtol=1e-3, msg=name)


@pytest.mark.slow
@cases(lambda case: case.start is None)
def test_resume_and_export_of(place, case, tmp_path):
    """A run's own checkpoint of it, read back and exported, holds the same numbers."""
    from transformers import AutoModelForMaskedLM

    from rexplug.model.build import load_model, save_model
    from rexplug.model.export import export

    folder, _ = made(place, case)
    first = started(folder)
    save_model(first, tmp_path / "checkpoint")
    again = load_model(tmp_path / "checkpoint")
    assert all(torch.equal(values, again.state_dict()[name]) for name, values in first.state_dict().items())
    parity = export(tmp_path / "checkpoint", folder, tmp_path / "model", sample_texts=TEXTS)
    assert parity["max_difference"] <= 1e-5
    exported = AutoModelForMaskedLM.from_pretrained(tmp_path / "model").eval()
    for row in ROWS:
        torch.testing.assert_close(own_logits(exported, row), own_logits(first, row), atol=1e-4, rtol=1e-4)


def test_a_new_head_is_reported_and_kept_in_run_json(place, tmp_path, notes):
    from rexplug.pipeline.run import run_recipe
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import load_recipe

    folder, _ = made(place, next(case for case in CASES if case.name == "headless"))
    (tmp_path / "a.txt").write_text(" ".join(WORDS))
    (tmp_path / "recipe.yaml").write_text(recipe_from(folder, tmp_path / "a.txt"))
    registry = load_plugins()
    recipe = load_recipe(tmp_path / "recipe.yaml", ["curation={deduplicate: none, held_out: 0}"], registry=registry)
    run_recipe(recipe, tmp_path / "run", notes, plugins=registry.versions(), command="", until="train.initial")
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["stages"]["train.initial"]["result"]
    assert kept["new_weights"] == ["decoder.bias", "head.dense.weight", "head.norm.weight"]
    said = f"'{folder}' has no masked-LM head; a new one starts from random weights"
    assert f"  {said}" in notes.lines


def evaluated(folder, what="{folder}"):
    from rexplug.evaluation.models import ModelSpec

    return ModelSpec.parse(what.format(folder=folder)).load()


@pytest.mark.slow
@cases(lambda case: case.evaluate is None)
def test_evaluation_has_the_numbers_of(place, case):
    folder, model = made(place, case)
    encoder = evaluated(folder)
    rows = [np.array(row) for row in ROWS]
    for row, vector in zip(ROWS, encoder.embed_rows(rows), strict=True):
        with torch.no_grad():
            right = model.base_model(input_ids=torch.tensor([row])).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, right.numpy(), atol=1e-4, rtol=1e-4)
    places = [np.array([1]), np.array([2, 30]), np.array([1])]
    if case.new_head:
        with pytest.raises(NotApplicable):
            encoder.predict_masked(rows, places, 5)
    else:
        for row, where, ids in zip(ROWS, places, encoder.predict_masked(rows, places, 5), strict=True):
            output = model(input_ids=torch.tensor([row]))
            logits = output.logits if hasattr(output, "logits") else output.prediction_logits
            np.testing.assert_array_equal(ids, logits[0][where].topk(5).indices.numpy())
    if family(case):
        assert evaluated(folder).revision == encoder.revision, "the same model is the same in two evaluations"
    # A text cut at what the model says it takes is taken.
    assert encoder.max_tokens in (64, 66)
    longest = np.array([CLS, *[7] * (encoder.max_tokens - 2), SEP])
    assert np.isfinite(encoder.embed_rows([longest])).all()


@cases(lambda case: case.evaluate is not None)
def test_evaluation_refuses(place, case):
    folder, _ = made(place, case)
    with pytest.raises(DataError) as caught:
        evaluated(folder)
    assert str(caught.value) == (
        f"{folder} is not a model that can be evaluated: {case.evaluate.replace('{folder}', str(folder))}"
    )


@cases(lambda case: case.start is not None and case.evaluate is not None and not case.pickled and not family(case))
def test_check_of_a_baseline_refuses(place, case):
    folder, _ = made(place, case)
    plain, _ = made(place, CASES[0])
    with pytest.raises(DataError) as caught:
        check(place, plain, f"baselines=[mine={folder}]")
    assert str(caught.value) == (
        f"baselines.0: {folder} is not a model that can be evaluated: {case.evaluate.replace('{folder}', str(folder))}"
    )


@cases(lambda case: case.evaluate is None)
def test_check_of_a_baseline_passes(place, case):
    folder, _ = made(place, case)
    plain, _ = made(place, CASES[0])
    assert check(place, plain, f"baselines=[mine={folder}, random:{folder}]").lines() == []
