"""Loads the weights of a model under evaluation; one whose encoder is not complete is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from inspect import signature
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rexplug.errors import DataError, first_line
from rexplug.evaluation.model_folder import not_evaluable
from rexplug.model.checkpoint.inspection import evaluation_problem
from rexplug.model.checkpoint.loading import Loaded, encoder_problem, lacks_head, load_pretrained

SEED = 7919
"""Of weights that are drawn at random."""
_HEADS = ("ForMaskedLM", "ForPreTraining")
"""Ends of the names of classes with a masked-LM head."""
_DEFAULT_LONGEST = 512
"""Longest input of a model whose config names no limit."""
_MAX_LOGITS = 2**26
"""Logits that are computed at once: those of every position over the whole vocabulary would be gigabytes."""
_CANDIDATES = 16
"""Tokens beside the `top` ones whose logits in bf16 are computed again in fp32: bf16 has eight bits, so many are equal."""


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
    from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForTextEncoding

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
    # Of encoder-decoder models such as T5 the encoder alone, as sentence-transformers loads them.
    with_decoder = config.is_encoder_decoder or any(name.endswith("EncoderModel") for name in architectures)
    encoder_alone = with_decoder and type(config) in AutoModelForTextEncoding._model_mapping
    without_head = AutoModelForTextEncoding if encoder_alone else AutoModel
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


def head_logits(model: Any, hidden: Tensor) -> Tensor:
    """Logits `[n, vocabulary]` of a masked-LM head of any family for last hidden states `[n, hidden]`.

    Families name the parts of their heads differently, but all apply them in the forward pass of the whole model. That
    runs here on one token, and a hook puts `hidden` in the place of the encoder's last hidden states: the encoder's output
    keeps the other fields that the family reads, such as Longformer's `global_attentions`.
    """

    def replace(_module: Any, _inputs: Any, output: Any) -> Any:
        output.last_hidden_state = hidden[None]
        return output

    with model.base_model.register_forward_hook(replace):
        output = model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=hidden.device))
    logits: Tensor = output.logits[0]
    return logits


def best_tokens(model: Any, hidden: Tensor, top: int, autocast: Callable[[], AbstractContextManager[None]]) -> Tensor:
    """The `top` most probable tokens by a masked-LM head, best first, `[m, top]`.

    Args:
        model: the model with its head.
        hidden: last hidden states `[m, hidden]`, fp32.
        top: tokens per state.
        autocast: makes the context of the head's products. With bf16 in it, the best by logits in bf16 are ranked by fp32.
    """
    vocabulary = model.get_output_embeddings().weight.shape[0]
    own = hasattr(model, "decoder") and hasattr(model, "head")

    def best(chunk: Tensor) -> Tensor:
        if not own:
            # The head's parts have other names in every family: products of a whole head are left in fp32.
            return head_logits(model, chunk).topk(top, -1).indices
        decoder = model.decoder
        with autocast():
            features: Tensor = model.head(chunk)
            logits: Tensor = decoder(features)
        if logits.dtype == torch.float32:
            return logits.topk(top, -1).indices
        candidates = logits.topk(min(top + _CANDIDATES, vocabulary), -1).indices
        exact = torch.bmm(F.embedding(candidates, decoder.weight), features.float()[:, :, None])[..., 0]
        if decoder.bias is not None:
            exact = exact + decoder.bias[candidates]
        return candidates.gather(-1, exact.topk(top, -1).indices)

    values_of_state = max(vocabulary, (top + _CANDIDATES) * hidden.shape[1])
    return torch.cat([best(chunk) for chunk in hidden.split(max(1, _MAX_LOGITS // values_of_state))])
