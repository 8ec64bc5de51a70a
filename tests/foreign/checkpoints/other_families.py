"""Checkpoints of other families: evaluations load them, training does not start from them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foreign.checkpoints.cases import UNFIT, Case, add_case
from foreign.checkpoints.folders import PAD, ROWS, draw, edit, rewrite, weights, write

CASES: list[Case] = []
case = functools.partial(add_case, CASES)


def family(config: str, model: str, **options: Any) -> Any:
    """A small model in memory, from the names of its config's and its own class."""
    import transformers

    sizes = {
        "vocab_size": ROWS, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "max_position_embeddings": 66, "pad_token_id": PAD,
    }  # fmt: skip
    model_config = getattr(transformers, config)(**sizes | options)
    model_config._attn_implementation = "eager"
    return draw(getattr(transformers, model)(model_config))


def other(model_type: str, **options: Any) -> Callable[[Callable[[Path], Any]], None]:
    """Add a case that `model.from` refuses as a model of another family, and that evaluations load unless told otherwise."""
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


@other("longformer")
def longformer(folder):
    return write(folder, family("LongformerConfig", "LongformerForMaskedLM", attention_window=8))


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
