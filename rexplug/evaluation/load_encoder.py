"""Loads encoders as their makers use them: sentence-transformers models run in our code only where that is proven equal.

Our code is faster for packed models, fine-tunes on token ids and fills masks. At load its embeddings of a few texts are
compared with those of sentence-transformers; a model for which they differ is run by sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from rexplug.errors import DataError, one_line
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.exact_products import exact_products
from rexplug.evaluation.late_interaction import LateInteractionEncoder
from rexplug.evaluation.model_folder import folder_of, inspect_folder, not_evaluable, translated_errors
from rexplug.evaluation.model_usage import Role
from rexplug.evaluation.onnx_encoder import OnnxEncoder
from rexplug.evaluation.onnx_export import quantised
from rexplug.evaluation.onnx_files import find_graph
from rexplug.evaluation.sentence_transformer import SentenceTransformerEncoder
from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.recipe.evaluation import ModelOptions, ModelPrecision

_TOLERANCE = {"fp32": 1e-4, "bf16": 0.05}
"""Largest difference of two embeddings that count as equal, as a share of the largest value in them."""
_COMPARED = (
    "a",
    "Red oak table, 42 x 17.5 cm (with drawers)",
    "Größe 42: ÉCLAIR, пальто, 東京 and naïve 🙂",
    "what fits a small kitchen?",
)
_WORDS = "a steel kettle with a wooden handle and two red cotton towels "
_LONGEST_COMPARED = 512
"""Texts above a model's longest input are compared where that is at most so many tokens; of others the limit is compared."""


def load_encoder(
    model: str | Path,
    tokenizer: Path | None = None,
    *,
    random: bool = False,
    precision: ModelPrecision = "fp32",
    options: ModelOptions | None = None,
    device: torch.device | None = None,
    graph: str | None = None,
) -> TextEncoder:
    """Load an encoder; its `notes` say if it is run in another way than other models of its kind.

    Args:
        model: a folder or a hub name.
        tokenizer: the tokenizer's folder, if it is not that of the weights.
        random: draw the weights instead of loading them.
        precision: number format of the encoder's matrix products.
        options: settings that take precedence over those of its files.
        device: where it runs; on the GPU if there is one.
        graph: an ONNX graph in the folder that is run in place of the weights; empty for the usual place.

    Raises:
        DataError: the model cannot be loaded.
    """
    options = options or ModelOptions()
    encoder = _load(model, tokenizer, random, precision, options, device, graph)
    return encoder if options.dimensions is None else encoder.cut_after(options.dimensions)


def _load(
    model: str | Path,
    tokenizer: Path | None,
    random: bool,
    precision: ModelPrecision,
    options: ModelOptions,
    device: torch.device | None,
    graph: str | None,
) -> TextEncoder:
    """The encoder with all dimensions of its embeddings, or those that its files state."""
    trusted = bool(options.trust_remote_code)
    with translated_errors(model):
        folder = folder_of(model, graph=graph, trusted=trusted)
    with _named(model, folder):
        content = inspect_folder(folder, tokenizer, weights=not random and graph is None, trusted=trusted)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if content.is_late_interaction:
        if random or graph is not None or precision == "int8":
            raise not_evaluable(
                model, "a late-interaction model is run with its own weights, in fp32 or bf16 and not as an ONNX graph"
            )
        with translated_errors(model):
            return LateInteractionEncoder(model, content, device, precision, options)
    if graph is not None:
        with _named(model, folder), translated_errors(model):
            return OnnxEncoder(model, content, find_graph(folder, graph), tokenizer, options)
    if precision == "int8":
        with _named(model, folder), translated_errors(model, " in int8"):
            return quantised(model, content, tokenizer, options, random=random)
    if not content.is_one_encoder:
        with translated_errors(model):
            return SentenceTransformerEncoder(model, content, device, precision, options, random=random)
    with _named(model, folder):
        ours = HuggingFaceEncoder(
            folder, tokenizer, random=random, precision=precision, options=options, device=device, content=content
        )
    if random or not content.is_sentence_transformer:
        return ours
    try:
        theirs = SentenceTransformerEncoder(model, content, device, precision, options)
        with exact_products():
            difference = embedding_difference(ours, theirs)
    except Exception as error:  # libraries raise errors of many kinds where our code loads the model
        ours.notes += (
            f"sentence-transformers cannot load it ({one_line(error, 160)}), so that its embeddings are not compared with those",
        )
        return ours
    if difference <= _TOLERANCE[precision]:
        return ours
    theirs.notes += (
        f"run by sentence-transformers, whose embeddings differ from those of rexplug's own code by {difference:.0e} of their "
        "largest value",
    )
    return theirs


@contextmanager
def _named(model: str | Path, folder: Path) -> Iterator[None]:
    """Messages name a model of the hub as the user does, and not its folder in the cache."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(str(folder), str(model))) from None


def embedding_difference(ours: HuggingFaceEncoder, theirs: SentenceTransformerEncoder) -> float:
    """The largest difference of two encoders' embeddings of a few texts in every role, as a share of the largest value.

    Infinite if their longest inputs or dimensions differ.
    """
    if ours.max_tokens != theirs.max_tokens:
        return float("inf")
    limit = ours.max_tokens
    texts = [*_COMPARED, _WORDS * (2 + limit // 12)] if limit <= _LONGEST_COMPARED else [*_COMPARED, _WORDS * 20]
    roles: list[Role | None] = [None, "query", "document"]
    largest = 0.0
    for role in roles if len({ours.usage.prompt_of(role) for role in roles}) > 1 else roles[:1]:
        first = ours.encode(texts, None, role=role)
        # One at a time: the numbers of some models depend on the padding of a batch.
        second = np.concatenate([theirs.encode([text], None, role=role) for text in texts])
        if first.shape != second.shape:
            return float("inf")
        largest = max(largest, float(np.abs(first - second).max() / max(1e-12, float(np.abs(second).max()))))
    return largest if np.isfinite(largest) else float("inf")
