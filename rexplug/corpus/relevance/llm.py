"""The labeller that queries a language model at an OpenAI-compatible endpoint."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rexplug.components import Candidate, Labeller, LabellingContext, Use
from rexplug.errors import DataError, one_line
from rexplug.plugins.declarations import labeller_instruction

_ANSWER = re.compile(r"[\s*\"'`_]*(yes|no|unsure)[\s*\"'`_.!]*", re.IGNORECASE)
_ASK = "Answer with one word: yes, no, or unsure."
_CHARACTERS_PER_TOKEN = 4.0
"""Of English text, for the estimate; what the endpoint counted is reported afterwards."""
_OVERHEAD = 12
"""Tokens that a chat template adds to a request, roughly."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(
    r"(?i)^(x[-_])?(api[-_]?)?(key|token|secret|password|authorization)$|[-_](key|secret|password|token)$"
)
"""Names of options and parameters that hold secrets; `max_tokens` and the like do not match."""
_SHORTEST_SECRET = 6
"""A shorter key cannot be distinguished from a word."""
_TEXT_KEY = "said"
"""The key of a reply's text in the cache, which keeps its name: answers that were paid for stay readable."""
_MEANING = {"yes": True, "no": False, "unsure": None}


@dataclass(frozen=True)
class _Reply:
    """The reply to one request: the answer (None if it could not be read), the text, and the tokens that the endpoint counted."""

    answer: str | None
    text: str
    tokens_in: int
    tokens_out: int


class Price(BaseModel):
    """What the endpoint charges."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Annotated[float, Field(ge=0)]
    """Per million tokens sent."""
    output: Annotated[float, Field(ge=0)]
    """Per million tokens answered."""

    def of(self, tokens_in: float, tokens_out: float) -> float:
        """The price of so many tokens."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


class Llm(Labeller):
    """Labels by a language model, one request per document, over any endpoint that speaks OpenAI's chat protocol.

    The instruction comes from the vertical's plugin (`follow`) or is written in the recipe (`prompt`). Answers are kept on disk by
    model, instruction and text: a run that was killed, or is repeated, pays for nothing twice. Before the first request the
    number of documents, tokens and, with a `price`, the cost are reported; a `budget` that does not cover them is refused.
    """

    name: ClassVar[str] = "llm"

    model: str
    """The model's name at the endpoint."""
    base_url: str
    """The endpoint, up to and without `/chat/completions`."""
    key_from: str | None = None
    """Environment variable that holds the key; no key is sent if left out (a server of your own)."""
    follow: Annotated[Labeller, Use()] | None = None
    """A labeller of a plugin whose instruction is sent, e.g. `ecommerce.retail`."""
    prompt: str | None = None
    """The instruction, instead of `follow`."""
    price: Price | None = None
    """Price per million tokens: `{input: 0.07, output: 0.14}`."""
    budget: Annotated[float, Field(gt=0)] | None = None
    """Refuse to start when the estimate is above this, and stop when the cost is; in the currency of `price`."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Requests under way at a time."""
    retries: Annotated[int, Field(ge=0)] = 6
    """How often a request is repeated after 408, 409, 429, 5xx, a timeout or a broken connection; waits double, and a
    `Retry-After` is obeyed."""
    timeout: Annotated[float, Field(gt=0)] = 60
    """Seconds after which a request counts as lost."""
    max_failed: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Give up when more than this share of the documents stays without an answer that can be read."""
    answer_tokens: Annotated[int, Field(ge=1)] = 8
    """Most tokens of an answer; reasoning models need more."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further keys of the request, as the endpoint knows them; temperature 0 and the recipe's seed are sent anyway."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.base_url.startswith(("http://", "https://")) or not _host(self.base_url):
            raise ValueError(f"base_url '{self.base_url}' is not an address; addresses begin with http:// or https://")
        if (self.follow is None) == (self.prompt is None):
            raise ValueError("write `follow` (a plugin's labeller with an instruction) or `prompt`, one of them")
        if self.follow is not None and labeller_instruction(self.follow) is None:
            raise ValueError(f"{self.follow.name} has no instruction to follow; write a `prompt`")
        if self.budget is not None and self.price is None:
            raise ValueError("a `budget` needs a `price` to be compared with")
        return self

    def instruction(self) -> str:
        """The instruction that is sent, with the demand for one word at its end."""
        text = self.prompt if self.prompt is not None else (labeller_instruction(self.follow) if self.follow else "")
        return f"{(text or '').strip()}\n\n{_ASK}"

    def check(self) -> None:
        """The key must be in the environment and not in the recipe, and the client must be installed; nothing is sent.

        Raises:
            DataError: one of them is missing, or a secret is in the recipe, which is saved with the run.
        """
        problem = self._secret_in_recipe()
        if problem is not None:
            raise DataError(
                f"llm: {problem}; the endpoint's key belongs in the environment variable that key_from names"
            )
        if importlib.util.find_spec("openai") is None:
            raise DataError("llm: the package 'openai' is not installed; pip install 'rexplug[llm]'")
        if self.key_from is not None and not os.environ.get(self.key_from):
            raise DataError(
                f"llm: the environment variable {self.key_from} is not set; it should hold the endpoint's key"
            )
        if self.key_from is not None and not (self._secret.isascii() and self._secret.isprintable()):
            raise DataError(
                f"llm: the environment variable {self.key_from} holds characters that no key has (a line break, or a letter "
                "beyond ASCII)"
            )

    @property
    def _secret(self) -> str:
        """The endpoint's key; empty if none is sent."""
        return os.environ.get(self.key_from, "").strip() if self.key_from else ""

    def _secret_in_recipe(self) -> str | None:
        """Where the recipe holds a secret, in words that do not repeat it; None if it holds none."""
        if self.key_from is not None and _VARIABLE.fullmatch(self.key_from) is None:
            return "key_from is not the name of an environment variable (letters, digits and _)"
        address = urlsplit(self.base_url)
        if "@" in address.netloc:
            return "base_url holds a user or a password"
        if any(_SECRET.search(name) for name, _ in parse_qsl(address.query, keep_blank_values=True)):
            return "base_url holds a key"
        if _names_secret(self.options):
            return "options hold a key"
        secret = self._secret
        written = json.dumps([self.model, self.base_url, self.prompt, self.options], ensure_ascii=False)
        if len(secret) >= _SHORTEST_SECRET and secret in written:
            return f"the value of {self.key_from} is in the recipe"
        return None

    def _hide(self, text: str) -> str:
        """The text without the key, which some endpoints repeat in their answers."""
        secret = self._secret
        return text.replace(secret, "(key)") if len(secret) >= _SHORTEST_SECRET else text

    def label(self, candidates: Sequence[Candidate], context: LabellingContext) -> list[bool | None]:
        """Ask for what is not known yet; `unsure` and answers that cannot be read label nothing.

        Raises:
            DataError: the budget is too small, the endpoint refuses, or too many documents stay without an answer.
        """
        self.check()
        texts = [candidate.document.text for candidate in candidates]
        with closing(_Cache(context.folder / "llm.sqlite")) as cache:
            keys = [self._key(text) for text in texts]
            known = cache.read(keys)
            todo = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            self._announce(len(texts), todo, context)
            spent = 0.0
            for number, (key, reply) in enumerate(self._ask(todo, context.seed), 1):
                cache.write(key, reply)
                known[key] = reply
                spent += self.price.of(reply.tokens_in, reply.tokens_out) if self.price else 0.0
                context.progress.update(number, **({"cost": f"{spent:.2f}"} if self.price else {}))
                if self.budget is not None and spent > self.budget:
                    raise DataError(
                        f"llm: {spent:.2f} were spent, more than the budget of {self.budget:g}; the {number} answers are kept. "
                        "With a higher budget the same command resumes from there"
                    )
        failed = [known[key].text for key in keys if known[key].answer is None]
        if len(failed) > self.max_failed * len(keys):
            raise DataError(
                f"llm: {len(failed)} of {len(keys)} documents got no answer that can be read (yes, no or unsure), e.g. "
                f"'{failed[0][:80]}'; correct the instruction or answer_tokens, or raise max_failed"
            )
        return [None if known[key].answer is None else _MEANING[str(known[key].answer)] for key in keys]

    def _key(self, text: str) -> str:
        parts = [self.model, self.instruction(), self.answer_tokens, self.options, text]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "replace")).hexdigest()

    def _announce(self, number: int, todo: dict[str, str], context: LabellingContext) -> None:
        prompt = len(self.instruction()) / _CHARACTERS_PER_TOKEN + _OVERHEAD
        tokens = sum(len(text) / _CHARACTERS_PER_TOKEN + prompt for text in todo.values())
        estimate = f"about {tokens:,.0f} tokens"
        if self.price is not None:
            cost = self.price.of(tokens, len(todo) * self.answer_tokens)
            estimate += f", at most about {cost:.2f}"
            if self.budget is not None and cost > self.budget:
                raise DataError(
                    f"llm: labelling {len(todo):,} documents with {self.model} costs about {cost:.2f}, more than the budget of "
                    f"{self.budget:g}; raise relevance.labels.budget, or lower relevance.documents or relevance.characters"
                )
        context.progress.note(
            f"  {self.model}: {len(todo):,} of {number:,} documents to ask for, the others are known; {estimate}"
        )
        context.progress.start(f"label with {self.model}", len(todo), "documents")

    def _ask(self, todo: dict[str, str], seed: int) -> Iterator[tuple[str, _Reply]]:
        """Yield replies as they come in; only a few more requests than `concurrency` are prepared, which bounds the memory."""
        from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

        import openai

        key = self._secret or "none"
        with (
            openai.OpenAI(
                api_key=key, base_url=self.base_url, timeout=self.timeout, max_retries=self.retries
            ) as client,
            ThreadPoolExecutor(self.concurrency) as pool,
        ):
            waiting = iter(todo.items())
            running: dict[Future[_Reply], str] = {}
            try:
                while True:
                    for name, text in waiting:
                        running[pool.submit(self._reply, client, text, seed)] = name
                        if len(running) >= 2 * self.concurrency:
                            break
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for reply in done:
                        yield running.pop(reply), reply.result()
            except openai.APIStatusError as error:
                raise DataError(f"llm: {self.base_url} answered {error.status_code}: {self._short(error)}") from None
            except openai.APIConnectionError as error:
                raise DataError(
                    f"llm: {self.base_url} did not answer ({self._short(error)}) after {self.retries + 1} tries; what was "
                    "answered is kept and the same command resumes from there"
                ) from None
            except openai.OpenAIError as error:
                raise DataError(f"llm: the answer of {self.base_url} is not OpenAI's: {self._short(error)}") from None
            finally:
                for request in running:
                    request.cancel()

    def _short(self, error: Exception) -> str:
        return one_line(self._hide(str(error)))

    def _reply(self, client: Any, text: str, seed: int) -> _Reply:
        messages = [{"role": "system", "content": self.instruction()}, {"role": "user", "content": text}]
        request = {"temperature": 0, "seed": seed, "max_tokens": self.answer_tokens, **self.options}
        tokens_in = tokens_out = 0
        answer = ""
        for _ in range(2):  # an answer that cannot be read is asked for once more
            response = client.chat.completions.create(model=self.model, messages=messages, **request)
            usage = getattr(response, "usage", None)
            tokens_in += getattr(usage, "prompt_tokens", 0) or 0
            tokens_out += getattr(usage, "completion_tokens", 0) or 0
            choices = getattr(response, "choices", None)
            answer = str(choices[0].message.content or "") if choices else f"a reply without choices: {response}"
            answer = self._hide(answer)
            match = _ANSWER.fullmatch(answer)
            if match:
                return _Reply(match[1].lower(), answer, tokens_in, tokens_out)
        return _Reply(None, answer, tokens_in, tokens_out)


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:  # brackets that do not close
        return None


def _names_secret(options: Any) -> bool:
    """Whether options hold a secret: under a name that says so, or as a bearer token."""
    if isinstance(options, dict):
        return any(_SECRET.search(str(name)) or _names_secret(value) for name, value in options.items())
    if isinstance(options, list):
        return any(map(_names_secret, options))
    return isinstance(options, str) and options.lower().startswith("bearer ")


class _Cache:
    """A cache of replies on disk; a reply is stored for good as soon as `write` returns."""

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

    def read(self, keys: Sequence[str]) -> dict[str, _Reply]:
        replies: dict[str, _Reply] = {}
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            for key, reply in self._file.execute(f"select key, reply from replies where key in ({marks})", part):
                stored = json.loads(reply)
                replies[key] = _Reply(stored["answer"], stored[_TEXT_KEY], stored["tokens_in"], stored["tokens_out"])
        return replies

    def write(self, key: str, reply: _Reply) -> None:
        stored = {
            "answer": reply.answer, _TEXT_KEY: reply.text, "tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out,
        }  # fmt: skip
        self._file.execute("insert or replace into replies values (?, ?)", (key, json.dumps(stored)))

    def close(self) -> None:
        self._file.close()
