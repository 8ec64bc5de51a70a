"""Checks before a run: tokenizer, checkpoint, baselines, and names on the Hugging Face hub."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_recipe import small_recipe
from tokenizers import Tokenizer, models, processors

from rexplug.errors import DataError
from rexplug.model.config_file import ConfigFile
from rexplug.pipeline.preflight.inputs import check_inputs
from rexplug.recipe import load_recipe

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "a.txt").write_text("a text")
    (tmp_path / "recipe.yaml").write_text(small_recipe(f"{{web: {{use: text, paths: {tmp_path}}}}}"))
    return tmp_path


@pytest.fixture
def look(place):
    def do(*overrides):
        return check_inputs(load_recipe(place / "recipe.yaml", overrides))

    return do


def tokenizer(folder, tokens=50, first="t", order=list):
    folder.mkdir(exist_ok=True)
    pieces = [*SPECIAL, *order([f"{first}{number}" for number in range(len(SPECIAL), tokens)])]
    fast = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    fast.add_special_tokens(SPECIAL)
    fast.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    fast.save(str(folder / "tokenizer.json"))
    return folder


TINY = {
    "model_type": "modernbert", "vocab_size": 64, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip


def checkpoint(folder, **config):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(TINY | config))
    shapes = ConfigFile.of(TINY | config).expected_weights()
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, folder / "model.safetensors")
    return folder


def test_a_tokenizer_and_a_checkpoint_in_a_folder(place, look):
    folder = checkpoint(tokenizer(place / "encoder"))
    report = look(f"tokenizer={{from: {folder}}}", f"model={{from: {folder}}}", f"baselines=[bm25, mine={folder}]")
    assert report.lines() == []


def complaints(look, *overrides):
    with pytest.raises(DataError) as caught:
        look(*overrides)
    return str(caught.value).splitlines()


def test_all_problems_are_reported_at_once(place, look):
    (place / "empty").mkdir()
    assert complaints(
        look, f"tokenizer={{from: {place}/none}}", f"model={{from: {place}/empty}}", "baselines=[./none/such, 'x=']"
    ) == [
        f"tokenizer.from: the folder '{place}/none' does not exist",
        f"model.from: the folder '{place}/empty' has no config.json",
        "baselines.0: the folder './none/such' does not exist",
        "baselines.1: 'x=' does not name a model; write a folder, a hub name, bm25, tfidf, random:FOLDER, onnx:FOLDER or embeddings:FOLDER",
    ]


def test_baselines_of_other_kinds(place, look):
    folder = checkpoint(tokenizer(place / "encoder"))
    saved = place / "saved"
    saved.mkdir()
    (saved / "e.jsonl").write_text('{"text": "oak", "embedding": [1, 2]}')
    assert look(f"baselines=['embeddings:{saved}', {{model: {folder}, dimensions: 8}}]").lines() == []
    assert complaints(
        look, f"baselines=['embeddings:{place}/none', 'onnx:{folder}', {{model: 'onnx:{folder}', precision: int8}}]"
    ) == [
        f"baselines.0: embeddings:{place}/none: there is no such folder",
        f"baselines.1: {folder} has no onnx/model.onnx; there is no .onnx file in it",
        f"baselines.2: onnx:{folder}: an ONNX graph has the number format that it was written in; leave precision out",
    ]


def test_a_checkpoint_must_fit(place, look):
    own, other = checkpoint(tokenizer(place / "own")), checkpoint(place / "bert", model_type="bert")
    large = tokenizer(place / "large", tokens=100)
    assert complaints(look, f"model={{from: {own}}}") == [
        f"tokenizer: a checkpoint needs its own tokenizer, whose ids it was trained with: tokenizer: {{from: {own}}}"
    ]
    assert complaints(look, f"tokenizer={{from: {own}}}", f"model={{from: {other}}}") == [
        f"model.from: '{other}' is a bert model; only ModernBERT-family checkpoints are supported"
    ]
    assert complaints(look, f"tokenizer={{from: {large}}}", f"model={{from: {own}}}") == [
        f"model.from: '{own}' has 64 embeddings, but the tokenizer has 100 tokens; use the checkpoint's own tokenizer "
        f"(tokenizer: {{from: {own}}}), or add rows for new tokens with model.resize_vocabulary: true"
    ]
    assert complaints(look, f"tokenizer={{from: {own}}}", f"model={{from: {own}, revision: v1}}") == [
        f"model.revision: '{own}' is a folder, and only hub repositories have revisions"
    ]
    assert look(f"tokenizer={{from: {large}}}", f"model={{from: {own}, resize_vocabulary: true}}").warnings == ()


def test_special_tokens_and_spare_rows_must_fit(place, look):
    own = checkpoint(tokenizer(place / "own"), sep_token_id=9)
    assert complaints(look, f"tokenizer={{from: {own}}}", f"model={{from: {own}}}") == [
        f"model.from: '{own}' knows [SEP] as 9, but the tokenizer as 3; use the checkpoint's own tokenizer "
        f"(tokenizer: {{from: {own}}})"
    ]
    assert complaints(look, f"tokenizer={{from: {own}}}", f"model={{from: {own}, resize_vocabulary: true}}") == [
        f"model.resize_vocabulary: '{own}' has 64 embeddings already and the tokenizer 50 tokens; leave it out"
    ]


def test_a_theta_of_missing_layers(place, look):
    own = checkpoint(tokenizer(place / "own"), layer_types=["full_attention"] * 2)
    start = [f"tokenizer={{from: {own}}}", f"model={{from: {own}}}"]
    assert complaints(look, *start, "phases.anneal.rope={local_theta: 20000}") == [
        f"phases.anneal.rope.local_theta: '{own}' has no local layers; leave it out"
    ]
    look(*start, "phases.anneal.rope={global_theta: 20000}")


def test_another_vocabulary_of_the_same_size_is_refused(place, look):
    own, other = checkpoint(tokenizer(place / "own")), tokenizer(place / "other", first="x")
    moved = tokenizer(place / "moved", order=reversed)
    model = f"model={{from: {own}}}"
    assert look(f"tokenizer={{from: {own}}}", model).lines() == []
    assert complaints(look, f"tokenizer={{from: {moved}}}", model) == [
        f"model.from: '{own}' was trained with other ids than the tokenizer has: 44 of 50 shared tokens have other ids ('t49' is 5 "
        "and not 49, 't48' is 6 and not 48, 't47' is 7 and not 47); use the checkpoint's own tokenizer "
        f"(tokenizer: {{from: {own}}})"
    ]
    assert complaints(look, f"tokenizer={{from: {other}}}", model) == [
        f"model.from: '{own}' was trained with other ids than the tokenizer has: 45 ids stand for other tokens (5 is 'x5' and not 't5', "
        "6 is 'x6' and not 't6', 7 is 'x7' and not 't7'); use the checkpoint's own tokenizer "
        f"(tokenizer: {{from: {own}}})"
    ]


def test_a_larger_vocabulary_keeps_the_ids_of_the_checkpoint(place, look):
    own = checkpoint(tokenizer(place / "own"))
    large, moved = tokenizer(place / "large", tokens=200), tokenizer(place / "moved", tokens=200, order=reversed)
    model = f"model={{from: {own}, resize_vocabulary: true}}"
    assert look(f"tokenizer={{from: {large}}}", model).lines() == []
    assert complaints(look, f"tokenizer={{from: {moved}}}", model) == [
        f"model.from: '{own}' was trained with other ids than the tokenizer has: 45 of 50 shared tokens have other ids ('t49' is 155 "
        "and not 49, 't48' is 156 and not 48, 't47' is 157 and not 47); use the checkpoint's own tokenizer "
        f"(tokenizer: {{from: {own}}}); resize_vocabulary adds tokens after those of the checkpoint"
    ]


def test_a_checkpoint_of_a_run_is_compared_with_the_tokenizer_of_the_run(place, look):
    run = place / "run"
    (run / "checkpoints/pretrain").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    own, folder = tokenizer(run / "tokenizer"), checkpoint(run / "checkpoints/pretrain/final")
    other = tokenizer(place / "other", first="x")
    assert look(f"tokenizer={{from: {own}}}", f"model={{from: {folder}}}").lines() == []
    (problem,) = complaints(look, f"tokenizer={{from: {other}}}", f"model={{from: {folder}}}")
    assert problem.endswith(f"use the checkpoint's own tokenizer (tokenizer: {{from: {own.resolve()}}})")


def test_a_checkpoint_without_a_tokenizer_gets_a_note(place, look):
    own, bare = tokenizer(place / "own"), checkpoint(place / "bare")
    assert look(f"tokenizer={{from: {own}}}", f"model={{from: {bare}}}").lines() == [
        f"  note: model.from: '{bare}' has no tokenizer.json, so that its ids cannot be compared with those of the "
        "recipe's tokenizer"
    ]


def test_baselines_that_cannot_be_loaded(place, look):
    damaged = checkpoint(tokenizer(place / "damaged"))
    (damaged / "model.safetensors").write_bytes(b"not weights")
    assert complaints(look, f"baselines=[{damaged}, {place}/a.txt]") == [
        f"baselines.0: {damaged} is not a model that can be evaluated: {damaged}/model.safetensors is not a safetensors file, or is cut "
        "short",
        f"baselines.1: '{place}/a.txt' is a file; a model is a folder with config.json and weights, or a hub name",
    ]


def test_a_folder_without_a_tokenizer(place, look):
    (place / "empty").mkdir()
    assert complaints(look, f"tokenizer={{from: {place}/empty}}") == [
        f"tokenizer.from: the folder '{place}/empty' holds no tokenizer (tokenizer.json)"
    ]


def test_a_released_checkpoint_gets_a_note(look):
    released = ["tokenizer={from: nobody/none}", "model={from: jhu-clsp/ettin-encoder-17m}"]
    assert look(*released).warnings == (
        "model.from: the released 'jhu-clsp/ettin-encoder-17m' ended with a learning rate decay, and phase 'anneal' decays "
        "it again; a checkpoint from before the decay learns more from it (model.revision names one)",
    )
    assert look(*released, "phases.anneal.learning_rate.schedule=constant").warnings == ()
    early = look(released[0], "model={from: jhu-clsp/ettin-encoder-17m, revision: ext1000}")
    assert early.warnings == ()
    assert str(early.unchecked["model.from"]) == "model jhu-clsp/ettin-encoder-17m at 'ext1000'"


class Hub(BaseHTTPRequestHandler):
    """Answers requests for a repository like the hub."""

    def do_GET(self):
        known = self.path.startswith("/api/models/known/encoder")
        if known and "revision" not in self.path:
            return self.answer(200, {"id": "known/encoder", "siblings": [], "tags": []})
        return self.answer(404, {"error": "none"}, "RevisionNotFound" if known else "RepoNotFound")

    def answer(self, status, body, code=None):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Content-Type", "application/json")
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(place):
    """Runs `rexplug check --hub` against a local server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def check(*overrides, endpoint=f"http://127.0.0.1:{server.server_port}"):
        return subprocess.run(
            [sys.executable, "-c", "from rexplug.cli import main; main()", "check", "--hub", "recipe.yaml", *overrides],
            cwd=place, capture_output=True, text=True, check=False,
            env=os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(place / "home"), "HF_HUB_OFFLINE": "0"},
        )  # fmt: skip

    yield check
    server.shutdown()
    server.server_close()


def test_the_hub_is_asked(hub):
    done = hub("tokenizer={from: known/encoder}", "model={from: known/encoder}", "baselines=[known/encoder]")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "recipe.yaml is in order: 1 source, 1 phase, 20,000 tokens, model known/encoder\n"
    done = hub(
        "tokenizer={from: un/known}", "model={from: known/encoder, revision: ext0}",
        "sources.web={use: huggingface, dataset: un/known}",
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.removeprefix("rexplug: ").splitlines() == [
        "sources.web: the hub has no dataset 'un/known', or it is private and you are not logged in (hf auth login)",
        "tokenizer.from: the hub has no model 'un/known', or it is private and you are not logged in (hf auth login)",
        "model.from: the model 'known/encoder' has no branch, tag or commit 'ext0' on the hub",
    ]


def test_a_hub_that_does_not_answer_is_not_a_problem_of_the_recipe(hub):
    done = hub("tokenizer={from: un/known}", "model={from: un/known}", endpoint="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("  not checked, since it is on the Hugging Face Hub (the hub does not answer: ")
    assert lines[2:] == ["    tokenizer.from: model un/known", "    model.from: model un/known"]


def test_components_of_every_part_of_a_recipe_are_checked(place, look, tmp_path):
    missing = f"sources.web={{use: jsonl, paths: {place}/none.jsonl, filters: [{{use: relevance, at_least: 0.5, model: {place}/none.bin}}]}}"
    labels = f"relevance={{labels: {{use: label_file, path: {place}/none.csv}}}}"
    evaluator = f"evaluators=[{{use: retrieval, folder: {place}/none}}]"
    places = [line.partition(": ")[0] for line in complaints(look, missing, labels, evaluator)]
    assert places[:4] == [
        "sources.web",
        "sources.web.filters.0 (relevance)",
        "relevance.labels",
        "evaluators.0 (retrieval)",
    ]
