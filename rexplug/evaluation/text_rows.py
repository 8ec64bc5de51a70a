"""Texts as rows of token ids, with the model's other inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.evaluation.model_usage import ModelUsage, Role


@dataclass(frozen=True)
class SourceText:
    """The text of a row, for models that tokenize by themselves."""

    text: str
    role: Role | None
    prompt: str
    max_tokens: int


class Row(NDArray[np.int64]):
    """Token ids `[n]` of a text, special tokens included.

    Attributes:
        segments: which of two texts each token belongs to, `[n]`; None where the model does not read it.
        prompt_length: tokens at the start that pooling leaves out.
        source: the text itself; None where the model reads ids.
    """

    segments: NDArray[np.int64] | None
    prompt_length: int
    source: SourceText | None

    def __array_finalize__(self, other: Any) -> None:
        """Called by numpy for every new array of this class."""
        self.segments = getattr(other, "segments", None)
        self.prompt_length = getattr(other, "prompt_length", 0)
        self.source = getattr(other, "source", None)


def prompt_length(row: NDArray[np.int64]) -> int:
    """Tokens at the start of a row that pooling leaves out."""
    return int(getattr(row, "prompt_length", 0))


_KEPT_TOKENS = 2**23
"""Tokens of kept rows, at most: 64 MiB."""


@dataclass(frozen=True)
class RowMaker:
    """Makes rows of texts, each text once: evaluators tokenize the same texts for every fine-tune.

    Attributes:
        tokenizer: a fast tokenizer of transformers.
        usage: the model's prompts.
        segments: number of segment types (token type ids) of the model; below two it does not read them.
        pools_prompt: whether the tokens of a prompt count in pooling.
    """

    tokenizer: Any
    usage: ModelUsage
    segments: int = 0
    pools_prompt: bool = True
    _kept: dict[Any, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def pad(self) -> int:
        """The id of the padding token, or 0."""
        return int(self.tokenizer.pad_token_id or 0)

    def prompt(self, role: Role | None, prompt: str | None) -> str:
        """The prompt before a text: `prompt`, or if it is None the model's own prompt for this role."""
        return self.usage.prompt_of(role) if prompt is None else prompt

    def rows(
        self,
        texts: Sequence[str],
        limit: int,
        pairs: Sequence[str] | None = None,
        role: Role | None = None,
        prompt: str | None = None,
    ) -> list[NDArray[np.int64]]:
        """Token ids with special tokens. A text without tokens gets the padding token: embeddings are means over tokens.

        Args:
            texts: the texts.
            limit: tokens after which they are cut.
            pairs: the second text of each; pairs have no prompt.
            role: decides the prompt.
            prompt: the prompt, if not that of the role.
        """
        if not len(texts):
            return []
        first, second, before = list(texts), None if pairs is None else list(pairs), ""
        if pairs is None and (before := self.prompt(role, prompt)):
            first = [before + text for text in first]
        asked = [(text, None if second is None else second[i], limit, before) for i, text in enumerate(first)]
        missing = list(dict.fromkeys(key for key in asked if key not in self._kept))
        made = dict(zip(missing, self._tokenized(missing, limit, before), strict=True)) if missing else {}
        rows = [made[key] if key in made else self._kept[key] for key in asked]
        if sum(map(len, self._kept.values())) + sum(map(len, made.values())) > _KEPT_TOKENS:
            self._kept.clear()
        self._kept.update(made)
        return rows

    def _tokenized(
        self, texts: Sequence[tuple[str, str | None, int, str]], limit: int, before: str
    ) -> list[NDArray[np.int64]]:
        """Rows of texts (with `before` at their start) and second texts; they may not be written to."""
        first, second = [text for text, *_ in texts], [other for _, other, *_ in texts]
        pairs = second if second[0] is not None else None
        with_segments = pairs is not None and self.segments > 1
        encoded = self.tokenizer(
            first, pairs, truncation=True, max_length=limit, return_token_type_ids=with_segments or None
        )
        rows = [np.array(row or [self.pad], np.int64) for row in encoded["input_ids"]]
        if with_segments:
            rows = [_with(row, segments=of) for row, of in zip(rows, encoded["token_type_ids"], strict=True)]
        elif left_out := 0 if self.pools_prompt or not before else self._length(before):
            rows = [_with(row, prompt_length=left_out) for row in rows]
        for row in rows:
            row.setflags(write=False)
        return rows

    def _length(self, prompt: str) -> int:
        """Tokens of a prompt with the special tokens before it."""
        ids = self.tokenizer(prompt)["input_ids"]
        return len(ids) - (ids[-1] in self.tokenizer.all_special_ids) if ids else 0


def with_source(row: NDArray[np.int64], source: SourceText) -> Row:
    """The row with its text attached."""
    result = row.view(Row)
    result.source = source
    return result


def source_of(row: NDArray[np.int64]) -> SourceText:
    """The text of a row that `with_source` made.

    Raises:
        ValueError: the row has no text.
    """
    source = row.source if isinstance(row, Row) else None
    if source is None:
        raise ValueError("the row has no text; use rows that this model's `tokenize` made of single texts")
    return source


def _with(row: NDArray[np.int64], *, segments: Sequence[int] | None = None, prompt_length: int = 0) -> Row:
    result = row.view(Row)
    result.segments = None if segments is None else np.array(segments or [0], np.int64)
    result.prompt_length = prompt_length
    return result
