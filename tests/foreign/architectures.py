"""Tiny models of many architectures, built from their configs by transformers, each saved with a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors

VOCABULARY = 60
WORDS = [
    "red",
    "oak",
    "steel",
    "kettle",
    "shirt",
    "table",
    "dress",
    "wooden",
    "handle",
    "cotton",
    "a",
    "the",
    "with",
    "small",
    "linen",
    "pockets",
    "fits",
    "well",
    "blue",
]
BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
LONG = {"max_position_embeddings": 64}
AFTER_PAD = {"max_position_embeddings": 66, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
"""Position ids begin after the padding id, 1, so 64 positions remain."""


@dataclass(frozen=True)
class Architecture:
    """A model as its config describes it.

    Attributes:
        name: the name of transformers' config class, without `Config`.
        options: of the config.
        special: the tokenizer's special tokens.
        fills_masks: whether it has a masked-LM head; if not, predicting words is refused.
        longest: its longest input in tokens.
        segments: whether the second text of a pair is told from the first.
    """

    name: str
    options: dict[str, Any]
    special: dict[str, str]
    fills_masks: bool = True
    longest: int = 64
    segments: bool = False

    def config(self) -> Any:
        import transformers

        make: Callable[..., Any] = getattr(transformers, f"{self.name}Config")
        return make(vocab_size=VOCABULARY, **self.options)


ARCHITECTURES = [
    Architecture("Bert", {**SIZE, **LONG}, BERT, segments=True),
    Architecture("Roberta", {**SIZE, **AFTER_PAD, "type_vocab_size": 1}, ROBERTA),
    Architecture("XLMRoberta", {**SIZE, **AFTER_PAD, "type_vocab_size": 1}, ROBERTA),
    Architecture("Camembert", {**SIZE, **AFTER_PAD, "type_vocab_size": 1}, ROBERTA),
    Architecture("MPNet", {**SIZE, **AFTER_PAD}, ROBERTA),
    Architecture("DistilBert", {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 2, **LONG}, BERT),
    Architecture("Electra", {"embedding_size": 16, **SIZE, **LONG}, BERT, segments=True),
    Architecture("Albert", {"embedding_size": 16, **SIZE, **LONG}, BERT, segments=True),
    Architecture("ModernBert", {**SIZE, **LONG, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}, BERT),
    Architecture("Deberta", {**SIZE, **LONG, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, BERT),
    Architecture("DebertaV2", {**SIZE, **LONG, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, BERT),
    Architecture("Longformer", {**SIZE, **AFTER_PAD, "attention_window": 8}, ROBERTA, segments=True),
    Architecture("BigBird", {**SIZE, **LONG, "attention_type": "original_full"}, BERT, segments=True),
    Architecture("RoFormer", {**SIZE, **LONG}, BERT, segments=True),
    Architecture("ConvBert", {"embedding_size": 16, **SIZE, **LONG, "head_ratio": 2}, BERT, segments=True),
    Architecture("MobileBert", {"embedding_size": 16, **SIZE, **LONG, "intra_bottleneck_size": 16, "true_hidden_size": 16}, BERT, segments=True),
    Architecture("FNet", {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, **LONG}, BERT, segments=True),
    Architecture("NomicBert", {**SIZE, **LONG}, BERT, segments=True),
    Architecture("Luke", {"entity_vocab_size": 10, "entity_emb_size": 16, **SIZE, **AFTER_PAD}, ROBERTA, segments=True),
    Architecture("Ernie", {**SIZE, **LONG}, BERT, segments=True),
    Architecture("XLNet", {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 48}, BERT, fills_masks=False, longest=512),
    Architecture("T5", {"d_model": 32, "d_ff": 48, "d_kv": 16, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}, BERT, fills_masks=False, longest=512),
    Architecture("Bart", {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 64, "pad_token_id": 1, "forced_eos_token_id": 2}, ROBERTA, fills_masks=False),
    Architecture("Qwen3", {**SIZE, **LONG, "num_key_value_heads": 2, "head_dim": 16}, BERT, fills_masks=False),
    Architecture("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 2, "eos_token_id": 3}, BERT, fills_masks=False),
]  # fmt: skip


def write(architecture: Architecture, folder: Path, *, head: bool) -> None:
    """Write a model with random weights and its tokenizer; with `head` as a masked language model."""
    import torch
    from transformers import AutoModel, AutoModelForMaskedLM

    torch.manual_seed(0)
    (AutoModelForMaskedLM if head else AutoModel).from_config(architecture.config()).save_pretrained(folder)
    _write_tokenizer(architecture.special, folder)


def _write_tokenizer(special: dict[str, str], folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    pieces = [*special.values(), *WORDS]
    pieces += [f"w{number}" for number in range(len(pieces), VOCABULARY)]
    fast = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token=special["unk"]))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    cls, sep = special["cls"], special["sep"]
    fast.post_processor = processors.TemplateProcessing(
        f"{cls} $A {sep}", f"{cls} $A {sep} $B:1 {sep}:1", [(cls, pieces.index(cls)), (sep, pieces.index(sep))]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=fast, **{f"{role}_token": token for role, token in special.items()}
    ).save_pretrained(folder)
