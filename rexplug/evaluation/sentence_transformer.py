"""Runs models by sentence-transformers, for those that rexplug's own code does not reproduce."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rexplug.errors import NotApplicable
from rexplug.evaluation.device_batches import CPU_PADDED_TOKENS, batch_tokens
from rexplug.evaluation.embedding_modules import add_weights
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.loading import SEED, longest_input
from rexplug.evaluation.model_folder import ModelFolder, load_tokenizer, not_evaluable
from rexplug.evaluation.model_usage import Role
from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.evaluation.text_rows import RowMaker, SourceText, source_of, with_source
from rexplug.model.checkpoint.loading import silence_transformers
from rexplug.recipe.evaluation import ModelOptions, ModelPrecision

_NO_LIMIT = 2**20
"""Longest input of models without one: of static embeddings."""


class SentenceTransformerEncoder(HuggingFaceEncoder):
    """A model that sentence-transformers runs: routers, static embeddings, or one that our code does not reproduce.

    Where its first module is a transformers encoder, token vectors are that encoder's. sentence-transformers loads no
    masked-language-model head.

    Args:
        model: how the user names it.
        content: its folder.
        device: where it runs.
        precision: number format of its matrix products.
        options: settings that take precedence over those of its files.
        random: draw the weights instead of loading them.
    """

    no_words: ClassVar[str] = "the model is run by sentence-transformers, without a masked-language-model head"

    def __init__(
        self,
        model: str | Path,
        content: ModelFolder,
        device: torch.device,
        precision: ModelPrecision,
        options: ModelOptions,
        *,
        random: bool = False,
    ) -> None:
        # Not the `__init__` of `HuggingFaceEncoder`, which loads by transformers.
        TextEncoder.__init__(self, model, precision, device)
        self.usage = content.usage.with_options(options)
        self._packed = self._reads_padding = False
        self._module = _load(content, device)
        if random:
            draw_weights(self._module)
        first = self._module[0]
        self._encoders = _encoders(self._module)
        self._model = first.model if self._encoders[:1] == [first] else None
        self._stated = [part.max_seq_length for part in self._encoders]
        self._max_tokens = options.max_tokens
        self._batch_tokens = options.batch_tokens or CPU_PADDED_TOKENS
        if self._model is not None:
            self._tokenizer = load_tokenizer(content.encoder, lower_case=content.input.lower_case)
            # transformers rebuilds some tokenizers from their vocabulary; the ids that the model learnt are tokenizer.json's.
            first.tokenizer._tokenizer = copy.deepcopy(self._tokenizer.backend_tokenizer)
            self._maker = RowMaker(self._tokenizer, self.usage)
            self._batch_tokens = options.batch_tokens or batch_tokens(self._model.config, device, padded=True)
        how = "" if precision == "fp32" else f" in {precision}"
        if not np.isfinite(self.encode(["a"])).all():
            raise not_evaluable(model, "its embeddings are not finite numbers", how)

    @cached_property
    def revision(self) -> str:
        """Hash of weights, modules and usage, with the number format after it unless that is fp32."""
        digest = hashlib.sha256(repr((self._module, self.usage, self._max_tokens)).encode())
        add_weights(digest, self._module)
        for tokenizer in _tokenizers(self._module):
            digest.update(tokenizer.encode())
        return self._as_revision(digest)

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer of the encoder.

        Raises:
            NotApplicable: the model is not a single transformers encoder.
        """
        if self._model is None:
            raise NotApplicable("the model is not a single transformers encoder, so it has no token vectors")
        return self._tokenizer

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens: the length that the model states, or more if options ask for it and its positions reach."""
        return max(self._limits(_NO_LIMIT), default=_NO_LIMIT)

    def _limits(self, asked: int) -> list[int]:
        """Where each encoder of the model cuts texts: at `asked` tokens, or at its own longest input."""
        limits = []
        for encoder, stated in zip(self._encoders, self._stated, strict=True):
            own = self._max_tokens or (stated if stated is not None and stated < _NO_LIMIT else None)
            limits.append(min(asked, longest_input(encoder.model, own)))
        return limits

    @property
    def num_dimensions(self) -> int:
        """Dimensions of a token vector, or of an embedding where there are none."""
        return int(
            self._model.config.hidden_size if self._model is not None else self._module.get_embedding_dimension()
        )

    @property
    def num_parameters(self) -> int:
        """Number of the model's weights."""
        return sum(parameter.numel() for parameter in self._module.parameters())

    @property
    def num_parameters_without_embedding(self) -> int:
        """Number of the model's weights without those of the token embedding, which no product reads."""
        if self._model is not None:
            return self.num_parameters - int(self._model.get_input_embeddings().weight.numel())
        looked_up = (torch.nn.Embedding, torch.nn.EmbeddingBag)
        tables = [module for module in self._module.modules() if isinstance(module, looked_up)]
        return self.num_parameters - sum(int(table.weight.numel()) for table in tables)

    @property
    def predicts_words(self) -> bool:
        """False: sentence-transformers loads no masked-LM head."""
        return False

    @property
    def module(self) -> torch.nn.Module:
        """The network as a torch module, for fine-tuning."""
        network: torch.nn.Module = self._module
        return network

    def clone(self) -> Self:
        """An independent copy whose weights may be trained; its revision is computed from them."""
        other = self._changed_copy()
        other.kept = other.log = None
        other._module = copy.deepcopy(self._module)
        other._encoders = _encoders(other._module)
        if self._model is not None:
            other._model = other._module[0].model
        return other

    def tokenize(
        self,
        texts: Sequence[str],
        max_tokens: int | None = 512,
        pairs: Sequence[str] | None = None,
        *,
        role: Role | None = None,
        prompt: str | None = None,
    ) -> list[NDArray[np.int64]]:
        """Rows of the texts; see `HuggingFaceEncoder.tokenize`.

        Raises:
            NotApplicable: there are pairs, and the model is not a single transformers encoder.
        """
        limit = self.max_tokens if max_tokens is None else min(max_tokens, self.max_tokens)
        if self._model is not None:
            rows = self._maker.rows(texts, limit, pairs, role, prompt)
        elif pairs is not None:
            raise NotApplicable("the model is not a single transformers encoder, so it cannot read pairs of texts")
        else:
            # Only the lengths matter, for batches: each module tokenizes the texts itself.
            rows = [np.zeros(1 + min(len(text.split()), limit), np.int64) for text in texts]
        if pairs is not None:
            return rows
        before = self.usage.prompt_of(role) if prompt is None else prompt
        return [with_source(row, SourceText(text, role, before, limit)) for row, text in zip(rows, texts, strict=True)]

    def whole(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """Embeddings of one batch of rows that `tokenize` made of single texts, before they are cut; differentiable.

        Raises:
            ValueError: a row is not of this kind.
        """
        alike: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        sources = [source_of(row) for row in rows]
        if torch.is_grad_enabled():
            self.activity.trained_tokens += sum(map(len, rows))
        for index, source in enumerate(sources):
            alike[source.role, source.prompt, source.max_tokens].append(index)
        parts, order = [], []
        with self._autocast():
            for (role, prompt, limit), indices in alike.items():
                parts.append(self._embed([sources[index].text for index in indices], role, prompt, limit))
                order += indices
        together = torch.cat(parts)
        return together if len(parts) == 1 else together[np.argsort(order)]

    def token_vectors(self, rows: Sequence[NDArray[np.int64]]) -> list[Tensor]:
        """Last hidden states of each row, `[n_i, hidden]`; its embedding `[1, dimensions]` where there are none."""
        if self._model is not None:
            return super().token_vectors(rows)
        return list(torch.from_numpy(self.embed_rows(rows)).to(self.device)[:, None])

    def means(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """The mean of each row's last hidden states, `[n, hidden]`, or its embedding where there are none; differentiable."""
        return super().means(rows) if self._model is not None else self.pooled(rows)

    def _embed(self, texts: list[str], role: Role | None, prompt: str, limit: int) -> Tensor:
        task = {} if role is None else {"task": role}
        for encoder, of_encoder in zip(self._encoders, self._limits(limit), strict=True):
            encoder.max_seq_length = of_encoder
        features = self._module.preprocess(texts, prompt=prompt or None, **task)
        on_device = {
            name: value.to(self.device) if isinstance(value, Tensor) else value for name, value in features.items()
        }
        embeddings: Tensor = self._module(on_device, **task)["sentence_embedding"]
        return embeddings.float()


def _encoders(module: Any) -> list[Any]:
    """The modules of a model that are transformers encoders, also inside routers."""
    from sentence_transformers.sentence_transformer.modules import Transformer

    return [part for part in module.modules() if isinstance(part, Transformer)]


def _load(content: ModelFolder, device: torch.device) -> Any:
    """Load the model by sentence-transformers, in fp32; code in its folder is not run."""
    from sentence_transformers import SentenceTransformer

    with silenced():
        return SentenceTransformer(
            str(content.folder), device=str(device), trust_remote_code=content.trusted, local_files_only=not content.trusted,
            model_kwargs={"dtype": torch.float32},
        ).eval()  # fmt: skip


def draw_weights(module: Any) -> None:
    """Draw all weights of a model as those of a new one, always the same."""
    encoders = {id(part.model): part for part in _encoders(module)}
    inside = {id(inner) for part in encoders.values() for inner in part.modules()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        for encoder in encoders.values():
            new = type(encoder.model)(encoder.model.config).to(next(encoder.model.parameters()).dtype)
            encoder.model.load_state_dict(new.state_dict())
        for part in module.modules():
            if id(part) not in inside and hasattr(part, "reset_parameters"):
                part.reset_parameters()


@contextmanager
def silenced() -> Iterator[None]:
    """Without log messages of sentence-transformers and transformers."""
    logger = logging.getLogger("sentence_transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with silence_transformers():
            yield
    finally:
        logger.setLevel(level)


def _tokenizers(module: Any) -> Iterator[str]:
    """The definitions of all tokenizers in a model."""
    for part in module.modules():
        own = getattr(part, "tokenizer", None)
        backend: Any = getattr(own, "backend_tokenizer", own)
        if hasattr(backend, "to_str"):
            yield backend.to_str()
