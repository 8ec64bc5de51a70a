"""Reads and writes tokenizer folders: tokenizer.json, special tokens, and a config that all transformers versions read identically.

transformers 5 rebuilds the tokenizers of many classes (XLM-R, Llama, BERT) from their vocabulary and ignores the
normalization and splitting of tokenizer.json, so that ids differ from those that a model has learnt. Everything in rexplug
that makes token ids therefore uses tokenizer.json itself.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rexplug.errors import DataError, first_line
from rexplug.io.atomic import write_json
from rexplug.io.json_files import read_json_file, read_json_object

DEFINITION = "tokenizer.json"
CONFIG = "tokenizer_config.json"
MAP = "special_tokens_map.json"
FILES = (DEFINITION, CONFIG, MAP)
ROLES = ("cls", "sep", "pad", "mask", "unk", "bos", "eos")
_VOCABULARIES = (
    "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "bpe.codes",
)  # fmt: skip
_KEPT = ("padding_side", "truncation_side", "clean_up_tokenization_spaces")
_BERT = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]", "unk": "[UNK]"}
_ROBERTA = {"cls": "<s>", "sep": "</s>", "pad": "<pad>", "mask": "<mask>", "unk": "<unk>"}
_GEMMA = {**_ROBERTA, "cls": "<bos>", "sep": "<eos>"}


def read_definition(folder: Path) -> dict[str, Any]:
    """The content of tokenizer.json, after a check of its model, added tokens and template.

    Raises:
        DataError: it is missing, or is not a tokenizer.
    """
    path = folder / DEFINITION
    definition = read_json_file(path)
    try:
        dict(definition["model"])
        vocabulary(definition)
        [bool(token.get("special")) for token in definition["added_tokens"]]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise DataError(
            f"{path} is not a tokenizer: it needs `model` with a `vocab`, and `added_tokens` with `content` and `id`"
        ) from None
    if not all(_is_complete(processor) for processor in _processors(definition.get("post_processor"))):
        raise DataError(
            f"{path} is not a tokenizer: the template of its post_processor names tokens that it does not define"
        )
    return dict(definition)


def _processors(value: Any) -> Iterator[dict[str, Any]]:
    """A post-processor, and those of a sequence."""
    if not isinstance(value, dict):
        return
    yield value
    sequence = value.get("processors")
    for processor in sequence if isinstance(sequence, list) else ():
        yield from _processors(processor)


def _is_complete(processor: Mapping[str, Any]) -> bool:
    """Whether a template defines its special tokens; the library aborts the process if one does not."""
    if processor.get("type") != "TemplateProcessing":
        return True
    try:
        pieces = [*processor["single"], *processor["pair"]]
        used = {piece["SpecialToken"]["id"] for piece in pieces if "SpecialToken" in piece}
        return used <= set(processor["special_tokens"])
    except (KeyError, TypeError):
        return False


def require_tokenizer(folder: Path) -> bool:
    """Check that a folder holds a tokenizer that transformers can load; returns whether it has a tokenizer.json.

    Raises:
        DataError: it holds none, or the tokenizer needs code of its own.
    """
    if (folder / DEFINITION).exists():
        return True
    if read_config(folder).get("auto_map"):
        raise DataError(f"{folder / CONFIG}: the tokenizer wants to run code of its own (auto_map), which is not done")
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise DataError(f"the folder '{folder}' holds no tokenizer (tokenizer.json)")
    return False


def vocabulary(definition: Mapping[str, Any]) -> dict[str, int]:
    """Token -> id of a definition, added tokens included."""
    pieces = definition["model"]["vocab"]
    if isinstance(pieces, list):  # Unigram: pairs of piece and score; the index is the id
        ids = {str(piece[0]): number for number, piece in enumerate(pieces)}
    else:
        ids = {str(piece): int(number) for piece, number in pieces.items()}
    return ids | {str(token["content"]): int(token["id"]) for token in definition["added_tokens"]}


def read_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json and special_tokens_map.json merged; empty if there is neither.

    Raises:
        DataError: one of them is not a JSON object.
    """
    config: dict[str, Any] = {}
    for name in (CONFIG, MAP):
        path = folder / name
        if path.exists():
            config |= read_json_object(path)
    return config


def special_tokens(folder: Path, definition: Mapping[str, Any]) -> dict[str, str]:
    """Role (`cls`, `mask`, ...) -> token, as the config names them; they need not be in the vocabulary.

    A role that the config does not name has the token that BERT, RoBERTa or Gemma use, if the vocabulary has it.

    Raises:
        DataError: a config file is damaged.
    """
    config = read_config(folder)
    known = vocabulary(definition)
    conventions = (_BERT, _ROBERTA, _GEMMA)
    if _ROBERTA["cls"] in json.dumps(definition.get("post_processor")):
        conventions = (_ROBERTA, _BERT, _GEMMA)
    tokens: dict[str, str] = {}
    for role in ROLES:
        key = f"{role}_token"
        if key in config:
            entry = config[key]
            content = entry.get("content") if isinstance(entry, dict) else entry
            if isinstance(content, str):
                tokens[role] = content
            continue
        usual = [convention[role] for convention in conventions if convention.get(role) in known]
        if usual:
            tokens[role] = usual[0]
    return tokens


def portable_config(folder: Path, *, max_length: int) -> dict[str, Any]:
    """A tokenizer_config.json with which transformers 4 and 5 use tokenizer.json as it is.

    It names the generic class, which rebuilds nothing, and leaves out how the tokenizer was loaded here.

    Args:
        folder: the tokenizer's folder.
        max_length: the longest input that the model was trained on, in tokens.

    Raises:
        DataError: a file of the tokenizer is damaged.
    """
    definition, config = read_definition(folder), read_config(folder)
    known = vocabulary(definition)
    special = {role: token for role, token in special_tokens(folder, definition).items() if token in known}
    more = config.get("additional_special_tokens", config.get("extra_special_tokens"))
    listed = list(more.values()) if isinstance(more, dict) else more if isinstance(more, list) else []
    contents = [token.get("content") if isinstance(token, dict) else token for token in listed]
    further = [
        token for token in contents if isinstance(token, str) and token in known and token not in special.values()
    ]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **{key: config[key] for key in _KEPT if key in config},
        **{f"{role}_token": token for role, token in special.items()},
        **({"additional_special_tokens": further} if further else {}),
    }


def write_portable(source: Path, target: Path, *, max_length: int) -> None:
    """Copy tokenizer.json as it is, and write a config that all transformers versions read identically, to the folder `target`.

    Raises:
        DataError: a file of the tokenizer is damaged.
    """
    config = portable_config(source, max_length=max_length)
    if source != target:
        shutil.copyfile(source / DEFINITION, target / DEFINITION)
    (target / MAP).unlink(missing_ok=True)
    write_json(target / CONFIG, config)


def load_fast(folder: Path) -> Any:
    """transformers' tokenizer of a tokenizer.json, with the special tokens that the folder names.

    A special token that only the config names gets the next free id, as in transformers.

    Raises:
        DataError: a file of the tokenizer is damaged.
    """
    from transformers import PreTrainedTokenizerFast

    definition = read_definition(folder)
    options = {f"{role}_token": token for role, token in special_tokens(folder, definition).items()}
    config = portable_config(folder, max_length=0)
    options |= {key: config[key] for key in ("additional_special_tokens", *_KEPT) if key in config}
    return PreTrainedTokenizerFast(
        tokenizer_object=open_tokenizer(folder), model_input_names=["input_ids", "attention_mask"], **options
    )


def open_tokenizer(folder: Path) -> Any:
    """The `tokenizers.Tokenizer` of a folder, without truncation and padding.

    Raises:
        DataError: the library cannot read it, or its ids are random (BPE dropout).
    """
    from tokenizers import Tokenizer

    path = folder / DEFINITION
    try:
        fast = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise DataError(f"{path} is not a tokenizer: {first_line(error, 200)}") from None
    dropout = getattr(fast.model, "dropout", None)
    if dropout:
        raise DataError(
            f"{path} has the BPE dropout {dropout:g}, with which a text gets different tokens every time; set it to null"
        )
    fast.no_truncation()
    fast.no_padding()
    return fast
