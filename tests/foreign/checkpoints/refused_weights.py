"""Checkpoints whose weights do not fit their config.json, are damaged, or are missing."""

from __future__ import annotations

import functools
import math

import torch
from foreign.checkpoints.cases import UNFIT, Case, add_case
from foreign.checkpoints.folders import edit, edited, modernbert, renamed, rewrite, weights, write

from rexplug.checksums import record_checksums

CASES: list[Case] = []
case = functools.partial(add_case, CASES)

INNER = 26
"""Weights of the encoder of a `modernbert()`, its head left out."""
ALL = "model.embeddings.norm.weight, model.embeddings.tok_embeddings.weight, model.final_norm.weight and 23 more"
"""The encoder's weights as a message lists them."""


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


# The same folder with its weights intact, which loads.
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
