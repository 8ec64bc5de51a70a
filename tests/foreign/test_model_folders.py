"""Every entrance for a model under evaluation, over folders that rexplug did not make."""

import json
import shutil

import numpy as np
import pytest
import torch
from foreign import model_folders
from foreign.model_folders import NOT_A_MODEL, REFUSED, WORKING
from foreign.mutations import damage, refusal
from foreign.tokenizers import TEXT
from small_recipe import small_recipe

from rexplug import DataError
from rexplug.checksums import record_checksums
from rexplug.evaluation import ModelSpec
from rexplug.pipeline.preflight.inputs import check_inputs
from rexplug.recipe import load_recipe

ROW = [2, 6, 7, 8, 9, 10, 3]


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    model_folders.sound(folder)
    return folder


@pytest.fixture
def folder(case, sound, tmp_path):
    shutil.copytree(sound, tmp_path / "model")
    case.change(tmp_path / "model")
    return tmp_path / "model"


def check(folder):
    (folder.parent / "a.txt").write_text("a text")
    (folder.parent / "recipe.yaml").write_text(
        small_recipe(
            f"{{web: {{use: text, paths: {folder.parent}/a.txt}}}}", more=f"baselines: [{folder.parent}/model]\n"
        )
    )
    return check_inputs(load_recipe(folder.parent / "recipe.yaml"))


def expected(sound, pooling):
    from transformers import BertModel

    with torch.no_grad():
        vectors = BertModel.from_pretrained(sound).eval()(input_ids=torch.tensor([ROW])).last_hidden_state[0]
    if pooling == "mean":
        return vectors.mean(0)
    if pooling == "cls":
        return vectors[0]
    return torch.nn.functional.normalize(torch.tanh(2 * vectors[0]), dim=0)


@named(WORKING)
def test_odd_but_sound_folders_give_the_numbers_of_the_model(case, folder, sound):
    assert check(folder).lines() == []
    (found,) = ModelSpec("m", str(folder)).load().encode([TEXT])
    np.testing.assert_allclose(found, expected(sound, case.pooling).numpy(), atol=1e-6)
    assert not (folder / "ran").exists()


@named(REFUSED)
def test_what_is_damaged_or_hostile_is_refused_in_one_line(case, folder):
    sentence = case.refused.format(folder=folder)
    with pytest.raises(DataError) as refused:
        ModelSpec("m", str(folder)).load()
    if case.refused == NOT_A_MODEL:  # behind it stand the words of transformers or torch
        assert str(refused.value).startswith(sentence)
        assert len(str(refused.value)) > len(sentence)
        assert "\n" not in str(refused.value)
    else:
        assert str(refused.value) == sentence
    if case.seen:
        with pytest.raises(DataError) as refused:
            check(folder)
        assert str(refused.value) == f"baselines.0: {sentence}"
    else:
        assert check(folder).lines() == []
    assert not (folder / "ran").exists(), "code of the folder was run"


@pytest.mark.parametrize("said", [{"max_seq_length": 4}, {"do_lower_case": True}, {"max_seq_length": 4096}, {}])
def test_texts_are_cut_and_lowered_as_sentence_transformers_does(said, sound, tmp_path):
    from sentence_transformers import SentenceTransformer

    shutil.copytree(sound, tmp_path / "model")
    model_folders.input_said(**said)(tmp_path / "model")
    config = tmp_path / "model/tokenizer_config.json"
    config.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}))
    texts = [TEXT, "Red oak " * 12]
    ours = ModelSpec("m", str(tmp_path / "model")).load()
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    np.testing.assert_allclose(ours.encode(texts), theirs.encode(texts), atol=1e-6)
    model_folders.input_said()(tmp_path / "model")
    plain = ModelSpec("m", str(tmp_path / "model")).load()
    assert (ours.revision == plain.revision) == (not said)


def test_a_twin_with_random_weights_needs_no_weights(sound, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(sound, folder)
    (folder / "model.safetensors").unlink()
    name = ModelSpec("m", f"random:{folder}")
    name.check()
    assert name.load().tokenize([TEXT])[0].tolist() == ROW
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"model_type": "nobody-s", "auto_map": {"AutoConfig": "evil.C"}})
    )
    with pytest.raises(DataError, match="the model wants to run code of its own"):
        name.load()


def test_an_altered_tokenizer_of_a_run(sound, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(sound, folder)
    record_checksums(folder)
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text().replace('"oak": 7', '"elm": 7'))
    with pytest.raises(DataError) as refused:
        ModelSpec("m", str(folder)).load()
    assert str(refused.value) == (
        f"{folder} is not a model that can be evaluated: {folder}/tokenizer.json was altered: its content does not have the checksum "
        f"that was recorded when it was written; restore the file, or remove {folder}/checksums.json if the change is intended"
    )
    (folder / "checksums.json").unlink()
    assert ModelSpec("m", str(folder)).load().tokenize([TEXT])[0].tolist() != ROW


def test_a_file_is_not_a_model(sound):
    with pytest.raises(DataError) as refused:
        ModelSpec("m", str(sound / "config.json")).load()
    assert str(refused.value) == (
        f"{sound}/config.json is a file; a model is a folder with config.json and weights, or a hub name"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (model_folders.evil_module("evil.Evil"), model_folders.code("evil.Evil")),
        (model_folders.cut("model.safetensors", 0.5), NOT_A_MODEL + "{folder}/model.safetensors has "),
    ],
)
def test_evaluate_ends_in_one_line(sound, tmp_path, change, sentence, monkeypatch, capsys):
    from rexplug.cli import main

    folder = tmp_path / "model"
    shutil.copytree(sound, folder)
    change(folder)
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"thing {n},{'ab'[n % 2]}\n" for n in range(40)))
    (tmp_path / "suite.yaml").write_text("evaluators: [{use: classification, title: toy, train: $DATA/t.csv}]\n")
    command = [
        "evaluate",
        folder,
        "--suite",
        tmp_path / "suite.yaml",
        "--data",
        tmp_path,
        "--out",
        tmp_path / "out",
        "--quiet",
    ]
    monkeypatch.setattr("sys.argv", ["rexplug", *map(str, command)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith("rexplug: " + sentence.format(folder=folder))
    assert said.count("\n") == 1
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "seeds", [range(15), pytest.param(range(15, 300), marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_damage_by_seed_ends_in_one_line(sound, tmp_path, seeds):
    whole = tmp_path / "whole"
    shutil.copytree(sound, whole)
    model_folders.with_dense(whole)
    answers = []
    for seed in seeds:
        folder = tmp_path / str(seed)
        shutil.copytree(whole, folder)
        done = f"seed {seed}: {damage(folder, seed)}"
        name = ModelSpec("m", str(folder))
        answers.append(refusal(lambda name=name: (name.check(), name.load().encode([TEXT])), done))
    assert None in answers
    assert any(answers)
