"""Loads the models of one evaluation: those that differ only in where embeddings are cut share weights and embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rexplug.evaluation.lexical import LEXICAL_KINDS
from rexplug.recipe.evaluation import ModelOptions

if TYPE_CHECKING:
    from rexplug.evaluation.embedding_log import EmbeddingLog
    from rexplug.evaluation.models import Model, ModelSpec
    from rexplug.evaluation.text_encoder import TextEncoder

_KEPT_BYTES = 2**30
"""Embeddings that are kept for the next numbers of dimensions, at most."""
_SHARED = "embedded once for all numbers of dimensions; the seconds of later ones do not include that"


class SharedEncoders:
    """Loads models one after the other, for `rexplug.evaluation.evaluate`.

    Args:
        specs: all models that will be loaded, in this order.
        save: a folder; the embeddings of each model are written there as `LABEL.parquet`.
    """

    def __init__(self, specs: Sequence[ModelSpec], save: Path | None = None) -> None:
        self._uses = Counter(_without_dimensions(spec) for spec in specs)
        self._save = save
        self._log: EmbeddingLog | None = None
        self._whole: tuple[ModelSpec, TextEncoder] | None = None

    def load(self, spec: ModelSpec, tokenizer: Path | None = None) -> Model:
        """Load a model; see `ModelSpec.load`."""
        self._log = None
        if spec.what in LEXICAL_KINDS:
            return spec.load(tokenizer)
        from rexplug.evaluation.embedding_log import EmbeddingLog
        from rexplug.evaluation.text_encoder import TextEncoder

        shared = not spec.is_embeddings and self._uses[_without_dimensions(spec)] > 1
        model = self._cut(spec, tokenizer) if shared else spec.load(tokenizer)
        if self._save is not None and isinstance(model, TextEncoder):
            self._log = model.log = EmbeddingLog()
        return model

    def save(self, spec: ModelSpec) -> Path | None:
        """Write the embeddings of the model that was loaded last; the file, or None if it embedded nothing or nothing is saved."""
        if self._save is None or not self._log:
            return None
        path = self._save / f"{spec.label}.parquet"
        self._log.write(path)
        return path

    def _cut(self, spec: ModelSpec, tokenizer: Path | None) -> TextEncoder:
        from rexplug.evaluation.kept import Kept
        from rexplug.evaluation.text_encoder import TextEncoder

        key = _without_dimensions(spec)
        if self._whole is None or self._whole[0] != key:
            self._whole = None  # frees its memory before the next one is loaded
            whole = key.load(tokenizer)
            assert isinstance(whole, TextEncoder)
            whole.kept = Kept(_KEPT_BYTES)
            whole.notes += (_SHARED,)
            self._whole = key, whole
        number = spec.options.dimensions
        # A copy in any case: each has its own log.
        return self._whole[1].cut_after(number) if number is not None else self._whole[1].copy()


def _without_dimensions(spec: ModelSpec) -> ModelSpec:
    given = {name: value for name, value in spec.options.given.items() if name != "dimensions"}
    return replace(spec, label="", options=ModelOptions(**given))
