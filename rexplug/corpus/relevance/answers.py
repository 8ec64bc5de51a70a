"""The answers of a language model: what counts as yes, no or unsure, and the file that keeps what was paid for."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.errors import DataError

_WORD = "(yes|no|unsure)"
_LONGEST = 100_000
"""Characters at the end of a text that are read."""
_DECORATION = re.compile(
    r"[*_`\"'#>“”‘’\u200b\u200e\u200f\u2060\ufeff]|\\boxed|(?m:^\s*```\w*\s*$)|(?m:^\s*[-•–—]\s+)|</?s>|<\|[a-z_]+\|>|<｜[^｜]{0,40}｜>",
    re.IGNORECASE,
)
"""Markdown, quotes, list marks, and marks of chat templates (`<|im_end|>`) that a server left in it."""
_TAGGED = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.IGNORECASE | re.DOTALL)
_THINK = "(?:seed:)?think|thinking|thoughts?|reasoning"
_THOUGHTS = re.compile(rf"<({_THINK})>.*?</\1>|\[THINK\].*?\[/THINK\]|◁think▷.*?◁/think▷", re.IGNORECASE | re.DOTALL)
_END_OF_THOUGHTS = re.compile(rf"</(?:{_THINK})>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>", re.IGNORECASE)
"""Many chat templates open the thoughts themselves, so that the answer has the closing tag alone."""
_START_OF_THOUGHTS = re.compile(rf"<(?:{_THINK})>|\[THINK\]|◁think▷|<\|channel\|>analysis", re.IGNORECASE)
_LEAD = (
    r"(?:(?:so|therefore|thus)?,?\s*(?:the|my)?\s*(?:final\s+)?"
    r"(?:answer|label|verdict|decision|classification|response|output|result|relevant|a(?=\s*:))(?:\s+is)?\s*[:=-]?\s*)"
)
_LINE = re.compile(rf"\s*{_LEAD}?[{{(\[]?{_WORD}[}})\]]?\s*[.!。！]*\s*", re.IGNORECASE)
"""A line that consists of an answer."""
_LEADING = re.compile(rf"\s*{_LEAD}?{_WORD}\s*(?:[.!,;:(\n。！，；：（、]|\s[-–—]\s)(.*)", re.IGNORECASE | re.DOTALL)
"""An answer at the start, with an explanation after it."""
_FIELD = re.compile(
    r'["\'](?:final_?answer|answer|label|is_?relevant|relevant|decision|verdict|result|response|classification|output)["\']\s*:\s*'
    r'(?:(["\'])(?P<quoted>yes|no|unsure|true|false)[.!]?\1|(?P<bare>yes|no|unsure|true|false)(?=[\s,}]))',
    re.IGNORECASE,
)
"""A field of JSON (or of a dictionary of Python) with an answer, complete even if the object is not."""
_MEANING = {"true": "yes", "false": "no"}
_TEXT_KEY = "said"
"""The key of a reply's text in the cache, which keeps its name: answers that were paid for stay readable."""


@dataclass(frozen=True)
class Reply:
    """What became of one document at the endpoint."""

    answer: str | None
    """`yes`, `no`, `unsure`, or None if there was none that can be read."""
    text: str
    """The answer as it came, or why there is none."""
    tokens_in: int = 0
    """Tokens sent, as the endpoint counted them."""
    tokens_out: int = 0
    """Tokens answered, likewise."""
    refused: bool = False
    """Whether the endpoint declined to judge this document: its content filter, or its length."""
    final: bool = True
    """Whether the same request would get the same reply again; such replies are stored."""


def read_answer(text: str) -> str | None:
    """`yes`, `no` or `unsure`; None for anything else, and for more than one of them.

    Read are the word alone, the word with an explanation after it (`Yes. It sells kettles.`), a line `Answer: yes`, a field of
    JSON (`{"answer": "yes"`, even if the rest was cut off), and `<answer>yes</answer>`; each also after thoughts in `<think>` or
    a similar tag. Thoughts that do not end have no answer.
    """
    text = text.strip()[-_LONGEST:]
    last = _last_end(text)
    text = _THOUGHTS.sub("", text[:last]) + text[last:]  # thoughts after the last closing mark are not searched again
    text = text[_last_end(text) :]
    if _START_OF_THOUGHTS.search(text):
        return None
    if tagged := _TAGGED.findall(text):
        text = tagged[-1]
    if "{" in text and (fields := list(_FIELD.finditer(text))):
        values = {(field["quoted"] or field["bare"]).lower() for field in fields}
        found = {_MEANING.get(value, value) for value in values}
        return found.pop() if len(found) == 1 else None
    # Blanks first: models repeat them without end at times, and the patterns would try every way to divide them.
    plain = _collapsed(_DECORATION.sub("", _collapsed(text)))
    if plain.startswith("{") and '"' in text:  # JSON that was cut off: "no" may be the beginning of "not sure"
        return None
    found = {match[1].lower() for line in plain.splitlines() if (match := _LINE.fullmatch(line))}
    leading = _LEADING.match(plain)
    if leading:
        found.add(leading[1].lower())
        again = re.match(rf"\W*+(?:(?:or|and|but)\b\W*+)?{_WORD}\s*(?:[.!?,;:(\n]|$)", leading[2], re.IGNORECASE)
        if again:
            found.add(again[1].lower())
    return found.pop() if len(found) == 1 else None


def _last_end(text: str) -> int:
    """Where the last thoughts end; 0 if none do."""
    return max((match.end() for match in _END_OF_THOUGHTS.finditer(text)), default=0)


def _collapsed(text: str) -> str:
    """The lines of a text that are not blank, with single blanks."""
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines())))


class AnswerFile:
    """A file of replies; a reply is stored for good as soon as `write` returns.

    Raises:
        DataError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        import sqlite3

        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = sqlite3.connect(path, isolation_level=None)
            self._file.execute("pragma journal_mode=wal")
            self._file.execute("pragma synchronous=normal")
            self._file.execute("create table if not exists replies (key text primary key, reply text not null)")
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"llm: the answers kept in {path} cannot be read: {error}; remove the file to ask again"
            ) from None

    def read(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The replies that are stored under these keys."""
        replies: dict[str, Reply] = {}
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            for key, reply in self._file.execute(f"select key, reply from replies where key in ({marks})", part):
                stored: dict[str, Any] = json.loads(reply)
                replies[key] = Reply(
                    stored["answer"], stored[_TEXT_KEY], stored["tokens_in"], stored["tokens_out"],
                    refused=stored.get("refused", False),
                )  # fmt: skip
        return replies

    def write(self, key: str, reply: Reply) -> None:
        """Store a reply."""
        stored = {
            "answer": reply.answer, _TEXT_KEY: reply.text, "tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out,
            "refused": reply.refused,
        }  # fmt: skip
        self._file.execute("insert or replace into replies values (?, ?)", (key, json.dumps(stored)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
