"""Late-interaction models (ColBERT, PyLate): every token of a text has a vector, and texts are compared by MaxSim.

sentence-transformers runs them (`MultiVectorEncoder`), which also reads folders of PyLate and of Stanford's ColBERT; mteb searches
with them. They embed no text as a single vector, so that evaluators that need one do not apply.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import torch
from numpy.typing import NDArray

from rexplug.errors import DataError, NotApplicable
from rexplug.evaluation.embedding_modules import add_weights
from rexplug.evaluation.model_folder import ModelFolder, not_evaluable
from rexplug.evaluation.model_usage import ModelUsage, Role
from rexplug.evaluation.sentence_transformer import silenced
from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.recipe.evaluation import ModelOptions, ModelPrecision

_BATCH = 32
"""Texts of a batch."""


class LateInteractionEncoder(TextEncoder):
    """A model with a vector for every token, which ranks and compares texts by MaxSim.

    The score of a document for a query is the sum over the query's tokens of their largest similarity to a token of the document.
    Markers before texts (`[Q] `, `[D] `), the filling of queries with mask tokens, the words that are skipped and the longest
    queries and documents are those of the model's files.

    Args:
        model: how the user names it.
        content: its folder.
        device: where it runs.
        precision: number format of the encoder's matrix products.
        options: settings that take precedence over those of its files.

    Raises:
        DataError: the model cannot be loaded.
    """

    def __init__(
        self,
        model: str | Path,
        content: ModelFolder,
        device: torch.device,
        precision: ModelPrecision,
        options: ModelOptions,
    ) -> None:
        from sentence_transformers import MultiVectorEncoder

        super().__init__(model, precision, device, keeps_embeddings=False)
        self.notes = ("late interaction: texts are compared by MaxSim over the vectors of their tokens",)
        with silenced():
            self._module = MultiVectorEncoder(
                str(content.folder), device=str(device), trust_remote_code=content.trusted,
                local_files_only=not content.trusted, model_kwargs={"dtype": torch.float32},
            ).eval()  # fmt: skip
        given = options.given
        for role in ("query", "document"):
            if f"{role}_prompt" in given:
                self._module.prompts[role] = given[f"{role}_prompt"]
        named = {name: text for name, text in self._module.prompts.items() if text}
        self.usage = ModelUsage(
            query_prompt=named.get("query", ""), document_prompt=named.get("document", ""), named=named
        )
        first = self._module[0]
        if options.max_tokens is not None:
            first.document_length = options.max_tokens
        if precision == "bf16":
            first.model.forward = torch.autocast(device.type, torch.bfloat16)(first.model.forward)
        if not all(np.isfinite(vectors).all() for vectors in self._vectors(["a"], "document")):
            raise not_evaluable(model, "its vectors are not finite numbers", "" if precision == "fp32" else " in bf16")

    @cached_property
    def revision(self) -> str:
        """Hash of weights, modules and prompts, with the number format after it unless that is fp32."""
        first = self._module[0]
        lengths = (first.query_length, first.document_length, first.query_expansion)
        digest = hashlib.sha256(repr((self._module, self.usage, lengths)).encode())
        add_weights(digest, self._module)
        digest.update(self._module.tokenizer.backend_tokenizer.to_str().encode())
        return self._as_revision(digest)

    @property
    def num_dimensions(self) -> int:
        """Dimensions of the vector of a token."""
        return int(self._module.get_embedding_dimension())

    @property
    def num_parameters(self) -> int:
        """Number of the model's weights."""
        return sum(parameter.numel() for parameter in self._module.parameters())

    @property
    def num_parameters_without_embedding(self) -> int:
        """Number of the model's weights without those of the token embedding, which no product reads."""
        return self.num_parameters - int(self._module[0].model.get_input_embeddings().weight.numel())

    @property
    def max_tokens(self) -> int:
        """Longest document in tokens."""
        first = self._module[0]
        return int(first.document_length or first.max_seq_length or first.model.config.max_position_embeddings)

    def cut_after(self, dimensions: int) -> Self:
        """Not available.

        Raises:
            DataError: always.
        """
        raise DataError(
            f"{self.folder}: dimensions cuts the embedding of a text; a late-interaction model has none, leave it out"
        )

    def compare(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.float64]:
        """MaxSim of `first[i]` as a query and `second[i]` as a document, `[n]`."""
        queries, documents = list(dict.fromkeys(first)), list(dict.fromkeys(second))
        of_query = dict(zip(queries, self._vectors(queries, "query"), strict=True))
        of_document = dict(zip(documents, self._vectors(documents, "document"), strict=True))
        scores = self._module.similarity_pairwise(
            [of_query[text] for text in first], [of_document[text] for text in second]
        )
        return np.asarray(scores.cpu(), np.float64)

    def as_search(self, name: str) -> Any:
        """The model as mteb searches with it."""
        from rexplug.evaluation.mteb_runner import silenced_mteb

        with silenced_mteb():
            from mteb.models.sentence_transformer_wrapper import MultiVectorWrapper

            search = MultiVectorWrapper(self._module)
        search.mteb_model_meta = search.mteb_model_meta.model_copy(update={"name": name, "revision": self.revision})
        return search

    def _vectors(self, texts: Sequence[str], role: Role) -> list[NDArray[np.float32]]:
        encode = self._module.encode_query if role == "query" else self._module.encode_document
        with silenced(), self.activity.reading(len(texts)) as read:
            vectors: list[NDArray[np.float32]] = encode(
                list(texts), batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True
            )
            read(len(vectors), sum(map(len, vectors)))
        return vectors

    def clone(self) -> Self:
        """Not available.

        Raises:
            NotApplicable: always.
        """
        self._refuse("cannot be fine-tuned")

    def _refuse(self, why: str) -> NoReturn:
        raise NotApplicable(
            "a late-interaction model ranks and compares texts; it has no single embedding and no masked-LM head"
        )
