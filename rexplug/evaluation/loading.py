"""Loads the weights of a model under evaluation; one whose encoder is not complete is refused."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import torch

from rexplug.errors import DataError, first_line
from rexplug.evaluation.model_folder import not_evaluable
from rexplug.model.checkpoint.inspection import evaluation_problem
from rexplug.model.checkpoint.loading import Loaded, encoder_problem, lacks_head, load_pretrained

SEED = 7919
"""Seed of weights that are drawn at random."""
_HEADS = ("ForMaskedLM", "ForPreTraining")
"""Suffixes of the names of classes with a masked-LM head."""
_DEFAULT_LONGEST = 512
"""Longest input of a model whose config names no limit."""


def load_weights(source: str | Path, *, random: bool = False, trusted: bool = False) -> Any:
    """Load a model in fp32, with its masked-LM head if it has one.

    A model whose config names a masked-LM head that its files lack is loaded without: it embeds, but predicts no words.

    Args:
        source: a folder or a hub name.
        random: draw all weights instead of loading them.
        trusted: whether code in its folder may be run.

    Raises:
        DataError: it cannot be loaded, a weight of the encoder is missing, or one that belongs to it is left over.
    """
    try:
        model = _load(source, random, trusted)
    except DataError as error:
        raise not_evaluable(source, error) from None
    model.config.return_dict = True  # a config may ask for tuples in place of named outputs
    return model


def _load(source: str | Path, random: bool, trusted: bool) -> Any:
    from transformers import AutoConfig, AutoModelForMaskedLM

    problem = evaluation_problem(Path(source), random=random) if Path(source).is_dir() else None
    if problem is not None:
        raise DataError(problem)
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=trusted)
        architectures = [str(name) for name in config.architectures or ()]
    except Exception as error:  # whatever transformers raises on a file that we did not write
        raise DataError(first_line(error)) from None
    has_head = any(name.endswith(_HEADS) for name in architectures)
    if trusted and has_head and (auto_map := getattr(config, "auto_map", None)):
        has_head = "AutoModelForMaskedLM" in auto_map
    without_head = encoder_class(config)
    model_class = AutoModelForMaskedLM if has_head else without_head
    # Weights that nobody uses, such as a pooler's, may be missing and are drawn: always the same, for the model's hash.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        if random:
            try:
                return model_class.from_config(config, dtype=torch.float32, trust_remote_code=trusted)
            except Exception as error:
                raise DataError(first_line(error)) from None
        loaded = load_pretrained(model_class, source, trusted=trusted)
        if has_head and lacks_head(loaded):
            _require_encoder(loaded)
            loaded = load_pretrained(without_head, source, trusted=trusted)
        _require_encoder(loaded)
    return loaded.model


def encoder_class(config: Any) -> Any:
    """The class of transformers that loads the encoder of a config without a head.

    Of encoder-decoder models such as T5 it loads the encoder alone, as sentence-transformers does.
    """
    from transformers import AutoModel, AutoModelForTextEncoding

    with_decoder = config.is_encoder_decoder or any(
        str(name).endswith("EncoderModel") for name in config.architectures or ()
    )
    encoder_alone = with_decoder and type(config) in AutoModelForTextEncoding._model_mapping
    return AutoModelForTextEncoding if encoder_alone else AutoModel


def _require_encoder(loaded: Loaded) -> None:
    problem = encoder_problem(loaded)
    if problem is not None:
        raise DataError(problem)


def longest_input(model: Any, stated: int | None = None) -> int:
    """The longest input of a model in tokens, special tokens included: its number of positions, or `stated` if that is less.

    A model without a limit of its own, such as T5 or XLNet, reads the stated number, or else 512.
    """
    positions = _positions(model)
    return min((limit for limit in (positions, stated) if limit is not None), default=_DEFAULT_LONGEST)


def _positions(model: Any) -> int | None:
    """The number of tokens that a model's positions allow; None if there is no limit."""
    longest = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(longest, int) or longest < 1:
        return None
    for name, module in model.base_model.named_modules():
        # Positions of RoBERTa and MPNet begin after the padding id.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return longest - int(module.padding_idx) - 1
    return longest


def num_segments(model: Any) -> int:
    """Number of segment types (token type ids) of a model, such as the two texts of a pair; 0 if it has no such embedding."""
    known = getattr(model.config, "type_vocab_size", None)
    reads = "token_type_ids" in signature(model.base_model.forward).parameters
    return known if reads and isinstance(known, int) else 0
