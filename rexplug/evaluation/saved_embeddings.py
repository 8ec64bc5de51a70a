"""Embeddings that were computed elsewhere, such as those of a model behind an API, as a model under evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rexplug.errors import DataError, NotApplicable, brief
from rexplug.evaluation.embedding_files import read_embeddings
from rexplug.evaluation.model_usage import ModelUsage, Role
from rexplug.evaluation.text_encoder import TextEncoder, cut_usage
from rexplug.evaluation.text_rows import SourceText, source_of, with_source
from rexplug.recipe.evaluation import ModelOptions

_NO_LIMIT = 2**20
"""Longest input: texts were embedded whole, or cut, where they were embedded."""
_BATCH = 4096


class SavedEmbeddings(TextEncoder):
    """The embeddings of a folder, looked up by text and role; see `rexplug.evaluation.embedding_files` for its files.

    A text that the files lack in a role has its embedding without a role, or else that in the other role.

    Args:
        folder: the folder.
        options: dimensions and similarity.

    Raises:
        DataError: a file cannot be read.
    """

    def __init__(self, folder: Path, options: ModelOptions) -> None:
        super().__init__(folder, "fp32", torch.device("cpu"), keeps_embeddings=False)
        self._embeddings = read_embeddings(folder)
        self.usage = ModelUsage().with_options(options)
        if options.dimensions is not None:
            one = next(iter(self._embeddings.values()))
            self.usage = cut_usage(f"embeddings:{folder}", self.usage, options.dimensions, one)

    @cached_property
    def revision(self) -> str:
        """Hash of all texts and embeddings, and of their use."""
        digest = hashlib.sha256(repr(self.usage).encode())
        for (text, role), embedding in sorted(self._embeddings.items()):
            digest.update(f"{text}\0{role}\0".encode(errors="surrogatepass"))
            digest.update(embedding.tobytes())
        return self._as_revision(digest)

    @property
    def max_tokens(self) -> int:
        """No limit: texts were cut where they were embedded."""
        return _NO_LIMIT

    @property
    def num_dimensions(self) -> int:
        """Dimensions of an embedding."""
        return self.usage.dimensions or len(next(iter(self._embeddings.values())))

    @property
    def num_parameters(self) -> int:
        """0: the weights are not known."""
        return 0

    @property
    def num_parameters_without_embedding(self) -> int:
        """0: the weights are not known."""
        return 0

    def tokenize(
        self,
        texts: Sequence[str],
        max_tokens: int | None = 512,
        pairs: Sequence[str] | None = None,
        *,
        role: Role | None = None,
        prompt: str | None = None,
    ) -> list[NDArray[np.int64]]:
        """Rows that know their texts, for `embed_rows`.

        Raises:
            NotApplicable: there are pairs.
        """
        if pairs is not None:
            self._refuse("cannot read pairs of texts together")
        # Prompts were put before the texts where they were embedded.
        return [with_source(np.zeros(1, np.int64), SourceText(text, role, "", _NO_LIMIT)) for text in texts]

    def batches(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
        """Batches of row numbers, in order."""
        for start in range(0, len(rows), _BATCH):
            yield list(range(start, min(start + _BATCH, len(rows))))

    def embed_rows(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """The embeddings of rows, `[n, dimensions]`.

        Raises:
            DataError: a text has none.
        """
        sources = [source_of(row) for row in rows]
        found = [self._find(source.text, source.role) for source in sources]
        missing = list(dict.fromkeys(
            (source.text, source.role) for source, embedding in zip(sources, found, strict=True) if embedding is None
        ))  # fmt: skip
        if missing:
            (text, role), asked = missing[0], len({(source.text, source.role) for source in sources})
            raise DataError(
                f"embeddings:{self.folder} has no embedding of {brief(text)}{f' ({role})' if role else ''}, and of "
                f"{len(missing):,} of {asked:,} texts that the evaluator asks for; `rexplug evaluate MODEL --save-embeddings DIR` "
                "with any other model lists the texts of all evaluators"
            )
        if not found:
            return np.zeros((0, self.num_dimensions), np.float32)
        whole = np.stack([embedding for embedding in found if embedding is not None])
        return whole[:, : self.usage.dimensions]

    def whole(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """The embeddings of one batch as a tensor."""
        return torch.from_numpy(self.embed_rows(rows))

    def _find(self, text: str, role: Role | None) -> NDArray[np.float32] | None:
        for key in dict.fromkeys((role or "", "", "document", "query")):
            if (text, key) in self._embeddings:
                return self._embeddings[text, key]
        return None

    def _refuse(self, why: str) -> NoReturn:
        raise NotApplicable(f"the model is a folder of embeddings: it {why}")
