"""Models of sentence-transformers: embedded as sentence-transformers embeds them, from a folder and from the hub's cache."""

import json
import shutil

import numpy as np
import pytest
import torch

from rexplug import DataError, NotApplicable
from rexplug.evaluation import EvaluationData, ModelSpec, evaluate
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.load_encoder import load_encoder
from rexplug.evaluation.mteb_tasks import Mteb
from rexplug.evaluation.sentence_transformer import SentenceTransformerEncoder
from rexplug.recipe.evaluation import Baseline, ModelOptions

TEXTS = ["steel kettle", "the red shirt fits well", "a linen dress " * 60, "oak"]
MODULES = "sentence_transformers.sentence_transformer.modules"


def pooling(mode="mean", **options):
    from sentence_transformers.sentence_transformer.modules import Pooling

    return Pooling(32, mode, **options)


def same(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "mode", ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "mean")]
)
def test_every_pooling(save, mode):
    folder, theirs = save(pooling(mode))
    ours = load_encoder(folder)
    assert type(ours) is HuggingFaceEncoder
    same(ours.encode(TEXTS), theirs.encode(TEXTS))


def test_modules_after_the_pooling_and_shorter_embeddings(save):
    from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Normalize

    torch.manual_seed(2)
    folder, theirs = save(pooling(), Dense(32, 16), LayerNorm(16), Normalize(), truncate_dim=8)
    ours = load_encoder(folder)
    assert type(ours) is HuggingFaceEncoder
    assert ours.encode(TEXTS).shape == (4, 8)
    same(ours.encode(TEXTS), theirs.encode(TEXTS))


def test_prompts_by_default_and_by_role(save):
    prompts = {"query": "query: ", "document": "passage: ", "web": "find: "}
    folder, theirs = save(pooling(), prompts=prompts, default_prompt_name="web")
    ours = load_encoder(folder)
    same(ours.encode(TEXTS), theirs.encode(TEXTS))
    same(ours.encode(TEXTS, role="query"), theirs.encode_query(TEXTS))
    same(ours.encode(TEXTS, role="document"), theirs.encode_document(TEXTS))
    assert not np.allclose(ours.encode(TEXTS), ours.encode(TEXTS, prompt=""), atol=1e-3)


def test_a_prompt_named_passage_is_used_for_documents(save):
    folder, theirs = save(pooling(), prompts={"query": "query: ", "passage": "passage: "})
    ours = load_encoder(folder)
    same(ours.encode(TEXTS, role="document"), theirs.encode(TEXTS, prompt_name="passage"))
    same(ours.encode(TEXTS), theirs.encode(TEXTS))


@pytest.mark.parametrize("mode", ["mean", "weightedmean", "cls"])
def test_a_prompt_excluded_from_pooling(save, mode):
    prompts = {"query": "find this: ", "document": "text: "}
    folder, theirs = save(pooling(mode, include_prompt=False), prompts=prompts)
    ours = load_encoder(folder)
    assert type(ours) is HuggingFaceEncoder
    queries, documents = ours.tokenize(TEXTS, role="query"), ours.tokenize(TEXTS, role="document")
    together = ours.embed_rows([*queries, *documents])
    same(together, np.concatenate([theirs.encode_query(TEXTS), theirs.encode_document(TEXTS)]))


def test_longest_input_of_the_model_is_used(save):
    folder, theirs = save(pooling(), max_seq_length=16)
    ours = load_encoder(folder)
    assert ours.max_tokens == 16
    same(ours.encode(TEXTS), theirs.encode(TEXTS))
    assert ours.reading(512).max_tokens == 64
    assert ours.reading(512).revision != ours.revision
    assert ours.reading(None) is ours
    theirs.max_seq_length = 64
    same(ours.reading(512).encode(TEXTS), theirs.encode(TEXTS))


def test_options_take_precedence_over_the_files(save):
    folder, theirs = save(pooling(), prompts={"query": "query: "}, max_seq_length=16)
    options = ModelOptions(
        prompt="say: ", query_prompt="ask: ", document_prompt="", max_tokens=32, similarity="dot", batch_tokens=64
    )
    ours = load_encoder(folder, options=options)
    theirs.max_seq_length = 32
    same(ours.encode(TEXTS), theirs.encode(TEXTS, prompt="say: "))
    same(ours.encode(TEXTS, role="query"), theirs.encode(TEXTS, prompt="ask: "))
    same(ours.encode(TEXTS, role="document"), theirs.encode(TEXTS))
    assert (ours.usage.similarity, ours.max_tokens) == ("dot", 32)
    assert ours.revision != load_encoder(folder).revision
    assert max(len(batch) for batch in ours.batches(ours.tokenize(["oak"] * 50))) < 50


def test_similarity_of_the_model_is_used(save):
    folder, _ = save(pooling(), similarity_fn_name="euclidean")
    assert load_encoder(folder).usage.similarity == "euclidean"


def test_a_model_with_differing_embeddings_is_run_by_sentence_transformers_with_a_note(save):
    """A model whose config is overridden where only sentence-transformers reads it."""
    folder, _ = save(pooling())
    described = folder / "sentence_bert_config.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"config_kwargs": {"num_hidden_layers": 1}}))
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(folder), device="cpu")
    found = load_encoder(folder)
    assert type(found) is SentenceTransformerEncoder
    (note,) = found.notes
    assert note.startswith("run by sentence-transformers, whose embeddings differ from those of rexplug's own code by ")
    same(found.encode(TEXTS), theirs.encode(TEXTS))
    with pytest.raises(NotApplicable) as refused:
        found.predict_masked([np.array([1, 5, 2])], [np.array([1])])
    assert str(refused.value) == "the model is run by sentence-transformers, without a masked-language-model head"


def test_the_note_on_how_a_model_is_run_appears_once(save, tmp_path, notes, write_task):
    folder, _ = save(pooling())
    described = folder / "sentence_bert_config.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"config_kwargs": {"num_hidden_layers": 1}}))
    rows = [{"sentence1": "red", "sentence2": f"oak {number}", "score": number} for number in range(4)]
    tasks = [write_task(tmp_path / name, "sts", test=rows) for name in ("one", "two")]
    evaluate(
        [Mteb(folder=task) for task in tasks], ModelSpec("m", str(folder)), EvaluationData({}, 1), name="m",
        folder=tmp_path / "out", progress=notes,
    )  # fmt: skip
    (said,) = notes.lines
    assert said.startswith(
        "m: run by sentence-transformers, whose embeddings differ from those of rexplug's own code by "
    )


def test_layers_weighted_by_sentence_transformers(save, plain):
    from sentence_transformers.sentence_transformer.modules import Transformer, WeightedLayerPooling

    first = Transformer(str(plain), config_kwargs={"output_hidden_states": True})
    folder, theirs = save(WeightedLayerPooling(32, num_hidden_layers=2, layer_start=1), pooling(), first=first)
    found = load_encoder(folder)
    assert type(found) is SentenceTransformerEncoder
    same(found.encode(TEXTS), theirs.encode(TEXTS))
    assert len(found.token_vectors(found.tokenize(["oak table"]))[0]) == len(found.tokenizer("oak table")["input_ids"])


@pytest.fixture
def static(save, model_folder):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    torch.manual_seed(3)
    return save(first=StaticEmbedding(Tokenizer.from_file(str(model_folder / "tokenizer.json")), embedding_dim=24))


def test_static_embeddings(static):
    folder, theirs = static
    found = load_encoder(folder)
    same(found.encode(TEXTS), theirs.encode(TEXTS))
    assert found.notes == ()
    with pytest.raises(NotApplicable) as refused:
        _ = found.tokenizer
    assert str(refused.value) == "the model is not a single transformers encoder, so it has no token vectors"
    with pytest.raises(NotApplicable):
        found.tokenize(["oak"], pairs=["table"])
    with pytest.raises(
        ValueError, match="the row has no text; use rows that this model's `tokenize` made of single texts"
    ):
        found.pooled([np.array([1, 2])])
    assert found.revision == load_encoder(folder).revision
    assert ModelSpec("m", str(folder)).check() is not None


def test_static_embeddings_are_fine_tuned(static):
    from rexplug.components import FineTuning
    from rexplug.evaluation.finetune import tune_classifier, tune_ranking

    found = load_encoder(static[0])
    rows = found.tokenize([f"{a} {b}" for a in ("red", "blue", "oak") for b in ("shirt", "kettle", "table")])
    budget = FineTuning(steps=3, batch=4)
    texts = [(str(n), str(n)) for n in range(9)]
    tuned = tune_ranking(found, rows, rows, texts, budget, learning_rate=1e-2, seed=1).run()
    assert tuned.revision != found.revision
    classes = np.arange(9) // 3
    budget = FineTuning(steps=60, batch=9)
    for feature in ("mean", "embedding"):
        options = {"learning_rate": 1e-2, "seed": 1, "feature": feature}
        classifier = tune_classifier(found, rows, classes, 3, budget, **options).run()
        assert (classifier.logits(rows).argmax(1) == classes).all()


def test_a_router_uses_different_modules_for_queries_and_documents(save, static, plain):
    from sentence_transformers.sentence_transformer.modules import Router, StaticEmbedding, Transformer
    from tokenizers import Tokenizer

    torch.manual_seed(4)
    words = StaticEmbedding(Tokenizer.from_file(str(plain / "tokenizer.json")), embedding_dim=32)
    router = Router.for_query_document([words], [Transformer(str(plain)), pooling()], default_route="document")
    folder, theirs = save(first=router, name="router")
    found = load_encoder(folder)
    assert type(found) is SentenceTransformerEncoder
    same(found.encode(TEXTS), theirs.encode(TEXTS))
    same(found.encode(TEXTS, role="query"), theirs.encode_query(TEXTS))
    same(found.encode(TEXTS, role="document"), theirs.encode_document(TEXTS))
    queries, documents = found.tokenize(TEXTS, role="query"), found.tokenize(TEXTS, role="document")
    same(found.embed_rows([*documents, *queries])[4:], theirs.encode_query(TEXTS))


@pytest.mark.parametrize("kind", ["static", "router"])
def test_random_weights_of_static_embeddings_and_routers(save, static, plain, kind):
    from sentence_transformers.sentence_transformer.modules import Router, Transformer

    folder, _ = static
    if kind == "router":
        router = Router.for_query_document([Transformer(str(plain)), pooling()], [Transformer(str(plain)), pooling()])
        folder, _ = save(first=router, name="router")
    trained, random = load_encoder(folder), ModelSpec.parse(f"random:{folder}").load()
    assert type(random) is SentenceTransformerEncoder
    assert random.revision == ModelSpec.parse(f"random:{folder}").load().revision != trained.revision
    assert random.num_parameters == trained.num_parameters
    for role in ("query", "document"):
        one, two = trained.encode(TEXTS, role=role), random.encode(TEXTS, role=role)
        assert one.shape == two.shape
        assert np.abs(one - two).max() > 0.1


def test_a_config_that_asks_for_tuples(save, plain, tmp_path):
    folder = tmp_path / "tuples"
    shutil.copytree(plain, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "return_dict": False}))
    same(load_encoder(folder).encode(TEXTS), load_encoder(plain).encode(TEXTS))
    expected = save(pooling())[0]
    stored, _ = save(pooling(), encoder=folder, name="with-tuples")
    assert json.loads((stored / "config.json").read_text())["return_dict"] is False
    found = load_encoder(stored)
    assert found.notes == ()
    same(found.encode(TEXTS), load_encoder(expected).encode(TEXTS))


CODE = """
from transformers import BertConfig, BertModel

class ShopConfig(BertConfig):
    model_type = "shop"

class ShopModel(BertModel):
    config_class = ShopConfig

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.last_hidden_state = -output.last_hidden_state
        return output
"""


def test_code_of_a_model_runs_where_it_is_trusted(plain, tmp_path, monkeypatch):
    folder = tmp_path / "shop"
    shutil.copytree(plain, folder)
    config = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "shop_code.ShopConfig", "AutoModel": "shop_code.ShopModel"}
    (folder / "config.json").write_text(
        json.dumps({**config, "model_type": "shop", "architectures": ["ShopModel"], "auto_map": auto})
    )
    (folder / "shop_code.py").write_text(CODE)
    with pytest.raises(DataError) as refused:
        load_encoder(folder)
    assert str(refused.value) == (
        f"{folder}/config.json: the model wants to run code of its own (auto_map); only classes of transformers are loaded, "
        "unless trust_remote_code allows it"
    )
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    spec = ModelSpec.of(Baseline(model=str(folder), trust_remote_code=True))
    spec.check()
    same(spec.load().encode(TEXTS), -load_encoder(plain).encode(TEXTS))


def test_a_router_with_code_of_its_own_is_refused(save, plain):
    from sentence_transformers.sentence_transformer.modules import Router, Transformer

    router = Router.for_query_document([Transformer(str(plain)), pooling()], [Transformer(str(plain)), pooling()])
    folder, _ = save(first=router, name="router")
    described = next(folder.rglob("router_config.json"))
    content = json.loads(described.read_text())
    content["types"][next(iter(content["types"]))] = "evil.Evil"
    described.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"is 'evil\.Evil', and only .* of sentence-transformers are allowed there"):
        ModelSpec("m", str(folder)).check()


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"model_type": "CrossEncoder"}, "the model is a CrossEncoder, which scores pairs of texts and does not embed texts; "
         "evaluators need one vector for each text"),
        ({"prompts": ["a"]}, "prompts is ['a']; write a mapping of names to texts"),
        ({"default_prompt_name": "web"}, "default_prompt_name is 'web', and prompts has none of that name"),
        ({"truncate_dim": 0}, "truncate_dim is 0; write a positive whole number"),
    ],
)  # fmt: skip
def test_errors_in_the_description_are_reported(save, config, problem):
    folder, _ = save(pooling())
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps(config))
    with pytest.raises(DataError) as refused:
        load_encoder(folder)
    assert str(refused.value) == f"{path}: {problem}"


@pytest.mark.parametrize("routed", [False, True])
def test_kernels_of_the_hub_are_not_run(save, plain, routed):
    from sentence_transformers.sentence_transformer.modules import Router, Transformer

    if routed:
        route = [Transformer(str(plain)), pooling()]
        folder, _ = save(first=Router.for_query_document(route, route))
    else:
        folder, _ = save(pooling())
    path = next(folder.rglob("sentence_bert_config.json"))
    path.write_text(json.dumps({"model_kwargs": {"attn_implementation": "somebody/kernels"}}))
    with pytest.raises(DataError) as refused:
        load_encoder(folder)
    assert str(refused.value) == f"{path}: model_kwargs asks for kernels from the hub, which are code that is not run"


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts a folder into the local cache of the hub under a model name, as a download does."""

    def put(folder, name):
        repository = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        commit = "0" * 39 + "1"
        for path in folder.rglob("*"):
            if path.is_file():
                blob = repository / "blobs" / f"{path.relative_to(folder)}".replace("/", "-")
                link = repository / "snapshots" / commit / path.relative_to(folder)
                blob.parent.mkdir(parents=True, exist_ok=True)
                link.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, blob)
                link.symlink_to(blob)
        (repository / "refs").mkdir()
        (repository / "refs/main").write_text(commit)

    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return put


@pytest.mark.parametrize(
    ("stored", "written"), [("shop/encoder", "shop/encoder"), ("sentence-transformers/mini", "mini")]
)
def test_a_name_on_the_hub_is_used_like_a_folder(save, cached, stored, written):
    folder, theirs = save(pooling("cls"), prompts={"query": "query: "}, max_seq_length=16)
    cached(folder, stored)
    found = ModelSpec.parse(written).load()
    same(found.encode(TEXTS), theirs.encode(TEXTS))
    same(found.encode(TEXTS, role="query"), theirs.encode_query(TEXTS))
    assert found.revision == load_encoder(folder).revision


def test_a_name_on_the_hub_with_code_of_its_own_is_refused_by_its_name(save, cached):
    folder, _ = save(pooling())
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}]))
    cached(folder, "shop/encoder")
    with pytest.raises(DataError) as refused:
        ModelSpec.parse("shop/encoder").load()
    assert "shop/encoder/modules.json: module 0 is 'evil.Evil', and only Transformer or " in str(refused.value)


def test_a_name_neither_local_nor_on_the_hub(cached):
    with pytest.raises(DataError) as refused:
        ModelSpec.parse("nobody/none").load()
    assert str(refused.value).startswith(
        "there is no folder nobody/none here, and on the hub: nobody/none is not a model that can be evaluated: "
    )
    assert "\n" not in str(refused.value)


def test_a_fine_tune_of_modernbert_without_head(model_folder, tmp_path):
    """A ModernBERT saved by sentence-transformers does not have a masked-LM head."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    SentenceTransformer(modules=[Transformer(str(model_folder)), Pooling(32, "mean")], device="cpu").save(
        str(tmp_path / "tuned"), create_model_card=False
    )
    theirs = SentenceTransformer(str(tmp_path / "tuned"), device="cpu")
    ours = load_encoder(tmp_path / "tuned")
    assert type(ours) is HuggingFaceEncoder
    same(ours.encode(TEXTS), theirs.encode(TEXTS))
    with pytest.raises(NotApplicable) as refused:
        ours.predict_masked(ours.tokenize(["oak table"]), [np.array([1])])
    assert str(refused.value) == "the model has no masked-language-model head, so it predicts no words"
