"""The exported folder: transformers and sentence-transformers load it, and its logits are those of training."""

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module

import pytest
import torch

from rexplug.errors import DataError
from rexplug.model import build_model, set_rope
from rexplug.model.build import save_model
from rexplug.model.export import export
from rexplug.recipe.schema import Model

TEXTS = ["red cotton shirt, size 42", "a lamp " * 90, "steel", "   "]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    fast.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", fast.token_to_id("[CLS]")), ("[SEP]", fast.token_to_id("[SEP]"))],
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=fast, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        mask_token="[MASK]", model_max_length=8192,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tokenizer):
    from rexplug.tokens.special import SpecialTokens

    folder = tmp_path_factory.mktemp("export")
    model = build_model(Model(size="nano"), SpecialTokens.read(tokenizer), context=8192, seed=5)
    set_rope(model, global_theta=160_000.0, local_theta=None)
    save_model(model, folder / "checkpoint")
    parity = export(folder / "checkpoint", tokenizer, folder / "model", sample_texts=TEXTS)
    return folder, parity


def test_the_parity_file_is_written_and_within_tolerance(exported):
    folder, parity = exported
    assert json.loads((folder / "model" / "parity.json").read_text()) == parity
    assert parity["max_difference"] <= 1e-5
    assert parity["texts"] == 3, "blank texts are left out"


def test_rounding_of_large_logits_is_tolerated(tmp_path, tokenizer):
    """A trained model's logits reach 10 and more, where fp32 rounds at 1e-6 per operation."""
    from rexplug.tokens.special import SpecialTokens

    model = build_model(Model(size="nano"), SpecialTokens.read(tokenizer), context=1024, seed=5)
    with torch.no_grad():
        for values in model.model.layers.parameters():
            values.mul_(4 if values.ndim > 1 else 1)
        model.head.norm.weight.mul_(20)
    model.save_pretrained(tmp_path / "checkpoint")
    parity = export(tmp_path / "checkpoint", tokenizer, tmp_path / "model", sample_texts=TEXTS)
    assert parity["largest_logit"] > 10
    assert parity["differences"]["packed, fp32"] == 0, "the same weights on the same path"
    # transformers rounds rotated queries and keys to fp32 even in fp64; ours stay exact.
    assert parity["differences"]["transformers, fp64"] < 1e-6, "no mistake hides behind rounding"
    assert parity["max_difference"] <= 1e-5


def test_config_holds_context_and_thetas_and_no_trace_of_our_attention(exported):
    folder, _ = exported
    text = (folder / "model" / "config.json").read_text()
    config = json.loads(text)
    assert config["max_position_embeddings"] == 8192
    assert config["rope_parameters"]["full_attention"]["rope_theta"] == 160_000.0
    assert config["rope_parameters"]["sliding_attention"]["rope_theta"] == 10_000.0
    assert config["architectures"] == ["ModernBertForMaskedLM"]
    assert "rexplug" not in text


def test_config_holds_the_keys_of_transformers_4_too(exported):
    folder, parity = exported
    for name in ("checkpoint", "model"):
        config = json.loads((folder / name / "config.json").read_text())
        assert config["global_attn_every_n_layers"] == 3
        assert (config["global_rope_theta"], config["local_rope_theta"]) == (160_000.0, 10_000.0)
    assert parity["transformers_from"] == "4.48"


def test_layers_that_transformers_4_cannot_express(tmp_path, tokenizer):
    """4.x would take every third layer for a global one: the keys are left out, and the proof names a later release."""
    from transformers import ModernBertForMaskedLM

    config = small(tokenizer, layer_types=["sliding_attention", "full_attention"])
    save_model(ModernBertForMaskedLM(config), tmp_path / "checkpoint")
    parity = export(tmp_path / "checkpoint", tokenizer, tmp_path / "model", sample_texts=TEXTS)
    assert parity["transformers_from"] == "5.1"
    assert "global_attn_every_n_layers" not in json.loads((tmp_path / "model" / "config.json").read_text())


def small(tokenizer, **changes):
    from transformers import ModernBertConfig

    from rexplug.tokens.special import SpecialTokens

    special = SpecialTokens.read(tokenizer)
    return ModernBertConfig(
        **{
            "vocab_size": special.vocabulary_size, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 512, "local_attention": 16, "pad_token_id": special.pad,
            "bos_token_id": special.cls, "cls_token_id": special.cls, "eos_token_id": special.sep,
            "sep_token_id": special.sep,
        }
        | changes
    )  # fmt: skip


OLDER = {
    "4.48.0": ["transformers==4.48.0", "tokenizers==0.21.0", "huggingface_hub==0.27.1"],
    "4.57.6": ["transformers==4.57.6", "tokenizers==0.22.2", "huggingface_hub==0.36.0"],
}
"""Replacements for packages of this environment; its torch is used."""
ELSEWHERE = """
import json, sys, torch, transformers
from transformers import AutoModelForMaskedLM
rows, found = json.loads(sys.argv[1]), {}
for folder in sys.argv[3:]:
    for attention in ("eager", "sdpa"):
        model = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation=attention, torch_dtype=torch.float32).eval()
        with torch.no_grad():
            found[folder, attention] = [model(input_ids=torch.tensor([row])).logits[0] for row in rows]
torch.save(found, sys.argv[2])
print(transformers.__version__)
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", OLDER)
def test_older_transformers_give_the_same_logits(tmp_path, tokenizer, version):
    """In a separate environment, for thetas, layers and heads that are not the defaults there."""
    from transformers import ModernBertForMaskedLM

    target = tmp_path / "packages"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
        "--retries",
        "0",
        "--timeout",
        "20",
    ]
    done = subprocess.run([*pip, "--target", str(target), *OLDER[version]], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip has no transformers {version} here: {done.stderr.strip().splitlines()[-1]}")
    thetas = {"full_attention": 30_000.0, "sliding_attention": 20_000.0}
    parameters = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in thetas.items()}
    changes = {
        "short": {"rope_parameters": {kind: each | {"rope_theta": 10_000.0} for kind, each in parameters.items()}},
        "other": {
            "rope_parameters": parameters, "norm_bias": True, "attention_bias": True, "mlp_bias": True,
            "tie_word_embeddings": False, "classifier_activation": "relu", "local_attention": 6,
            "layer_types": ["full_attention", "sliding_attention"] * 2, "num_hidden_layers": 4,
        },
    }  # fmt: skip
    rows, right = [[5 + place % 200 for place in range(length)] for length in (3, 40, 290)], {}
    for name, each in changes.items():
        torch.manual_seed(1)
        model = ModernBertForMaskedLM(small(tokenizer, **each))
        with torch.no_grad():
            for values in model.parameters():
                values.add_(torch.randn_like(values) * 0.1)
        save_model(model, tmp_path / "checkpoint")
        assert (
            export(tmp_path / "checkpoint", tokenizer, tmp_path / name, sample_texts=TEXTS)["transformers_from"]
            == "4.48"
        )
        shutil.rmtree(tmp_path / "checkpoint")
        with torch.no_grad():
            right[str(tmp_path / name)] = [model.eval()(input_ids=torch.tensor([row])).logits[0] for row in rows]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps(rows), str(tmp_path / "logits.pt"), *right],
        env=os.environ | {"PYTHONPATH": str(target)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == version, done.stderr
    for (folder, attention), logits in torch.load(tmp_path / "logits.pt").items():
        for row, ours in zip(logits, right[folder], strict=True):
            assert float((row - ours).abs().max()) <= 1e-4 * float(ours.abs().max()), (folder, attention)


def test_transformers_fills_masks_with_it(exported):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder, _ = exported
    fast = AutoTokenizer.from_pretrained(folder / "model")
    model = AutoModelForMaskedLM.from_pretrained(folder / "model").eval()
    encoded = fast(["red [MASK] shirt", "a lamp"], padding=True, return_tensors="pt")
    assert int(encoded["input_ids"].eq(fast.mask_token_id).sum()) == 1
    with torch.no_grad():
        assert model(**encoded).logits.isfinite().all()


@pytest.mark.slow
def test_sentence_transformers_takes_the_mean_over_tokens(exported):
    from sentence_transformers import SentenceTransformer

    folder, _ = exported
    encoder = SentenceTransformer(str(folder / "model"), device="cpu")
    assert encoder.max_seq_length == 8192
    vectors = encoder.encode(["a lamp", "red cotton shirt, size 42"], convert_to_tensor=True)
    model = load(folder / "model")
    for text, vector in zip(["a lamp", "red cotton shirt, size 42"], vectors, strict=True):
        tokens = encoder.tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            mean = model(input_ids=tokens).last_hidden_state[0].mean(0)
        assert torch.allclose(vector, mean, atol=1e-5)


def load(folder):
    from transformers import AutoModel

    return AutoModel.from_pretrained(folder).eval()


def test_logits_that_differ_stop_the_export_and_leave_nothing(tmp_path, exported, tokenizer, monkeypatch):
    folder, _ = exported
    monkeypatch.setattr(import_module("rexplug.model.export"), "TOLERANCE", -1.0)
    with pytest.raises(DataError, match="the exported model's logits differ by .*; at most -1.0 is allowed"):
        export(folder / "checkpoint", tokenizer, tmp_path / "model", sample_texts=TEXTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def session_of(folder):
    import onnxruntime

    return onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])


def test_onnx_gives_the_same_logits_at_any_shape(exported):
    pytest.importorskip("onnxruntime")
    from rexplug.model.export import export_onnx

    folder, _ = exported
    parity = export_onnx(folder / "model", sample_texts=TEXTS)
    assert [output.name for output in session_of(folder / "model").get_outputs()] == ["logits", "last_hidden_state"]
    assert parity["max_difference"] <= 1e-4
    assert json.loads((folder / "model" / "onnx_parity.json").read_text()) == parity
    assert (folder / "model" / "model.onnx").stat().st_size > 1_000_000
