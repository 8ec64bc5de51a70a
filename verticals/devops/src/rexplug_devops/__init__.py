"""A plugin for rexplug: questions and answers about running software."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

import rexplug

ANSWER = "\n\n## Answer\n\n"
"""The line before each answer in the text of a question, with empty lines around it."""
TOOLS, TRADE = (
    frozenset(Path(__file__).with_name(name).read_text("utf-8").split("\n")[1:-1])
    for name in ("tools.txt", "trade.txt")
)
"""Names of tools, and other words of the trade, in lower case."""


class Questions(rexplug.FileSource):
    """Questions with their answers: JSON lines with `id`, `title`, `tags` and `text`, in which `## Answer` precedes each answer."""

    name: ClassVar[str] = "devops.questions"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".jsonl.gz", ".jsonl.zst")

    part: Literal["train", "test", "all"] = "train"
    """A fifth of the questions, by a hash of the id, is `test`: the tasks are made from it, and a recipe trains on the rest."""

    def read(self, piece: rexplug.Piece) -> Iterator[rexplug.Document | rexplug.Unreadable]:
        """Yield the questions of the part, and what cannot be read."""
        for place, record in self.json_records(piece):
            if isinstance(record, rexplug.Unreadable):
                yield record
            elif not isinstance(record.get("text"), str) or "id" not in record:
                yield self.unreadable_at(piece.file, place, "no id or text")
            elif self.part in ("all", "test" if rexplug.split_of(str(record["id"])) == "test" else "train"):
                fields = {name: record.get(name) for name in ("title", "tags", "license")}
                yield self.document_at(
                    piece.file, place, record["text"], record.get("url"), str(record["id"]), **fields
                )


class Answered(rexplug.CorpusFilter):
    """Keep questions that have answers."""

    name: ClassVar[str] = "devops.answered"

    least: int = Field(default=1, ge=1)
    """Answers that a question must have."""

    def judge(self, document: rexplug.Document) -> rexplug.Verdict:
        """Count the answers."""
        count = document.text.count(ANSWER)
        return rexplug.Verdict(count >= self.least, "too few answers", score=count)


class Pastes(rexplug.CorpusFilter):
    """Cut long blocks of pasted logs and configuration, and drop posts with hardly any words beside them."""

    name: ClassVar[str] = "devops.pastes"

    lines: int = Field(default=25, ge=1)
    """Lines that are kept of a block."""
    min_words: int = Field(default=40, ge=0)
    """Words that a post must have outside of blocks."""

    def judge(self, document: rexplug.Document) -> rexplug.Verdict:
        """Look at the blocks between lines of three backticks."""
        parts = document.text.split("```")  # every second one is a block
        num_words = len(rexplug.split_words(" ".join(parts[::2])))
        if num_words < self.min_words:
            return rexplug.Verdict(False, "too few words outside of blocks", score=num_words)
        for number in range(1, len(parts), 2):
            lines = parts[number].split("\n")
            if len(lines) > self.lines + 2:  # what follows the backticks, the lines, and an empty last one
                parts[number] = "\n".join([*lines[: self.lines + 1], "...", ""])
        return rexplug.Verdict(True, text="```".join(parts))


class Operations(rexplug.Labeller):
    """Label documents by the share of words of the trade; with `{use: llm, follow: devops.operations}` a language model does."""

    name: ClassVar[str] = "devops.operations"

    relevant: float = Field(default=0.05, gt=0, le=1)
    """Share of tools and words of the trade from which a document is relevant."""
    other: float = Field(default=0.015, ge=0, le=1)
    """Share up to which it is not; between the two it has no label."""

    def label(self, candidates: Sequence[rexplug.Candidate], context: rexplug.LabellingContext) -> list[bool | None]:
        """The labels by the texts alone."""
        return [self._by_words(candidate.document.text) for candidate in candidates]

    def _by_words(self, text: str) -> bool | None:
        words = rexplug.lower_words(text)
        share = sum(word in TOOLS or word in TRADE for word in words) / max(1, len(words))
        return True if share >= self.relevant else False if share <= self.other else None

    def instruction(self) -> str:
        """The question for a language model."""
        return (
            "Is the main matter of this text how software is built, tested, deployed, configured, monitored or kept running: "
            "containers, pipelines, servers, clouds, networks, or how teams organise that work? Say no to texts about "
            "programming languages, algorithms or products as such, even where they name such tools."
        )


class Terms(rexplug.SalienceScorer):
    """Score tools, options, paths, file names, variables and versions; guided masking masks them more often than other words."""

    name: ClassVar[str] = "devops.terms"

    def _find(self, text: str) -> list[re.Match[str]]:
        return list(_TERMS.finditer(text))

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        """255 for tokens inside a term, 0 for others."""
        found = self._find(document.text)
        return document.spans_to_tokens([m.start() for m in found], [m.end() for m in found], [255] * len(found))

    def explain(self, document: rexplug.TokenizedDocument) -> list[rexplug.Reason]:
        """The kind of each term."""
        return [rexplug.Reason(*match.span(), str(match.lastgroup)) for match in self._find(document.text)]


_TERMS = re.compile(
    rf"""(?P<tool>\b(?i:{"|".join(sorted(TOOLS))})\b) | (?P<option>(?<![\w-])--?[a-z][\w-]+)
    | (?P<path>(?<![\w/:])[~.]?(?:/[\w.@-]+)+) | (?P<file>\b[\w-]{{1,40}}\.(?:ya?ml|json|sh|tf|conf|log|py|xml|jar)\b)
    | (?P<variable>\$\{{?\w+\}}?|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b) | (?P<version>\bv?\d+\.\d+(?:\.\d+)*\b)""",
    re.VERBOSE,
)
COMPONENTS = [Questions, Answered, Pastes, Operations, Terms]
EXAMPLES = [Questions(paths=str(Path(__file__).with_name("samples")))]
