"""ONNX graphs, quantised or not, as models under evaluation."""

import json
import shutil

import numpy as np
import pytest
import torch

from rexplug import (
    DataError,
    Example,
    ExampleTask,
    FineTuning,
    NotApplicable,
    RetrievalCollection,
    TaggedText,
    TaggingTask,
    api,
)
from rexplug.evaluation import ModelSpec, finetune_tasks, in_precisions
from rexplug.evaluation.identity import model_files, model_identity
from rexplug.evaluation.load_encoder import load_encoder
from rexplug.evaluation.retrieval import evaluate_retrieval
from rexplug.recipe.evaluation import Baseline, ModelOptions

pytest.importorskip("onnxruntime")
TEXTS = ["steel kettle", "the red shirt fits well", "a linen dress " * 60, "oak"]
BUDGET = FineTuning(steps=2, batch=4, seeds=1, learning_rates=(1e-3,))


@pytest.fixture(scope="module")
def exported(plain, tmp_path_factory):
    """A sentence-transformers model with its graph in onnx/model.onnx: BERT, pooling of [CLS], a prompt, a Dense layer."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    from rexplug.evaluation.loading import load_weights
    from rexplug.evaluation.onnx_export import export_graph

    folder = tmp_path_factory.mktemp("exported") / "shop"
    torch.manual_seed(2)
    modules = [Transformer(str(plain)), Pooling(32, "cls"), Dense(32, 16)]
    SentenceTransformer(modules=modules, device="cpu", prompts={"query": "query: "}).save(
        str(folder), create_model_card=False
    )
    (folder / "onnx").mkdir()
    export_graph(load_weights(folder), folder / "onnx/model.onnx")
    return folder


def quantise(folder, name):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(folder / "onnx/model.onnx", folder / "onnx" / name, weight_type=QuantType.QInt8)


def cosines(one, two):
    return (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)


def test_a_graph_embeds_as_the_weights_do(exported):
    ours, weights = ModelSpec.parse(f"onnx:{exported}").load(), load_encoder(exported)
    for role in (None, "query"):
        np.testing.assert_allclose(ours.encode(TEXTS, role=role), weights.encode(TEXTS, role=role), atol=1e-5)
    assert ours.max_tokens == weights.max_tokens == 64
    assert ours.num_parameters == weights.num_parameters
    assert ours.revision != weights.revision
    rows = weights.tokenize(["red"], pairs=["oak table"])
    assert rows[0].segments is not None
    torch.testing.assert_close(
        ours.hidden(ours.tokenize(["red"], pairs=["oak table"])), weights.hidden(rows), atol=1e-5, rtol=1e-4
    )


def test_outputs_as_sentence_transformers_names_them(exported, tmp_path):
    import onnx

    folder = tmp_path / "renamed"
    shutil.copytree(exported, folder)
    (folder / "model.safetensors").unlink()
    model = onnx.load(folder / "onnx/model.onnx")
    for node in model.graph.node:
        node.output[:] = ["token_embeddings" if name == "last_hidden_state" else name for name in node.output]
    model.graph.output[0].name = "token_embeddings"
    onnx.save(model, folder / "onnx/model.onnx")
    found = ModelSpec.parse(f"onnx:{folder}").load()
    np.testing.assert_allclose(found.encode(TEXTS), load_encoder(exported).encode(TEXTS), atol=1e-5)


def test_a_quantised_graph_is_chosen_by_its_file(exported, tmp_path):
    folder = tmp_path / "shop"
    shutil.copytree(exported, folder)
    quantise(folder, "model_qint8_avx512.onnx")
    by_path = ModelSpec.parse(f"onnx:{folder}/onnx/model_qint8_avx512.onnx")
    by_option = ModelSpec.of(Baseline(model=str(folder), file="onnx/model_qint8_avx512.onnx"))
    assert by_path.label == by_option.label == "shop-model_qint8_avx512"
    whole, int8 = load_encoder(folder).encode(TEXTS), by_path.load().encode(TEXTS)
    np.testing.assert_array_equal(by_option.load().encode(TEXTS), int8)
    assert np.abs(whole - int8).max() > 1e-4
    assert cosines(whole, int8).min() > 0.98
    graph = folder / "onnx/model_qint8_avx512.onnx"
    assert graph in [path for _, path in model_files(by_option)]
    assert graph not in [path for _, path in model_files(ModelSpec.parse(str(folder)))]
    before = model_identity(by_option)
    quantise(folder, "model_O3.onnx")
    assert model_identity(by_option) == before
    graph.write_bytes((folder / "onnx/model.onnx").read_bytes())
    assert model_identity(by_option) != before


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_int8_of_a_folder_with_weights_alone(plain, model_folder, kind):
    folder = plain if kind == "bert" else model_folder
    (spec,) = in_precisions([ModelSpec.parse(f"m={folder}")], ["int8"])
    assert spec.label == "m-int8"
    int8, weights = spec.load(), load_encoder(folder)
    assert int8.precision == "int8"
    assert cosines(int8.encode(TEXTS), weights.encode(TEXTS)).min() > 0.98
    assert np.abs(int8.encode(TEXTS) - weights.encode(TEXTS)).max() > 1e-5
    assert int8.revision.endswith("-int8")


def test_int8_beside_fp32_in_a_table(plain, tmp_path):
    rows = "".join(f"thing {n % 10} {n // 10},red thing {n % 7},{n % 5}\n" for n in range(60))
    (tmp_path / "t.csv").write_text("sentence1,sentence2,score\n" + rows)
    budget = "{modes: [full], steps: 2, batch: 8, seeds: 1, learning_rates: [1e-3]}"
    (tmp_path / "suite.yaml").write_text(
        f"evaluators: [{{use: similarity, title: toy, train: $DATA/t.csv, tuning: {budget}}}]\n"
    )
    results = api.evaluate(
        f"m={plain}", tmp_path / "suite.yaml", data=tmp_path, out=tmp_path / "out", precision=["fp32", "int8"]
    )
    compared = api.compare(results)
    assert list(compared.models) == ["m", "m-int8"]
    shown = {row.metric: [cell.metric is not None for cell in row.cells] for row in compared.rows}
    assert shown == {"spearman": [True, False], "untuned.spearman": [True, True]}
    assert "Evaluated with matrix products in int8: m-int8. The others are in fp32." in compared.notes


def test_masked_words_by_the_graph_of_rexplug_export(model_folder, tmp_path):
    from transformers import AutoModelForMaskedLM

    from rexplug.model.export import export_onnx

    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    export_onnx(folder, sample_texts=TEXTS)
    found, weights = ModelSpec.parse(f"onnx:{folder}").load(), load_encoder(model_folder)
    np.testing.assert_allclose(found.encode(TEXTS), weights.encode(TEXTS), atol=1e-4)
    rows = weights.tokenize(TEXTS)
    positions = [np.arange(1, len(row) - 1, 2) for row in rows]
    same = [
        (one == two).mean()
        for one, two in zip(
            found.predict_masked(rows, positions, 3), weights.predict_masked(rows, positions, 3), strict=True
        )
    ]
    assert np.mean(same) > 0.99, "close logits may change places"
    targets = [row[at] for row, at in zip(rows, positions, strict=True)]
    one = np.concatenate(found.token_log_probs(rows, positions, targets))
    reference = AutoModelForMaskedLM.from_pretrained(model_folder).eval()
    with torch.no_grad():
        expected = [
            reference(input_ids=torch.from_numpy(row.copy())[None]).logits[0].log_softmax(-1)[at, row[at]].numpy()
            for row, at in zip(rows, positions, strict=True)
        ]
    np.testing.assert_allclose(one, np.concatenate(expected), atol=1e-3)


def test_a_graph_without_logits_predicts_no_words(exported):
    found = ModelSpec.parse(f"onnx:{exported}").load()
    with pytest.raises(NotApplicable) as refused:
        found.predict_masked(found.tokenize(["oak"]), [np.array([1])])
    assert str(refused.value) == "the ONNX graph has no output logits, so the model predicts no words"


def test_evaluators_that_fine_tune_measure_what_needs_no_gradients(exported, tmp_path):
    model = ModelSpec.parse(f"onnx:{exported}").load()
    note = "The model cannot be fine-tuned: metrics are of the model as it is, and of probes on its embeddings."
    pairs = [Example(f"thing {n % 5}", float(n % 4), f"red thing {n % 3}") for n in range(24)]
    found = finetune_tasks.similarity(ExampleTask("s", pairs, pairs, pairs), model, BUDGET, 0)
    names = ["untuned.spearman", "probe.spearman", "raw.spearman", "centred.spearman", "whitened.spearman"]
    assert (found.main, list(found.metrics)) == (names[0], names)
    assert found.notes[0] == note
    texts = [Example(f"{word} {n}", word) for word in ("red", "oak") for n in range(8)]
    found = finetune_tasks.classification(ExampleTask("c", texts, texts, texts), model, BUDGET, 0)
    assert (found.main, found.notes[0]) == ("probe.accuracy", note)
    one_mode = BUDGET.model_copy(update={"modes": ("full",)})
    found = finetune_tasks.classification(ExampleTask("c", texts, texts, texts), model, one_mode, 0)
    assert found.main == "probe.accuracy"
    tagged = [TaggedText(f"red oak {n}", [(0, 3, "colour")]) for n in range(8)]
    found = finetune_tasks.tagging(TaggingTask("t", tagged, tagged, tagged), model, BUDGET, 0)
    assert found.main == "probe.f1"
    collection = RetrievalCollection(
        "r", {"a": "red oak", "b": "linen dress"}, {"q": "oak"}, {"q": {"a": 1}}, training=[("oak", "red oak")] * 4
    )
    found = evaluate_retrieval(collection, model, tmp_path, 0, BUDGET)
    assert found.main == "untuned.ndcg_at_10"
    with pytest.raises(NotApplicable) as refused:
        _ = model.module
    assert str(refused.value) == "the model is an ONNX graph, which has no gradients, so it cannot be fine-tuned"


def test_a_graph_that_is_missing_or_damaged(exported, tmp_path):
    folder = tmp_path / "shop"
    shutil.copytree(exported, folder)
    with pytest.raises(DataError) as refused:
        ModelSpec.of(Baseline(model=str(folder), file="onnx/model_O4.onnx")).check()
    assert (
        str(refused.value)
        == f"{folder} has no ONNX graph onnx/model_O4.onnx; there are onnx/model.onnx (option `file`)"
    )
    (folder / "onnx/model.onnx").write_bytes(b"no graph")
    with pytest.raises(DataError, match=r"model\.onnx is not an ONNX graph that ONNX Runtime .* can run: "):
        ModelSpec.parse(f"onnx:{folder}").load()
    (folder / "onnx/model.onnx").unlink()
    with pytest.raises(DataError) as refused:
        ModelSpec.parse(f"onnx:{folder}").check()
    assert str(refused.value) == f"{folder} has no onnx/model.onnx; there is no .onnx file in it"


def test_a_number_format_cannot_be_chosen_for_a_graph(exported):
    with pytest.raises(DataError) as refused:
        ModelSpec.of(Baseline(model=f"onnx:{exported}", precision="bf16"))
    assert str(refused.value) == (
        f"onnx:{exported}: an ONNX graph has the number format that it was written in; leave precision out"
    )
    (only,) = in_precisions([ModelSpec.parse(f"onnx:{exported}")], ["fp32", "int8"])
    assert (only.label, only.precision) == ("shop-onnx", "fp32")


def test_modules_other_than_one_encoder_are_refused(exported, tmp_path):
    folder = tmp_path / "shop"
    shutil.copytree(exported, folder)
    entries = json.loads((folder / "modules.json").read_text())
    entries.insert(1, {"idx": 1, "name": "w", "path": "w", "type": "sentence_transformers.models.WeightedLayerPooling"})
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "w").mkdir()
    (folder / "w/config.json").write_text("{}")
    with pytest.raises(
        DataError,
        match="an ONNX graph replaces a single encoder, and the model has several encoders or modules of other kinds",
    ):
        load_encoder(folder, graph="", options=ModelOptions())
