"""The Hugging Face encoder: embeddings and predictions are those of the model, whatever the batches."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rexplug import DataError, NotApplicable
from rexplug.evaluation.encoder import HuggingFaceEncoder


@pytest.fixture(scope="module")
def encoder(model_folder):
    return HuggingFaceEncoder(model_folder)


@pytest.fixture(scope="module")
def reference(model_folder):
    """The same weights in transformers' own attention."""
    from transformers import AutoModelForMaskedLM

    return AutoModelForMaskedLM.from_pretrained(model_folder).eval()


def test_embeddings_are_means_over_the_text_alone(encoder, reference):
    texts = ["steel", "the red shirt fits well " * 5, "oak table"]
    together = encoder.encode(texts)
    assert together.shape == (3, 32)
    assert together.dtype == np.float32
    for text, row in zip(texts, together, strict=True):
        ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            plain = reference.base_model(input_ids=ids).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(row, plain.numpy(), atol=1e-5)


def test_long_texts_are_cut(encoder):
    long = "kettle " * 2000
    assert encoder.max_tokens == 256
    np.testing.assert_allclose(encoder.encode([long]), encoder.encode([long + "dress " * 50]), atol=1e-6)


def test_predicted_tokens_are_those_of_the_model(encoder, reference):
    texts = ["the red cotton shirt", "a small steel kettle with a wooden handle", "oak"]
    rows = [np.array(encoder.tokenizer(text)["input_ids"], np.int64) for text in texts]
    positions = [np.array([1, 2]), np.array([4, 1, 3]), np.array([], np.int64)]
    found = encoder.predict_masked(rows, positions, 3)
    assert [item.shape for item in found] == [(2, 3), (3, 3), (0, 3)]
    for row, places, guess in zip(rows[:2], positions, found, strict=False):
        with torch.no_grad():
            logits = reference(input_ids=torch.from_numpy(row)[None]).logits[0]
        np.testing.assert_array_equal(guess, logits[places].topk(3).indices.numpy())


def test_the_revision_follows_the_weights(model_folder, encoder):
    again = HuggingFaceEncoder(model_folder)
    assert again.revision == encoder.revision
    fresh = HuggingFaceEncoder(model_folder)
    with torch.no_grad():
        next(fresh._model.parameters()).add_(1e-3)
    assert fresh.revision != encoder.revision


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(DataError) as refused:
        HuggingFaceEncoder(tmp_path)
    assert str(refused.value) == f"{tmp_path}/config.json is missing"


def test_packed_rows_give_the_numbers_of_padded_ones(encoder, model_folder):
    padded = HuggingFaceEncoder(model_folder, packed=False)
    texts = ["oak", "steel kettle " * 20, "linen dress with pockets", "red"]
    np.testing.assert_allclose(encoder.encode(texts), padded.encode(texts), atol=1e-5)
    assert padded.revision == encoder.revision


def test_the_revision_does_not_follow_what_was_encoded(model_folder):
    first, second = HuggingFaceEncoder(model_folder), HuggingFaceEncoder(model_folder)
    first.encode(["cut me " * 50], 8)
    assert first.revision == second.revision


def test_random_weights_are_others_in_the_same_architecture(model_folder, encoder):
    random, again = (HuggingFaceEncoder(model_folder, random=True) for _ in range(2))
    assert random.num_parameters == encoder.num_parameters
    assert random.revision == again.revision != encoder.revision


def test_a_clone_may_be_trained(model_folder):
    encoder = HuggingFaceEncoder(model_folder)
    before = encoder.encode(["oak table"])
    clone = encoder.clone()
    with torch.no_grad():
        for parameter in clone.module.parameters():
            parameter.mul_(1.5)
    np.testing.assert_array_equal(encoder.encode(["oak table"]), before)
    assert clone.revision != encoder.revision


def test_whitened_embeddings_have_mean_zero_and_unit_variance(model_folder):
    from rexplug.evaluation.embedding_modules import Transform

    encoder = HuggingFaceEncoder(model_folder)
    rows = encoder.tokenize([f"{a} {b}" for a in ("red", "blue", "oak") for b in ("shirt", "kettle", "table", "dress")])
    before = encoder.embed_rows(rows)
    vectors = encoder.clone_with(Transform.whitening(torch.from_numpy(before))).embed_rows(rows)
    np.testing.assert_allclose(vectors.mean(0), 0, atol=1e-4)
    assert vectors[:, 0].std() == pytest.approx(1, abs=1e-3)
    centred = encoder.clone_with(Transform.centring(torch.from_numpy(before))).embed_rows(rows)
    np.testing.assert_allclose(centred, before - before.mean(0), atol=1e-6)
    np.testing.assert_array_equal(encoder.embed_rows(rows), before)


@pytest.fixture(scope="module")
def bert(tmp_path_factory, model_folder):
    """A random BERT without a masked-language-model head, with sentence-transformers' [CLS] pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.save_pretrained(folder / "plain")
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "plain")
    module = Transformer(str(folder / "plain"))
    SentenceTransformer(modules=[module, Pooling(32, "cls")], device="cpu").save(str(folder / "st"))
    return folder


def test_a_sentence_transformers_model_pools_as_it_says(bert):
    from sentence_transformers import SentenceTransformer

    texts = ["steel kettle", "the red shirt fits well"]
    found = HuggingFaceEncoder(bert / "st").encode(texts)
    np.testing.assert_allclose(found, SentenceTransformer(str(bert / "st"), device="cpu").encode(texts), atol=1e-5)
    assert not np.allclose(found, HuggingFaceEncoder(bert / "plain").encode(texts), atol=1e-3)


def test_a_model_without_head_predicts_no_words(bert):
    with pytest.raises(NotApplicable) as caught:
        HuggingFaceEncoder(bert / "plain").predict_masked([np.array([1, 5, 2])], [np.array([1])])
    assert str(caught.value) == "the model has no masked-language-model head, so it predicts no words"


def test_a_model_that_fails_in_bf16_is_refused_only_in_bf16(tmp_path, model_folder):
    from transformers import AutoTokenizer, DebertaConfig, DebertaModel

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.save_pretrained(tmp_path)
    config = DebertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, relative_attention=True, pos_att_type=["p2c", "c2p"],
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    DebertaModel(config).save_pretrained(tmp_path)
    assert HuggingFaceEncoder(tmp_path).encode(["oak"]).shape == (1, 32)
    with pytest.raises(DataError) as refused:
        HuggingFaceEncoder(tmp_path, precision="bf16")
    assert str(refused.value) == (
        f"{tmp_path} is not a model that can be evaluated in bf16: RuntimeError: value cannot be converted to type "
        "at::BFloat16 without overflow"
    )


@pytest.mark.parametrize(("precision", "how"), [("fp32", ""), ("bf16", " in bf16")])
def test_a_model_whose_embeddings_overflow_is_refused(precision, how, model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    weights = load_file(model_folder / "model.safetensors")
    weights["model.final_norm.weight"] = torch.full((32,), 3e38)
    save_file(weights, tmp_path / "model/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError) as refused:
        HuggingFaceEncoder(tmp_path / "model", precision=precision)
    assert str(refused.value) == (
        f"{tmp_path}/model is not a model that can be evaluated{how}: its embeddings are not finite numbers"
    )


@pytest.mark.parametrize("packed", [True, False])
def test_a_text_without_tokens_has_an_embedding(packed, model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    definition = json.loads((model_folder / "tokenizer.json").read_text()) | {"post_processor": None}
    (tmp_path / "model/tokenizer.json").write_text(json.dumps(definition))
    encoder = HuggingFaceEncoder(tmp_path / "model", packed=packed)
    assert encoder.tokenizer("")["input_ids"] == []
    assert encoder.tokenize(["", "oak"])[0].tolist() == [encoder.tokenizer.pad_token_id]
    alone, together = encoder.encode([""]), encoder.encode(["oak table", ""])
    assert np.isfinite(alone).all()
    np.testing.assert_allclose(together[1:], alone, atol=1e-6)


@pytest.fixture(scope="module")
def in_bf16(model_folder):
    return HuggingFaceEncoder(model_folder, precision="bf16")


def test_in_bf16_embeddings_are_near_those_in_fp32(encoder, in_bf16):
    texts = ["oak", "steel kettle " * 20, "linen dress with pockets", "red"]
    exact, found = encoder.encode(texts), in_bf16.encode(texts)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - exact).max() < 0.02 * np.abs(exact).max()
    assert in_bf16.revision == f"{encoder.revision}-bf16", "results in bf16 are stored apart"


def test_in_bf16_predictions_are_ranked_by_logits_in_fp32(in_bf16):
    rows = in_bf16.tokenize(["a small steel kettle with a wooden handle", "the red cotton shirt"])
    positions = [np.array([4, 1, 3]), np.array([2])]
    found = in_bf16.predict_masked(rows, positions, 3)
    for row, places, guess in zip(rows, positions, found, strict=True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            features = in_bf16.module.head(in_bf16.hidden([row])[places])
        logits = features.float() @ in_bf16.module.decoder.weight.T + in_bf16.module.decoder.bias
        np.testing.assert_array_equal(guess, logits.topk(3).indices.numpy())


def test_a_fine_tune_in_bf16_keeps_weights_in_fp32(in_bf16):
    from rexplug.components import FineTuning
    from rexplug.evaluation.finetune import tune_ranking

    rows = in_bf16.tokenize([f"{a} {b}" for a in ("red", "blue", "oak") for b in ("shirt", "kettle", "table")])
    budget = FineTuning(steps=3, batch=4)
    texts = [(str(n), str(n)) for n in range(9)]
    tuned = tune_ranking(in_bf16, rows, rows, texts, budget, learning_rate=1e-3, seed=1).run()
    assert {weight.dtype for weight in tuned.module.parameters()} == {torch.float32}
    assert tuned.precision == "bf16"
    assert tuned.revision != in_bf16.revision


def test_padded_rows_run_in_bf16_too(bert):
    texts = ["steel kettle", "the red shirt fits well"]
    exact = HuggingFaceEncoder(bert / "st").encode(texts)
    found = HuggingFaceEncoder(bert / "st", precision="bf16").encode(texts)
    assert 0 < np.abs(found - exact).max() < 0.05 * np.abs(exact).max()
