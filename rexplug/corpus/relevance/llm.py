"""The labeller that queries a language model at an OpenAI-compatible endpoint."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rexplug.components import Candidate, Labeller, LabellingContext, Use
from rexplug.corpus.relevance.answers import AnswerFile, Reply
from rexplug.corpus.relevance.chat import Chat
from rexplug.errors import DataError
from rexplug.plugins.calls import labeller_instruction
from rexplug.progress import Progress

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
_FIRST = 20
"""Documents after which asking stops if none of them got an answer that can be read."""
_MEANING = {"yes": True, "no": False, "unsure": None}


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
    """How often a request is repeated after 408, 409, 429, 5xx, a timeout, a broken connection or a response without an answer;
    waits double, and a `Retry-After` is obeyed."""
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
        """The instruction that is sent; the demand for one word follows it."""
        text = self.prompt if self.prompt is not None else (labeller_instruction(self.follow) if self.follow else "")
        return (text or "").strip()

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
        """Ask for what is not known yet; `unsure`, refusals and answers that cannot be read label nothing.

        Raises:
            DataError: the budget is too small, the endpoint refuses, or too many documents stay without an answer. The message
                says how many answers are kept.
        """
        self.check()
        texts = [candidate.document.text for candidate in candidates]
        keys = [self._key(text) for text in texts]
        with closing(AnswerFile(context.folder / "llm.sqlite")) as file:
            known = file.read(keys)
            todo = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            asked = _Asked(self, keys, known, file, context.progress)
            asked.stop_if_too_many_failed()
            self._announce(len(texts), todo, context)
            try:
                self._chat(context.seed).ask(todo, asked.take, asked.store)
            except DataError as error:
                raise DataError(f"{error}; {asked.kept()}") from None
        if asked.failed:
            context.progress.note(f"  {self.model}: {asked.summary()}")
        return [None if (answer := known[key].answer) is None else _MEANING[answer] for key in keys]

    def _chat(self, seed: int) -> Chat:
        return Chat(
            base_url=self.base_url, model=self.model, instruction=self.instruction(), key=self._secret or "none",
            request={"temperature": 0, "seed": seed, "max_tokens": self.answer_tokens, **self.options},
            concurrency=self.concurrency, retries=self.retries, timeout=self.timeout, hide=self._hide,
        )  # fmt: skip

    def _key(self, text: str) -> str:
        # What surrounds the text belongs to the request: an answer to another wording is another answer.
        sent = self._chat(0).messages(text)
        parts = [self.model, sent, self.answer_tokens, self.options]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "replace")).hexdigest()

    def _announce(self, number: int, todo: dict[str, str], context: LabellingContext) -> None:
        around = sum(len(message["content"]) for message in self._chat(context.seed).messages(""))
        prompt = around / _CHARACTERS_PER_TOKEN + _OVERHEAD
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


class _Asked:
    """The replies of one call of `label`: keeps them, and says when to stop."""

    def __init__(
        self, labeller: Llm, keys: Sequence[str], known: dict[str, Reply], file: AnswerFile, progress: Progress
    ) -> None:
        self._labeller, self._known, self._file, self._progress = labeller, known, file, progress
        self._documents = Counter(keys)
        self._number = len(keys)
        self._spent = 0.0
        self._asked = self._readable = 0
        self.failed = [key for key in keys if key in known and known[key].answer is None]
        """The key of every document without an answer that can be read, repeated for documents with the same text."""

    def store(self, key: str, reply: Reply) -> None:
        """Keep a reply."""
        if reply.final:
            self._file.write(key, reply)
        self._known[key] = reply
        if reply.answer is None:
            self.failed += [key] * self._documents[key]

    def take(self, key: str, reply: Reply) -> None:
        """Keep a reply and report it.

        Raises:
            DataError: the budget is spent, or so much cannot be read that asking for more is of no use.
        """
        self.store(key, reply)
        self._asked += 1
        self._readable += reply.answer is not None
        price, budget = self._labeller.price, self._labeller.budget
        self._spent += price.of(reply.tokens_in, reply.tokens_out) if price else 0.0
        self._progress.update(self._asked, **({"cost": f"{self._spent:.2f}"} if price else {}))
        if budget is not None and self._spent > budget:
            raise DataError(f"llm: {self._spent:.2f} were spent, more than the budget of {budget:g}")
        if self._asked == _FIRST and not self._readable:
            raise DataError(
                f"llm: none of the first {_FIRST} documents got an answer that can be read ({self.summary()}); correct the "
                "instruction, answer_tokens or options"
            )
        self.stop_if_too_many_failed()

    def stop_if_too_many_failed(self) -> None:
        """Raise a DataError if more documents than `max_failed` allows are without an answer: the others cannot mend that."""
        if len(self.failed) > self._labeller.max_failed * self._number:
            raise DataError(
                f"llm: {len(self.failed):,} of {self._number:,} documents got no answer that can be read (yes, no or unsure), "
                f"more than max_failed ({self._labeller.max_failed:g}) allows: {self.summary()}; correct the instruction or "
                "answer_tokens, or raise max_failed"
            )

    def summary(self) -> str:
        """What became of the documents without an answer, with an example of each kind."""
        kinds: dict[str, list[str]] = {}
        for key in self.failed:
            reply = self._known[key]
            kind = "refused by the endpoint" if reply.refused else "without an answer that can be read"
            kinds.setdefault(kind, []).append(reply.text)
        return ", ".join(f"{len(texts):,} {kind}, e.g. '{texts[0][:80]}'" for kind, texts in sorted(kinds.items()))

    def kept(self) -> str:
        """How many answers are kept."""
        number = sum(self._documents[key] for key, reply in self._known.items() if reply.final)
        return f"the answers for {number:,} of {self._number:,} documents are kept and will not be asked for again"


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
