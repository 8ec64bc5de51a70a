"""Embeddings that are cut after some dimensions, as those of Matryoshka models may be."""

import json

import numpy as np
import pytest

from rexplug import DataError, api
from rexplug.evaluation import ModelSpec, in_dimensions
from rexplug.evaluation.load_encoder import load_encoder
from rexplug.recipe.evaluation import Baseline, ModelOptions

TEXTS = ["steel kettle", "the red shirt fits well", "a linen dress " * 30, "oak"]
SUITE = (
    "evaluators: [{use: similarity, title: toy, train: $DATA/t.csv, "
    "tuning: {modes: [probe], steps: 2, batch: 8, seeds: 1, learning_rates: [1e-3]}}]\n"
)


@pytest.fixture
def matryoshka(save):
    """A model whose embeddings have length 1 and are compared by dot product, cut after 24 of 32 dimensions."""
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    folder, _ = save(Pooling(32, "mean"), Normalize(), truncate_dim=24, similarity_fn_name="dot")
    return folder


@pytest.fixture
def suite(tmp_path):
    rows = "".join(f"thing {n % 10} {n // 10},red thing {n % 7},{n % 5}\n" for n in range(60))
    (tmp_path / "t.csv").write_text("sentence1,sentence2,score\n" + rows)
    (tmp_path / "suite.yaml").write_text(SUITE)
    return {"suite": tmp_path / "suite.yaml", "data": tmp_path, "out": tmp_path / "out"}


@pytest.mark.parametrize("dimensions", [None, 8, 32])
def test_embeddings_are_those_of_sentence_transformers(matryoshka, dimensions):
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(matryoshka), device="cpu", truncate_dim=dimensions)
    ours = load_encoder(matryoshka, options=ModelOptions(dimensions=dimensions))
    found = ours.encode(TEXTS)
    assert found.shape == (4, dimensions or 24)
    np.testing.assert_allclose(found, theirs.encode(TEXTS), atol=1e-5)


def test_cut_embeddings_of_length_1_are_compared_by_cosine(matryoshka):
    assert load_encoder(matryoshka).usage.similarity == "dot"
    cut = load_encoder(matryoshka, options=ModelOptions(dimensions=8))
    assert cut.usage.similarity == "cosine"
    assert cut.revision != load_encoder(matryoshka).revision


def test_more_dimensions_than_there_are(matryoshka):
    with pytest.raises(DataError) as refused:
        load_encoder(matryoshka, options=ModelOptions(dimensions=33))
    assert str(refused.value) == f"{matryoshka}: dimensions is 33, and its embeddings have 32; write 1 to 32"


def test_labels():
    specs = [ModelSpec.parse("bm25"), ModelSpec.parse("a/minilm"), ModelSpec.of(Baseline(model="x/e5", dimensions=64))]
    labels = [spec.label for spec in in_dimensions(specs, [256, 128])]
    assert labels == ["bm25", "minilm@256", "minilm@128", "e5@64"]
    assert ModelSpec.of(Baseline(model="mine=x/e5", dimensions=64)).label == "mine"


def test_several_numbers_of_dimensions_in_one_table(matryoshka, suite):
    results = api.evaluate(f"model={matryoshka}", **suite, dimensions=[32, 8, 8])
    assert [result.label for result in results] == ["model@32", "model@8"]
    whole = load_encoder(matryoshka, options=ModelOptions(dimensions=32))
    for label, dimensions in (("model@32", 32), ("model@8", 8)):
        stored = json.loads((suite["out"] / label / "similarity.toy.scores").read_text())["scores"]["raw.spearman"]
        one = whole.encode([f"thing {n % 10} {n // 10}" for n in range(60)])[:, :dimensions]
        two = whole.encode([f"red thing {n % 7}" for n in range(60)])[:, :dimensions]
        cosines = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
        assert all(np.abs(cosines - stored).min() < 1e-5 for stored in stored["values"][0])
    # `@` in a path of `compare` is not taken for a moment of a run.
    compared = api.compare([str(suite["out"] / "model@32"), str(suite["out"] / "model@8")])
    assert list(compared.models) == ["model@32", "model@8"]


def test_texts_are_embedded_once(matryoshka):
    whole = load_encoder(matryoshka, options=ModelOptions(dimensions=32))
    expected = whole.encode(TEXTS)
    cut = whole.cut_after(8)
    whole.activity.reset()
    np.testing.assert_array_equal(cut.encode(TEXTS), expected[:, :8])
    assert cut.activity.texts == 0, "embeddings are kept before they are cut"
    assert cut.clone().encode(TEXTS).shape == (4, 8)
    assert cut.activity.texts == 4, "a copy that may be fine-tuned keeps none"
