"""Textbooks of medicine and science for rexplug: chapters as sections, without exercises, with their key terms.

The components read books whose chapters are Markdown and whose sections may end in a list `## Key terms` with a line
`term: definition` for each, as OpenStax's do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field

import rexplug

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EXERCISES = (
    "questions", "exercises", "critical thinking", "multiple choice", "true/false", "fill in the blank", "short answer",
    "matching", "references", "further exploration", "articles", "websites", "videos", "activities",
    "figuring for yourself", "link to learning", "learning objectives", "chapter objectives", "what do you think",
)  # fmt: skip
_DEFINES = re.compile(
    r"\b(?:is|are) (?:called|termed|known as|defined as|referred to as)\b|\brefers? to\b|\bconsists? of\b"
    r"|\b(?:is|are) (?:an?|the) (?:type|kind|form|process|study|branch|unit|measure|class|group)s? of\b"
    r"|^[^:\n]{3,60}: [a-z]",  # a line of a glossary
    re.MULTILINE,
)
_TERM = re.compile(r"^([^:(\n]{3,60}?)(?: \([^\n]*?\))?: \S", re.MULTILINE)
"""A line of the key terms: `term: definition` or `term (abbreviation): definition`."""
_SCIENCE = re.compile(
    r"(?:molecul|protein|tissue|organism|genet|genom|bacteri|immun|hormon|muscl|neur|infect|diseas|symptom|therap|clinic"
    r"|chemi|electro|temperatur|pressur|radiat|gravit|orbit|galax|telescop|cognit|stimul|psycholog|physiolog|membran)\w*"
    r"|\w+(?:osis|itis|ocytes?)|(?:cell|atom|gene|virus|acid|ion|nerve|enzyme|patient|reaction|planet|star|bone)(?:e?s)?"
    r"|species|energy|blood|brain|cellular|atomic|ionic|viral|solar|mass|light|heat"
)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield (heading with its #, the text below it) of Markdown; the heading of what precedes the first one is empty."""
    parts = re.split(r"^(#{1,6} .*)$", text, flags=re.MULTILINE)
    yield from zip(["", *parts[1::2]], parts[::2], strict=True)


class Sections(rexplug.FileSource):
    """Sections of textbooks, from JSON records of chapters with `id`, `book`, `title`, `text` (Markdown) and `url`.

    A section begins at a heading of the second level; the list of its key terms belongs to it.
    """

    name: ClassVar[str] = "textbooks.sections"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json")

    books: tuple[str, ...] = ()
    """Read only books whose titles begin with one of these; all books if left out."""

    def read(self, piece: rexplug.Piece) -> Iterator[rexplug.Document | rexplug.Unreadable]:
        """Yield the sections of each chapter, in order."""
        for place, chapter in self.json_records(piece):
            if isinstance(chapter, rexplug.Unreadable):
                yield chapter
            elif not all(isinstance(chapter.get(field), str) for field in ("id", "book", "text")):
                yield self.unreadable_at(piece.file, place, "no id, book or text")
            elif chapter["book"].startswith(self.books or ""):
                sections = re.split(r"^(?=## (?!Key terms$))", chapter["text"], flags=re.MULTILINE)
                fields = {"url": chapter.get("url"), "book": chapter["book"], "chapter": chapter.get("title")}
                for number, text in enumerate(sections):
                    yield self.document_at(piece.file, place, text.strip(), id=f"{chapter['id']}#{number}", **fields)


class Exposition(rexplug.CorpusFilter):
    """Cut exercises, references and lists of links out of sections; drop those in which too little else is left."""

    name: ClassVar[str] = "textbooks.exposition"

    headings: tuple[str, ...] = _EXERCISES
    """Text below a heading that contains one of these is cut; in lower case."""
    min_words: int = Field(default=60, ge=1)
    """Fewest words of what is left."""

    def judge(self, document: rexplug.Document) -> rexplug.Verdict:
        """Cut the text at its headings; the score is the number of words that are left."""
        kept = [
            heading + text
            for heading, text in blocks(document.text)
            if not any(name in heading.lower() for name in self.headings)
        ]
        left = "".join(kept).strip()
        count = len(rexplug.split_words(left))
        return rexplug.Verdict(count >= self.min_words, "too little but exercises and references", count, left)


class Defines(rexplug.CorpusFilter):
    """Keep texts that say what things are: `is called`, `refers to`, `is a type of`, lines of a glossary."""

    name: ClassVar[str] = "textbooks.defines"

    least: float = Field(default=1.0, ge=0)
    """Fewest such phrases per 1000 words."""

    def judge(self, document: rexplug.Document) -> rexplug.Verdict:
        """Count the phrases; the score is their number per 1000 words."""
        words = len(rexplug.split_words(document.text))
        rate = 1000 * len(_DEFINES.findall(document.text)) / max(1, words)
        return rexplug.Verdict(rate >= self.least, "defines nothing", rate)


class BySigns(rexplug.Labeller):
    """Label texts as medicine or science by the share of their words that belong there, without a language model."""

    name: ClassVar[str] = "textbooks.by_signs"

    relevant: float = Field(default=0.04, gt=0, le=1)
    """From this share of words on a text is relevant."""
    other: float = Field(default=0.01, ge=0, le=1)
    """Up to this share it is not; between the two it has no label."""

    def label(self, candidates: Sequence[rexplug.Candidate], context: rexplug.LabellingContext) -> list[bool | None]:
        """One label per candidate, from the texts alone."""
        labels: list[bool | None] = []
        for candidate in candidates:
            words = rexplug.lower_words(candidate.document.text)
            share = sum(_SCIENCE.fullmatch(word) is not None for word in words) / max(1, len(words))
            labels.append(True if share >= self.relevant else False if share <= self.other else None)
        return labels

    def instruction(self) -> str:
        """The question for a language model, with `{use: llm, follow: textbooks.by_signs, ...}`."""
        return (
            "Does this text explain a subject of medicine, psychology or the natural sciences, so that a student could learn "
            "from it: what things are, how they work, why something happens? Texts that only mention such a subject (a "
            "biography, news, a list, an advertisement) do not count. Answer yes or no."
        )


class KeyTerms(rexplug.SalienceScorer):
    """Mark the key terms that the books define, wherever they occur; guided masking masks them more often than other words."""

    name: ClassVar[str] = "textbooks.key_terms"

    terms: tuple[str, ...] = ()
    """The terms; if left out, those in the lists `Key terms` of the corpus."""
    longest: int = Field(default=4, ge=1)
    """Most words of a term; longer ones are left out."""

    def fit(self, corpus: rexplug.CorpusSample) -> Self:
        """Collect the terms of all sources.

        Raises:
            DataError: no document has such a list.
        """
        if self.terms:
            return self
        texts = (document.text for documents in corpus.documents.values() for document in documents)
        lists = (body for text in texts for heading, body in blocks(text) if heading.lower().endswith("key terms"))
        terms = {term for body in lists for term in _TERM.findall(body)}
        if not terms:
            raise rexplug.DataError(f"{self.name}: no document has a list '## Key terms'; name the terms with `terms`")
        return self.model_copy(update={"terms": tuple(sorted(terms))})

    @cached_property
    def _known(self) -> frozenset[tuple[str, ...]]:
        """The words of each term, in the singular."""
        return frozenset(tuple(map(_singular, rexplug.split_words(term))) for term in self.terms)

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        """255 for the tokens of a term, the longest one at each place, and 0 for others."""
        starts, ends = document.word_bounds()
        words = [_singular(document.text[start:end]) for start, end in zip(starts, ends, strict=True)]
        first, last, place = [], [], 0
        while place < len(words):
            sizes = range(min(self.longest, len(words) - place), 0, -1)
            size = next((size for size in sizes if tuple(words[place : place + size]) in self._known), 0)
            if size:
                first.append(starts[place])
                last.append(ends[place + size - 1])
            place += size or 1
        return document.spans_to_tokens(first, last, 255)


def _singular(word: str) -> str:
    word = word.lower()
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


COMPONENTS = [Sections, Exposition, Defines, BySigns, KeyTerms]
EXAMPLES = [KeyTerms(terms=("cell membrane", "report"))]
