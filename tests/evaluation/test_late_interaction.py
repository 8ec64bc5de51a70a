"""Late-interaction models: folders of sentence-transformers, PyLate and Stanford's ColBERT, compared with MaxSim by hand."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rexplug import DataError, Example, ExampleTask, FineTuning, NotApplicable, RetrievalCollection
from rexplug.evaluation import EvaluationData, ModelSpec, evaluate, finetune_tasks
from rexplug.evaluation.load_encoder import load_encoder
from rexplug.evaluation.mteb_tasks import Mteb
from rexplug.evaluation.retrieval import evaluate_retrieval
from rexplug.progress import Silent
from rexplug.recipe.evaluation import ModelOptions

QUERY_LENGTH, DOCUMENT_LENGTH = 12, 20
CORPUS = {
    "a": "A red oak table, seats six.",
    "b": "The steel kettle boils water",
    "c": "linen dress with pockets, blue",
    "d": "oak",
}
QUERIES = {"1": "oak table", "2": "a blue dress", "3": "kettle for one litre of water that switches itself off"}
BUDGET = FineTuning(steps=2, batch=4, seeds=1, learning_rates=(1e-3,))


@pytest.fixture(scope="module")
def projection():
    torch.manual_seed(9)
    return torch.randn(8, 32)


@pytest.fixture(scope="module", params=["pylate", "stanford", "sentence-transformers"])
def late(request, plain, tmp_path_factory, projection):
    """The same model in the three layouts: a BERT, a projection to 8 dimensions, markers that are tokens of the vocabulary."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp(request.param) / "colbert"
    shutil.copytree(plain, folder)
    tokenizer = AutoTokenizer.from_pretrained(plain)
    assert "Ġred" in tokenizer.get_vocab()
    markers = {"query": "Ġred", "document": "Ġoak"}
    if request.param == "stanford":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "architectures": ["HF_ColBERT"]}))
        weights = {f"bert.{name}": values for name, values in load_file(folder / "model.safetensors").items()}
        save_file({**weights, "linear.weight": projection}, folder / "model.safetensors", metadata={"format": "pt"})
        described = {
            "query_token_id": "Ġred", "doc_token_id": "Ġoak", "query_maxlen": QUERY_LENGTH, "doc_maxlen": DOCUMENT_LENGTH,
            "mask_punctuation": True, "attend_to_mask_tokens": False,
        }  # fmt: skip
        (folder / "artifact.metadata").write_text(json.dumps(described))
        return folder
    if request.param == "pylate":
        (folder / "1_Dense").mkdir()
        dense = {
            "in_features": 32, "out_features": 8, "bias": False, "activation_function": "torch.nn.modules.linear.Identity",
        }  # fmt: skip
        (folder / "1_Dense/config.json").write_text(json.dumps(dense))
        save_file({"linear.weight": projection}, folder / "1_Dense/model.safetensors")
        kinds = ["sentence_transformers.models.Transformer", "pylate.models.Dense.Dense"]
        entries = [
            {"idx": n, "name": str(n), "path": path, "type": kind}
            for n, (path, kind) in enumerate(zip(["", "1_Dense"], kinds, strict=True))
        ]
        (folder / "modules.json").write_text(json.dumps(entries))
        described = {
            "model_type": "ColBERT", "prompts": {}, "similarity_fn_name": "MaxSim", "query_prefix": "Ġred",
            "document_prefix": "Ġoak", "query_length": QUERY_LENGTH, "document_length": DOCUMENT_LENGTH,
            "attend_to_expansion_tokens": False, "skiplist_words": list('!,.?'),
        }  # fmt: skip
        (folder / "config_sentence_transformers.json").write_text(json.dumps(described))
        return folder
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    first = Transformer(
        str(plain), document_length=DOCUMENT_LENGTH,
        query_expansion={"strategy": "fixed", "attend": False, "length": QUERY_LENGTH},
    )  # fmt: skip
    dense = Dense(
        32,
        8,
        bias=False,
        activation_function=torch.nn.Identity(),
        init_weight=projection,
        module_input_name="token_embeddings",
    )
    modules = [
        first,
        dense,
        MultiVectorMask(skiplist_words=list("!,.?")),
        Normalize(module_input_name="token_embeddings"),
    ]
    model = MultiVectorEncoder(modules=modules, device="cpu", prompts=markers)
    model._register_prefix_tokens(markers)
    target = folder.parent / "saved"
    model.save(str(target), create_model_card=False)
    return target


def by_hand(plain, projection, text, role, space):
    """Vectors of the tokens of a text that count, `[n, 8]`, computed without sentence-transformers."""
    from transformers import AutoTokenizer, BertModel

    tokenizer = AutoTokenizer.from_pretrained(plain)
    model = BertModel.from_pretrained(plain).eval()
    length = QUERY_LENGTH if role == "query" else DOCUMENT_LENGTH
    marker = tokenizer.convert_tokens_to_ids("Ġred" if role == "query" else "Ġoak")
    cls, sep, mask = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id
    inner = tokenizer(space + text, add_special_tokens=False)["input_ids"][: length - 3]
    ids = [cls, marker, *inner, sep]
    attended = [1] * len(ids)
    if role == "query":  # filled with masks, which are not attended to but have vectors that count
        attended += [0] * (length - len(ids))
        ids += [mask] * (length - len(ids))
    with torch.no_grad():
        states = model(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([attended])).last_hidden_state[0]
    vectors = F.normalize(states @ projection.T, dim=-1)
    skipped = {tokenizer.convert_tokens_to_ids(word) for word in "!,.?"} if role == "document" else set()
    return vectors[[token not in skipped for token in ids]]


def maxsim(query, document):
    return float((query @ document.T).max(1).values.sum())


@pytest.fixture(scope="module")
def scores(plain, projection, late):
    # Stanford's markers are written with a space after them, which a byte-level tokenizer reads as part of the first word.
    space = " " if (late / "artifact.metadata").exists() else ""
    vectors = {
        role: {key: by_hand(plain, projection, text, role, space) for key, text in texts.items()}
        for role, texts in (("query", QUERIES), ("document", CORPUS))
    }
    return {
        query: {document: maxsim(one, two) for document, two in vectors["document"].items()}
        for query, one in vectors["query"].items()
    }


def test_scores_are_those_computed_by_hand(late, scores):
    model = load_encoder(late)
    found = model.compare([QUERIES[q] for q in QUERIES for _ in CORPUS], [CORPUS[d] for _ in QUERIES for d in CORPUS])
    expected = [scores[query][document] for query in QUERIES for document in CORPUS]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert model.num_dimensions == 8
    assert (
        model.revision
        == load_encoder(late).revision
        != load_encoder(late, options=ModelOptions(max_tokens=16)).revision
    )


@pytest.mark.parametrize("candidates", [None, {query: ["a", "c"] for query in QUERIES}])
def test_search_and_reranking_by_mteb(late, scores, tmp_path, candidates):
    best = {query: max(candidates[query] if candidates else CORPUS, key=scores[query].get) for query in QUERIES}
    collection = RetrievalCollection(
        "shop", CORPUS, QUERIES, {query: {document: 1} for query, document in best.items()}, candidates=candidates,
        training=[("oak", "red oak")] * 4,
    )  # fmt: skip
    model = load_encoder(late)
    found = evaluate_retrieval(collection, model, tmp_path, 0)
    assert (found.main, found.metrics["ndcg_at_10"].value) == ("ndcg_at_10", 1.0)
    found = evaluate_retrieval(collection, model, tmp_path, 0, BUDGET)
    assert (found.main, found.metrics["untuned.ndcg_at_10"].value) == ("untuned.ndcg_at_10", 1.0)


def test_similarity_of_pairs(late, scores):
    pairs = [Example(QUERIES[q], scores[q][d], CORPUS[d]) for q in QUERIES for d in CORPUS]
    found = finetune_tasks.similarity(ExampleTask("s", pairs, pairs, pairs), load_encoder(late), BUDGET, 0)
    assert (found.main, list(found.metrics)) == ("untuned.spearman", ["untuned.spearman"])
    assert found.metrics["untuned.spearman"].value == pytest.approx(1.0, abs=1e-6)


def test_evaluators_that_need_one_embedding_do_not_apply(late):
    model = load_encoder(late)
    texts = [Example(f"{word} {n}", word) for word in ("red", "oak") for n in range(8)]
    reason = "a late-interaction model ranks and compares texts; it has no single embedding and no masked-LM head"
    for call in (
        lambda: finetune_tasks.classification(ExampleTask("c", texts, texts, texts), model, BUDGET, 0),
        lambda: model.encode(["oak"]),
        lambda: model.tokenizer,
        lambda: model.predict_masked([np.array([1])], [np.array([0])]),
    ):
        with pytest.raises(NotApplicable) as refused:
            call()
        assert str(refused.value) == reason


def test_what_does_not_exist_for_them_is_refused(late):
    ModelSpec.parse(str(late)).check()
    with pytest.raises(DataError) as refused:
        load_encoder(late, options=ModelOptions(dimensions=4))
    assert str(refused.value) == (
        f"{late}: dimensions cuts the embedding of a text; a late-interaction model has none, leave it out"
    )
    with pytest.raises(DataError) as refused:
        load_encoder(late, precision="int8")
    assert str(refused.value) == (
        f"{late} is not a model that can be evaluated: a late-interaction model is run with its own weights, in fp32 or bf16 and "
        "not as an ONNX graph"
    )


def test_other_modules_of_pylate_are_refused(late, tmp_path):
    if not (late / "modules.json").exists():
        return
    folder = tmp_path / "colbert"
    shutil.copytree(late, folder)
    entries = json.loads((folder / "modules.json").read_text())
    entries[1]["type"] = "pylate.models.Other.Other"
    entries[1]["path"] = "x"
    (folder / "modules.json").write_text(json.dumps([*entries]))
    with pytest.raises(DataError, match="module 1 is 'pylate.models.Other.Other', and only Dense or Normalize or "):
        ModelSpec.parse(str(folder)).check()


def test_tasks_of_mteb_that_do_not_rank(late, write_task, tmp_path):
    rows = [{"sentence1": "red", "sentence2": f"oak {number}", "score": number} for number in range(4)]
    task = Mteb(folder=write_task(tmp_path / "sts", "sts", test=rows))
    result = evaluate(
        [task], ModelSpec("m", str(late)), EvaluationData({}, 1), name="m", folder=tmp_path / "out", progress=Silent()
    )[task.label]
    assert result["not_applicable"] == (
        "a late-interaction model ranks texts; this mteb task needs a single embedding of a text"
    )
