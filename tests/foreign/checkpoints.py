"""Checkpoints that rexplug did not make, written by script from tiny configs, each with its right answer.

The answer of a case is either numbers (those of the model in memory before it was saved, by transformers' own eager
attention) or the sentence that it is refused with. The weights are drawn large, so that a wrong number shows.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from rexplug.checksums import record_checksums

SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{number}" for number in range(55)]
ROWS = 64
PAD, CLS, SEP, MASK = 1, 2, 3, 4
TEXTS = ["w1 w2 w3", " ".join(WORDS[:40]), "w9"]


@dataclass(frozen=True)
class Case:
    """A checkpoint and what the entrances of rexplug must make of it.

    `start` is the sentence with which `model.from` refuses it, `None` if training starts with the weights' own numbers;
    `evaluate` likewise for evaluations. `new_head`: the head is drawn at random by `model.from`, and evaluations fill in no
    words. `pickled`: its weights are judged when they are loaded, and not by `check`.
    """

    name: str
    make: Callable[[Path], Any]
    start: str | None = None
    evaluate: str | None = None
    new_head: bool = False
    pickled: bool = False
    remark: str | None = None


CASES: list[Case] = []


def case(
    start: str | None = None, evaluate: str | bool | None = True, **options: Any
) -> Callable[[Callable[[Path], Any]], None]:
    """Add the decorated maker, which returns the model in memory; `evaluate=True` refuses as `start` does."""

    def add(make: Callable[[Path], Any]) -> None:
        name = make.__name__.replace("_", " ").strip()
        CASES.append(Case(name, make, start, start if evaluate is True else evaluate or None, **options))

    return add


def write_tokenizer(folder: Path, words: list[str] = WORDS) -> None:
    """A tokenizer of whole words whose ids are the same for all cases."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    fast = Tokenizer(models.WordLevel({each: number for number, each in enumerate([*SPECIAL, *words])}, "[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=fast, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    ).save_pretrained(folder)  # fmt: skip


def draw(model: Any) -> Any:
    """Large random weights, norms and biases included."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, values in model.named_parameters():
            noise = torch.randn(values.shape, generator=generator)
            values.copy_(
                noise * 0.3 if values.ndim > 1 else noise * 0.1 + ("norm" in name.lower() and "weight" in name)
            )
    return model.eval()


def modernbert(kind: str = "ModernBertForMaskedLM", **changes: Any) -> Any:
    """A ModernBERT in memory; its config.json takes the `changes`."""
    import transformers

    config = transformers.ModernBertConfig(
        **{
            "vocab_size": ROWS, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4,
            "num_attention_heads": 2, "max_position_embeddings": 64, "local_attention": 8, "pad_token_id": PAD,
            "bos_token_id": CLS, "cls_token_id": CLS, "eos_token_id": SEP, "sep_token_id": SEP,
        }
        | changes
    )  # fmt: skip
    config._attn_implementation = "eager"
    return draw(getattr(transformers, kind)(config))


def write(folder: Path, model: Any, **options: Any) -> Any:
    """Save a model as transformers does, beside the tokenizer."""
    model.save_pretrained(folder, **options)
    write_tokenizer(folder)
    return model


def edit(folder: Path, *without: str, **changes: Any) -> None:
    """Change config.json by hand."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in config.items() if name not in without} | changes))


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, values: dict[str, Any]) -> None:
    """Write other weights in place of those that transformers saved."""
    # Copies: safetensors refuses tensors that share memory.
    save_file({name: value.clone().contiguous() for name, value in values.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip


def renamed(folder: Path, rename: Callable[[str], str]) -> Any:
    model = write(folder, modernbert())
    rewrite(folder, {rename(name): value for name, value in weights(folder).items()})
    return model


def edited(folder: Path, *without: str, **changes: Any) -> Any:
    model = write(folder, modernbert())
    edit(folder, *without, **changes)
    return model


UNFIT = "its weights are not those of its config.json: "
INNER = 26
"""Weights of the inner model of a `modernbert()`."""
ALL = "model.embeddings.norm.weight, model.embeddings.tok_embeddings.weight, model.final_norm.weight and 23 more"


# What works, with the model's own numbers.


@case()
def plain(folder):
    return write(folder, modernbert())


@case()
def biases_everywhere(folder):
    return write(folder, modernbert(norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True))


@case()
def no_decoder_bias(folder):
    return write(folder, modernbert(decoder_bias=False))


@case()
def untied_decoder(folder):
    return write(folder, modernbert(tie_word_embeddings=False))


@case()
def untied_decoder_without_bias(folder):
    return write(folder, modernbert(tie_word_embeddings=False, decoder_bias=False))


@case()
def narrow_odd_window(folder):
    return write(folder, modernbert(local_attention=5))


@case()
def window_wider_than_a_block(folder):
    return write(folder, modernbert(local_attention=300))


@case()
def every_layer_global(folder):
    return write(folder, modernbert(layer_types=["full_attention"] * 4))


@case()
def layers_in_another_order(folder):
    return write(folder, modernbert(layer_types=["sliding_attention", "full_attention"] * 2))


@case()
def one_layer(folder):
    return write(folder, modernbert(num_hidden_layers=1))


@case()
def large_norm_eps(folder):
    return write(folder, modernbert(norm_eps=0.5))


@case()
def another_activation_of_the_head(folder):
    return write(folder, modernbert(classifier_activation="relu"))


@case()
def other_thetas(folder):
    kinds = {"full_attention": 30_000.0, "sliding_attention": 20_000.0}
    parameters = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in kinds.items()}
    return write(folder, modernbert(rope_parameters=parameters))


def _as_4x_writes(folder: Path, model: Any, **keys: Any) -> Any:
    write(folder, model)
    edit(
        folder, "layer_types", "rope_parameters", "dtype", torch_dtype="float32", transformers_version="4.48.0",
        reference_compile=False, repad_logits_with_grad=False, position_embedding_type="absolute",
        gradient_checkpointing=False, layer_norm_eps=1e-05, **keys,
    )  # fmt: skip
    return model


@case()
def config_keys_of_transformers_4(folder):
    kinds = {"full_attention": 30_000.0, "sliding_attention": 20_000.0}
    parameters = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in kinds.items()}
    layers = ["full_attention", "sliding_attention"] * 2
    model = modernbert(rope_parameters=parameters, layer_types=layers)
    return _as_4x_writes(
        folder, model, global_rope_theta=30_000.0, local_rope_theta=20_000.0, global_attn_every_n_layers=2
    )


@case()
def config_of_transformers_4_that_leaves_all_out(folder):
    return _as_4x_writes(folder, modernbert())


@case()
def special_ids_left_out(folder):
    model = write(folder, modernbert(vocab_size=50_368))
    edit(folder, "pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id")
    return model


@case(remark="attention_dropout 0.1, embedding_dropout 0.2, mlp_dropout 0.3, deterministic_flash_attn")
def dropout_and_other_options_of_training(folder):
    return write(
        folder,
        modernbert(
            attention_dropout=0.1, embedding_dropout=0.2, mlp_dropout=0.3, sparse_prediction=True,
            deterministic_flash_attn=True,
        ),
    )  # fmt: skip


def rounded(folder: Path, kind: torch.dtype) -> Any:
    """Saved in half precision; the model in memory holds the rounded weights."""
    model = modernbert()
    write(folder, copy.deepcopy(model).to(kind))
    with torch.no_grad():
        for values in model.parameters():
            values.copy_(values.to(kind))
    return model


@case()
def half_precision(folder):
    return rounded(folder, torch.float16)


@case()
def bf16(folder):
    return rounded(folder, torch.bfloat16)


@case()
def sharded(folder):
    model = write(folder, modernbert(), max_shard_size="10KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return model


@case(pickled=True)
def pickled(folder):
    model = write(folder, modernbert())
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model


@case()
def one_level_further_out(folder):
    return renamed(folder, lambda name: f"model.{name}")


@case()
def tied_decoder_saved_too(folder):
    model = write(folder, modernbert())
    values = weights(folder)
    rewrite(folder, values | {"decoder.weight": values["model.embeddings.tok_embeddings.weight"]})
    return model


@case()
def tied_decoder_saved_alone(folder):
    return renamed(folder, lambda name: name.replace("model.embeddings.tok_embeddings.weight", "decoder.weight"))


@case(new_head=True)
def headless(folder):
    return write(folder, modernbert("ModernBertModel"))


@case(new_head=True)
def headless_that_says_it_has_a_head(folder):
    model = write(folder, modernbert())
    rewrite(folder, {name: value for name, value in weights(folder).items() if name.startswith("model.")})
    return model


# Weights that do not fit.


@case(
    f"{UNFIT}{INNER} of the encoder's {INNER} are missing ({ALL}); 29 are left over (_orig_mod.decoder.bias, "
    "_orig_mod.head.dense.weight, _orig_mod.head.norm.weight and 26 more). Without '_orig_mod.' before each name they would "
    "fit: save the model that was wrapped"
)
def saved_while_compiled(folder):
    return renamed(folder, lambda name: f"_orig_mod.{name}")


@case(
    f"{UNFIT}{INNER} of the encoder's {INNER} are missing ({ALL}); 29 are left over (module.decoder.bias, "
    "module.head.dense.weight, module.head.norm.weight and 26 more). Without 'module.' before each name they would "
    "fit: save the model that was wrapped",
    pickled=True,
)
def saved_while_wrapped_and_pickled(folder):
    model = write(folder, modernbert())
    (folder / "model.safetensors").unlink()
    values = {f"module.{name}": value for name, value in model.state_dict().items() if name != "decoder.weight"}
    torch.save(values, folder / "pytorch_model.bin")
    return model


@case(
    f"{UNFIT}23 of the encoder's {INNER} are missing (model.layers.0.attn.Wo.weight, model.layers.0.attn.Wqkv.weight, "
    "model.layers.0.mlp.Wi.weight and 20 more); 23 are left over (model.encoder.layers.0.attn.Wo.weight, "
    "model.encoder.layers.0.attn.Wqkv.weight, model.encoder.layers.0.mlp.Wi.weight and 20 more)"
)
def layers_renamed(folder):
    return renamed(folder, lambda name: name.replace("model.layers", "model.encoder.layers"))


@case(
    f"{UNFIT}9 of the encoder's {INNER} are missing (model.embeddings.norm.weight, model.final_norm.weight, "
    "model.layers.0.mlp_norm.weight and 6 more); 10 are left over (head.norm.gamma, model.embeddings.norm.gamma, "
    "model.final_norm.gamma and 7 more)"
)
def norms_renamed(folder):
    return renamed(folder, lambda name: name.replace("norm.weight", "norm.gamma"))


@case(
    f"{UNFIT}6 of the encoder's {INNER + 6} are missing (model.layers.4.attn.Wo.weight, model.layers.4.attn.Wqkv.weight, "
    "model.layers.4.attn_norm.weight and 3 more)"
)
def more_layers_in_the_config(folder):
    return edited(folder, "layer_types", num_hidden_layers=5)


@case(
    f"{UNFIT}6 are left over (model.layers.3.attn.Wo.weight, model.layers.3.attn.Wqkv.weight, "
    "model.layers.3.attn_norm.weight and 3 more)"
)
def fewer_layers_in_the_config(folder):
    return edited(folder, "layer_types", num_hidden_layers=3)


@case(
    f"{UNFIT}decoder.bias is 64 and should be 80; model.embeddings.tok_embeddings.weight is 64 x 16 and should be 80 x 16",
    evaluate=f"{UNFIT}model.embeddings.tok_embeddings.weight is 64 x 16 and should be 80 x 16",
)
def more_rows_in_the_config(folder):
    return edited(folder, vocab_size=80)


@case(f"{UNFIT}1 is left over (model.layers.0.attn_norm.weight)")
def a_weight_too_many(folder):
    model = write(folder, modernbert())
    rewrite(folder, weights(folder) | {"model.layers.0.attn_norm.weight": torch.ones(16)})
    return model


@case(
    f"{UNFIT}9 of the encoder's 35 are missing (model.embeddings.norm.bias, model.final_norm.bias, "
    "model.layers.0.mlp_norm.bias and 6 more)",
)
def biases_missing(folder):
    return edited(folder, norm_bias=True, attention_bias=False, mlp_bias=False)


CLASSIFIER = (
    f"{UNFIT}of the masked-LM head decoder.bias is missing; 2 are left over (classifier.bias, classifier.weight). They belong to a "
    "classifier, whose head is not a masked-LM head; save only its encoder, with "
    "AutoModel.from_pretrained(...).save_pretrained(...)"
)


@case(CLASSIFIER, evaluate=None, new_head=True)
def a_classifier(folder):
    return write(folder, modernbert("ModernBertForSequenceClassification"))


@case(CLASSIFIER, evaluate=None, new_head=True)
def a_tagger(folder):
    return write(folder, modernbert("ModernBertForTokenClassification"))


@case(f"{UNFIT}of the masked-LM head decoder.bias is missing", evaluate=None, new_head=True)
def part_of_a_head(folder):
    model = write(folder, modernbert())
    rewrite(folder, {name: value for name, value in weights(folder).items() if name != "decoder.bias"})
    return model


@case(
    "its decoder.weight differs from its embedding, but config.json ties them; write tie_word_embeddings: false if it was "
    "trained so",
    evaluate=None,
    pickled=True,
)
def decoder_trained_apart_but_tied_in_the_config(folder):
    model = write(folder, modernbert(tie_word_embeddings=False))
    edit(folder, tie_word_embeddings=True)
    return model


@case("its weights are stored as I8 (model.layers.0.mlp.Wi.weight); floating-point numbers are needed")
def whole_numbers(folder):
    model = write(folder, modernbert())
    values = weights(folder)
    rewrite(folder, values | {"model.layers.0.mlp.Wi.weight": values["model.layers.0.mlp.Wi.weight"].to(torch.int8)})
    return model


@case("its weight model.layers.2.mlp.Wo.weight holds values that are not finite numbers", pickled=True)
def not_a_number(folder):
    model = write(folder, modernbert())
    values = weights(folder)
    values["model.layers.2.mlp.Wo.weight"][3, 4] = math.nan
    rewrite(folder, values)
    return model


@case("{folder}/model.safetensors has 20,000 bytes, where its header says 43,488; it is cut short or damaged")
def cut_short(folder):
    model = write(folder, modernbert())
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:20_000])
    return model


@case("{folder}/model.safetensors is not a safetensors file, or is cut short")
def an_empty_file(folder):
    model = write(folder, modernbert())
    (folder / "model.safetensors").write_bytes(b"")
    return model


@case("{folder}/model.safetensors is a Git LFS pointer and not the weights; fetch them (git lfs pull)")
def a_pointer(folder):
    model = write(folder, modernbert())
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 38276\n")
    return model


@case("{folder}/model.safetensors is not a safetensors file, or is damaged")
def a_header_of_other_things(folder):
    model = write(folder, modernbert())
    header = b'{"a": [1, 2]}'
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return model


@case(
    "{folder}/model.safetensors was altered: its content does not have the checksum that was recorded when it was written; "
    "restore the file, or remove {folder}/checksums.json if the change is intended",
)
def written_by_a_run_with_one_bit_flipped(folder):
    model = write(folder, modernbert())
    (folder / "optimizer.pt").write_bytes(b"left out of most copies")
    record_checksums(folder)
    (folder / "optimizer.pt").unlink()
    values = bytearray((folder / "model.safetensors").read_bytes())
    values[-4] ^= 1
    (folder / "model.safetensors").write_bytes(values)
    return model


@case()
def written_by_a_run_and_copied_without_the_optimizer(folder):
    model = write(folder, modernbert())
    (folder / "optimizer.pt").write_bytes(b"left out of most copies")
    record_checksums(folder)
    (folder / "optimizer.pt").unlink()
    return model


@case("{folder}/model-00002-of-00005.safetensors is missing")
def a_shard_missing(folder):
    model = write(folder, modernbert(), max_shard_size="10KB")
    (folder / "model-00002-of-00005.safetensors").unlink()
    return model


@case("{folder}/model.safetensors.index.json names the file '../else.safetensors', which is not a file of its folder")
def a_shard_of_another_folder(folder):
    model = write(folder, modernbert(), max_shard_size="10KB")
    path = folder / "model.safetensors.index.json"
    path.write_text(path.read_text().replace("model-00002-of-00005", "../else"))
    return model


@case("the folder holds no weights (model.safetensors or pytorch_model.bin) and none of their parts' index")
def shards_without_an_index(folder):
    model = write(folder, modernbert(), max_shard_size="10KB")
    (folder / "model.safetensors.index.json").unlink()
    return model


@case("the folder holds no weights (model.safetensors or pytorch_model.bin)")
def no_weights(folder):
    model = write(folder, modernbert())
    (folder / "model.safetensors").unlink()
    return model


# Configs that our layers do not compute; evaluations run transformers' own layers then.


@case("hidden_activation is 'silu', and the layers of rexplug compute only 'gelu'", evaluate=None)
def another_activation(folder):
    return write(folder, modernbert(hidden_activation="silu"))


@case(
    "full_attention has RoPE of the type 'yarn', and rexplug computes only 'default'; longer contexts are learnt with a "
    "larger rope.global_theta",
    evaluate=None,
)
def stretched_positions(folder):
    parameters = {
        "full_attention": {
            "rope_type": "yarn",
            "factor": 2.0,
            "rope_theta": 1e4,
            "original_max_position_embeddings": 32,
        },
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    return write(folder, modernbert(rope_parameters=parameters))


# Configs of which no model can be made.

THETA = (
    "the RoPE theta of {kind} is {theta}; write the theta it was trained with into its config.json (ModernBERT: 160,000 in "
    "full_attention, 10,000 in sliding_attention)"
)


@case(THETA.format(kind="sliding_attention", theta="-1"))
def a_theta_of_minus_one(folder):
    return edited(folder, "rope_parameters", global_rope_theta=160_000.0, local_rope_theta=-1)


@case(THETA.format(kind="full_attention", theta="'much'"))
def a_theta_in_words(folder):
    return edited(folder, rope_parameters={"full_attention": {"rope_theta": "much"}})


@case(
    "rope_parameters is {'rope_theta': 10000.0}; it must hold a mapping for full_attention and one for sliding_attention"
)
def one_theta_for_all_layers(folder):
    return edited(folder, rope_parameters={"rope_theta": 10_000.0})


LAYERS = "layer_types must name full_attention or sliding_attention for each of its 4 layers (num_hidden_layers)"


@case(LAYERS)
def too_few_kinds_of_layers(folder):
    return edited(folder, layer_types=["full_attention"])


@case(LAYERS)
def an_unknown_kind_of_layer(folder):
    return edited(folder, layer_types=["full_attention", "chunked_attention"] * 2)


@case("global_attn_every_n_layers is 0; write a positive whole number")
def global_every_zero_layers(folder):
    return edited(folder, "layer_types", global_attn_every_n_layers=0)


@case("hidden_size is 16 and num_attention_heads 3; a head needs an even, whole number of dimensions")
def heads_that_do_not_divide(folder):
    return edited(folder, num_attention_heads=3)


@case("hidden_size is 16 and num_attention_heads 16; a head needs an even, whole number of dimensions")
def heads_of_one_dimension(folder):
    return edited(folder, num_attention_heads=16)


@case("pad_token_id is 100, but there are 64 embeddings")
def padding_out_of_range(folder):
    return edited(folder, pad_token_id=100)


@case("classifier_activation is 'nope', which is not a known activation")
def an_unknown_activation(folder):
    return edited(folder, classifier_activation="nope")


@case("its weights are quantized (quantization_config); rexplug needs them as floating-point numbers")
def quantized(folder):
    return edited(folder, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})


@case("hidden_size is '16'; write a positive whole number")
def a_size_in_words(folder):
    return edited(folder, hidden_size="16")


@case("norm_eps is nan, which is not a number that it can be")
def an_eps_that_is_no_number(folder):
    return edited(folder, norm_eps=math.nan)


@case("num_hidden_layers is 1000000000; at most 1000 are supported")
def a_billion_layers(folder):
    return edited(folder, "layer_types", num_hidden_layers=10**9)


@case("tie_word_embeddings is 'no'; write true or false")
def a_switch_in_words(folder):
    return edited(folder, tie_word_embeddings="no")


# Other families: evaluated, not gone on from.


def family(config: str, model: str, **options: Any) -> Any:
    import transformers

    sizes = {
        "vocab_size": ROWS, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "max_position_embeddings": 66, "pad_token_id": PAD,
    }  # fmt: skip
    made = getattr(transformers, config)(**sizes | options)
    made._attn_implementation = "eager"
    return draw(getattr(transformers, model)(made))


def other(model_type: str, **options: Any) -> Callable[[Callable[[Path], Any]], None]:
    return case(model_type, options.pop("evaluate", None), **options)


@other("bert")
def bert(folder):
    return write(folder, family("BertConfig", "BertForMaskedLM"))


@other("bert", new_head=True)
def bert_without_a_head(folder):
    return write(folder, family("BertConfig", "BertModel"))


@other("bert", new_head=True)
def bert_classifier(folder):
    return write(folder, family("BertConfig", "BertForSequenceClassification"))


@other("bert")
def bert_with_two_heads(folder):
    return write(folder, family("BertConfig", "BertForPreTraining"))


@other(
    "bert",
    evaluate=f"{UNFIT}37 of the encoder's 37 are missing (bert.embeddings.LayerNorm.bias, bert.embeddings.LayerNorm.weight, "
    "bert.embeddings.position_embeddings.weight and 34 more); 42 are left over "
    "(_orig_mod.bert.embeddings.LayerNorm.bias, _orig_mod.bert.embeddings.LayerNorm.weight, "
    "_orig_mod.bert.embeddings.position_embeddings.weight and 39 more). Without '_orig_mod.' before each name they would "
    "fit: save the model that was wrapped",
)
def bert_saved_while_compiled(folder):
    model = write(folder, family("BertConfig", "BertForMaskedLM"))
    rewrite(folder, {f"_orig_mod.{name}": value for name, value in weights(folder).items()})
    return model


@other(
    "bert",
    evaluate=f"{UNFIT}16 are left over (bert.encoder.layer.1.attention.output.LayerNorm.bias, "
    "bert.encoder.layer.1.attention.output.LayerNorm.weight, bert.encoder.layer.1.attention.output.dense.bias and 13 more)",
)
def bert_with_fewer_layers_in_the_config(folder):
    model = write(folder, family("BertConfig", "BertForMaskedLM"))
    edit(folder, num_hidden_layers=1)
    return model


@other(
    "bert",
    evaluate=f"{UNFIT}16 are left over (encoder.layer.1.attention.output.LayerNorm.bias, "
    "encoder.layer.1.attention.output.LayerNorm.weight, encoder.layer.1.attention.output.dense.bias and 13 more)",
)
def bert_without_a_head_and_fewer_layers(folder):
    model = write(folder, family("BertConfig", "BertModel"))
    edit(folder, num_hidden_layers=1)
    return model


@other("roberta")
def roberta(folder):
    return write(folder, family("RobertaConfig", "RobertaForMaskedLM"))


@other("xlm-roberta")
def xlm_roberta(folder):
    return write(folder, family("XLMRobertaConfig", "XLMRobertaForMaskedLM"))


@other("distilbert")
def distilbert(folder):
    return write(
        folder, family("DistilBertConfig", "DistilBertForMaskedLM", dim=16, hidden_dim=24, n_layers=2, n_heads=2)
    )


@other("electra")
def electra_generator(folder):
    return write(folder, family("ElectraConfig", "ElectraForMaskedLM", embedding_size=8))


@other("electra", new_head=True)
def electra_discriminator(folder):
    return write(folder, family("ElectraConfig", "ElectraForPreTraining", embedding_size=8))


@other("albert")
def albert(folder):
    return write(folder, family("AlbertConfig", "AlbertForMaskedLM", embedding_size=8))


@other("mpnet")
def mpnet(folder):
    return write(folder, family("MPNetConfig", "MPNetForMaskedLM"))


@other("deberta")
def deberta(folder):
    return write(folder, family("DebertaConfig", "DebertaForMaskedLM"))


@other("deberta-v2")
def deberta_with_relative_positions(folder):
    return write(
        folder,
        family(
            "DebertaV2Config", "DebertaV2ForMaskedLM", relative_attention=True, pos_att_type=["p2c", "c2p"],
            position_buckets=8, position_biased_input=False, share_att_key=True, norm_rel_ebd="layer_norm",
        ),
    )  # fmt: skip
