"""Embeddings that were computed elsewhere, as a model under evaluation, and the files that evaluate writes of them."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from rexplug import DataError, NotApplicable, api
from rexplug.evaluation import ModelSpec
from rexplug.evaluation.embedding_files import read_embeddings
from rexplug.evaluation.identity import model_identity
from rexplug.recipe.evaluation import Baseline

SUITE = """
evaluators:
  - {use: similarity, title: toy, train: $DATA/t.csv, tuning: {modes: [full], steps: 2, batch: 8, seeds: 1, learning_rates: [1e-3]}}
  - {use: retrieval, folder: $DATA/search}
"""


@pytest.fixture
def suite(tmp_path):
    rows = "".join(f"thing {n % 10} {n // 10},red thing {n % 7},{n % 5}\n" for n in range(60))
    (tmp_path / "t.csv").write_text("sentence1,sentence2,score\n" + rows)
    search = tmp_path / "search"
    search.mkdir()
    corpus = {"a": "red oak table", "b": "steel kettle", "c": "linen dress", "d": "thing 3 4"}
    queries = {"1": "oak", "2": "kettle", "3": "steel kettle"}
    for name, texts in (("corpus", corpus), ("queries", queries)):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
        (search / f"{name}.jsonl").write_text("\n".join(lines))
    (search / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n2\tb\t1\n3\tb\t1\n")
    (tmp_path / "suite.yaml").write_text(SUITE)
    return {"suite": tmp_path / "suite.yaml", "data": tmp_path}


@pytest.fixture
def prompted(save):
    from sentence_transformers.sentence_transformer.modules import Pooling

    return save(Pooling(32, "mean"), prompts={"query": "query: ", "document": "passage: "})[0]


def metrics(result):
    return {
        f"{evaluator} {name}": metric["value"]
        for evaluator, content in result.results.items()
        for name, metric in content["metrics"].items()
    }


def test_what_was_saved_gives_the_same_results(prompted, suite, tmp_path):
    before = api.evaluate([f"m={prompted}"], **suite, out=tmp_path / "one")
    (whole,) = api.evaluate([f"m={prompted}"], **suite, out=tmp_path / "one", save_embeddings=tmp_path / "saved")
    assert metrics(whole) == metrics(before[0]), "stored results are computed again, and are the same"
    table = pq.read_table(tmp_path / "saved/m.parquet").to_pylist()
    assert {(row["text"], row["role"]) for row in table} >= {("steel kettle", "query"), ("steel kettle", "document")}
    (saved,) = api.evaluate([f"embeddings:{tmp_path}/saved"], **suite, out=tmp_path / "two")
    assert saved.label == "saved"
    assert saved.results["similarity.toy"]["main"] == "untuned.spearman"
    found, expected = metrics(saved), metrics(whole)
    assert found.keys() < expected.keys() | {"similarity.toy probe.spearman"}
    for name in (
        "similarity.toy untuned.spearman",
        "similarity.toy raw.spearman",
        "similarity.toy centred.spearman",
        "retrieval.search ndcg_at_10",
    ):
        assert found[name] == pytest.approx(expected[name], abs=1e-9)
    assert metrics(api.evaluate(f"embeddings:{tmp_path}/saved", **suite, out=tmp_path / "two")[0]) == found


def write_npz(folder, texts, embeddings, **more):
    folder.mkdir(exist_ok=True)
    np.savez(folder / "e.npz", texts=np.array(texts), embeddings=np.array(embeddings, np.float32), **more)
    return folder


def load(folder, **options):
    return ModelSpec.of(Baseline(model=f"embeddings:{folder}", **options)).load()


def test_roles_and_files_of_every_kind(tmp_path):
    folder = write_npz(
        tmp_path / "e", ["oak", "oak", "pine"], [[1, 0], [0, 1], [1, 1]], roles=np.array(["query", "", "document"])
    )
    (folder / "more.jsonl").write_text(
        '{"text": "fir", "embedding": [2, 2]}\n{"text": "pine", "role": "query", "embedding": [3, 3]}\n'
    )
    found = load(folder)
    assert found.encode(["oak", "fir"], role="query").tolist() == [[1, 0], [2, 2]]
    assert found.encode(["oak", "pine"], role="document").tolist() == [[0, 1], [1, 1]]
    assert found.encode(["oak", "pine"]).tolist() == [[0, 1], [1, 1]], (
        "without a role that of documents, where there is no other"
    )
    assert found.encode(["oak"], prompt="passage: ").tolist() == [[0, 1]], "prompts are part of the embedding already"


def test_options(tmp_path):
    folder = write_npz(tmp_path / "e", ["oak"], [[0.6, 0.8]])
    cut = load(folder, dimensions=1, similarity="dot")
    assert cut.encode(["oak"]).tolist() == [[np.float32(0.6)]]
    assert (cut.usage.similarity, cut.num_dimensions) == ("cosine", 1)
    with pytest.raises(DataError) as refused:
        load(folder, dimensions=3)
    assert str(refused.value) == f"embeddings:{folder}: dimensions is 3, and its embeddings have 2; write 1 to 2"
    with pytest.raises(DataError) as refused:
        ModelSpec.of(Baseline(model=f"embeddings:{folder}", prompt="x"))
    assert str(refused.value) == (
        f"embeddings:{folder} holds embeddings that are computed already, so prompt changes nothing; leave it out"
    )


def test_a_missing_text_is_named(tmp_path):
    found = load(write_npz(tmp_path / "e", ["oak"], [[1, 0]]))
    with pytest.raises(DataError) as refused:
        found.encode(["oak", "pine", "fir"], role="query")
    assert str(refused.value) == (
        f"embeddings:{tmp_path}/e has no embedding of 'pine' (query), and of 2 of 3 texts that the evaluator asks for; `rexplug "
        "evaluate MODEL --save-embeddings DIR` with any other model lists the texts of all evaluators"
    )


def test_what_embeddings_cannot_do(tmp_path):
    found = load(write_npz(tmp_path / "e", ["oak"], [[1, 0]]))
    for call, reason in (
        (lambda: found.tokenizer, "it has no tokenizer"),
        (lambda: found.module, "it cannot be fine-tuned"),
        (lambda: found.predict_masked([], []), "it predicts no words"),
        (lambda: found.tokenize(["oak"], pairs=["fir"]), "it cannot read pairs of texts together"),
        (lambda: found.token_vectors([]), "it has no token vectors"),
    ):
        with pytest.raises(NotApplicable) as refused:
            call()
        assert str(refused.value) == f"the model is a folder of embeddings: {reason}"


def test_the_key_covers_the_files(tmp_path):
    folder = write_npz(tmp_path / "e", ["oak"], [[1, 0]])
    spec = ModelSpec.parse(f"embeddings:{folder}")
    before, revision = model_identity(spec), spec.load().revision
    shutil.copytree(folder, tmp_path / "moved")
    moved = ModelSpec.parse(f"embeddings:{tmp_path}/moved")
    assert (model_identity(moved), moved.load().revision) == (before, revision)
    write_npz(folder, ["oak"], [[1, 0.5]])
    assert model_identity(spec) != before
    assert spec.load().revision != revision


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.jsonl", '{"text": "oak"}\n', "{file} has no column 'embedding'; it needs `text` and `embedding`"),
        ("a.jsonl", '{"text": "oak", "embedding": [1, "x"]}\n', "{file}: row 1: embedding is not a list of numbers"),
        ("a.jsonl", '{"text": "oak", "embedding": [1, null]}\n', "{file}: row 1: the embedding of 'oak' holds values that are not "
         "finite numbers"),
        ("a.jsonl", '{"text": "oak", "embedding": [1]}\n{"text": "fir", "embedding": [1, 2]}\n',
         "{file}: row 2: the embedding of 'fir' has 2 dimensions, others have 1"),
        ("a.jsonl", '{"text": "oak", "role": "passage", "embedding": [1]}\n',
         "{file}: row 1: role is 'passage'; write query, document or nothing"),
        ("a.txt", "oak", "embeddings:{folder} holds no .parquet, .jsonl or .npz file with texts and embeddings"),
        ("a.parquet", "oak", "{file} cannot be read as Parquet: "),
        ("a.npz", "oak", "{file} cannot be read: "),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read(tmp_path, file, content, message):
    folder = tmp_path / "e"
    folder.mkdir()
    (folder / file).write_text(content)
    with pytest.raises(DataError) as refused:
        read_embeddings(folder)
    assert str(refused.value).startswith(message.format(file=folder / file, folder=folder))


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(DataError) as refused:
        ModelSpec.parse(f"embeddings:{tmp_path}/none").load()
    assert str(refused.value) == f"embeddings:{tmp_path}/none: there is no such folder"
