"""Documents on which the stock chain, with words by spaCy, and ours decide differently, and why; see bench_curation.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Difference:
    """A document that only one side's filter drops: the reason, and the statistic by each word tokenizer."""

    id: str
    kept_by: str
    filter: str
    reason: str
    statistic: str
    spacy: float
    ours: float
    bound: str


def differences(texts: dict[str, str], ids: Sequence[str]) -> Iterator[Difference]:
    """For each document the first of datatrove's filters whose decision changes with the other word tokenizer."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.utils.text import split_into_sentences, split_into_words

    from rexplug.corpus.datatrove.word_tokenizer import RegexWordTokenizer

    regex = RegexWordTokenizer()
    chain = [
        (kind(), kind(language=regex))
        for kind in (C4QualityFilter, GopherQualityFilter, FineWebQualityFilter, GopherRepetitionFilter)
    ]
    for id in ids:
        text = texts[id]
        for stock, ours in chain:
            verdicts, changed = [], text
            for block in (stock, ours):
                document = Document(text=text, id=id)
                answer = block.filter(document)
                verdicts.append(answer if isinstance(answer, tuple) else (bool(answer), ""))
                changed = document.text if verdicts[-1][0] else changed
            if verdicts[0][0] == verdicts[1][0]:
                text = changed
                continue
            reason = verdicts[0][1] or verdicts[1][1]
            name, measure, bound = _statistic(reason, stock)
            values: list[float] = []
            for language in (stock.language, regex):
                words = split_into_words(changed, language)
                values.append(measure(changed, words, lambda line, by=language: len(split_into_sentences(line, by))))
            yield Difference(
                id,
                "spaCy's words" if verdicts[0][0] else "our words",
                type(stock).__name__,
                reason,
                name,
                values[0],
                values[1],
                bound,
            )
            break


def table(found: Sequence[Difference]) -> str:
    """The differences as a Markdown table."""
    lines = [
        "| document | kept with | filter | reason of the other side | statistic | spaCy | ours | kept if |",
        "| --- | --- | --- | --- | --- | ---: | ---: | --- |",
    ]
    for item in found:
        lines.append(
            f"| {item.id} | {item.kept_by} | {item.filter} | `{item.reason}` | {item.statistic} | {item.spacy:.4g} | "
            f"{item.ours:.4g} | {item.bound} |"
        )
    return "\n".join(lines)


def _statistic(reason: str, block: Any) -> tuple[str, Callable[..., float], str]:
    """The statistic behind a reason: its name, how it is computed from text, words and a counter of sentences, and its bound."""
    from datatrove.pipeline.filters.gopher_repetition_filter import (
        find_all_duplicate,
        find_top_duplicate,
        get_n_grams,
    )
    from datatrove.utils.text import PUNCTUATION_SET

    def plain(words: Sequence[str]) -> list[str]:
        return [word for word in words if any(character not in PUNCTUATION_SET for character in word)]

    if reason.startswith("top_"):
        n = int(reason.split("_")[1])
        bound = dict(block.top_n_grams)[n]
        return (
            f"share of characters in the most frequent {n}-gram",
            lambda text, words, _: find_top_duplicate(get_n_grams(words, n)) / len(text),
            f"at most {bound:g}",
        )
    if reason.startswith("duplicated_"):
        n = int(reason.split("_")[1])
        bound = dict(block.dup_n_grams)[n]
        return (
            f"share of characters in repeated {n}-grams",
            lambda text, words, _: find_all_duplicate(words, n) / len(text),
            f"at most {bound:g}",
        )
    known: dict[str, tuple[str, Callable[..., float], str]] = {
        "too_few_sentences": (
            "sentences",
            lambda text, words, count: sum(count(line) for line in text.splitlines()),
            f"at least {getattr(block, 'min_num_sentences', '')}",
        ),
        "gopher_short_doc": (
            "words", lambda text, words, _: len(plain(words)), f"at least {getattr(block, 'min_doc_words', '')}",
        ),
        "gopher_long_doc": (
            "words", lambda text, words, _: len(plain(words)), f"at most {getattr(block, 'max_doc_words', '')}",
        ),
        "gopher_below_avg_threshold": (
            "mean length of a word", lambda text, words, _: float(np.mean([len(w) for w in plain(words)])),
            f"at least {getattr(block, 'min_avg_word_length', '')}",
        ),
        "gopher_above_avg_threshold": (
            "mean length of a word", lambda text, words, _: float(np.mean([len(w) for w in plain(words)])),
            f"at most {getattr(block, 'max_avg_word_length', '')}",
        ),
        "gopher_too_many_hashes": (
            "hashes per word", lambda text, words, _: text.count("#") / len(words),
            f"at most {getattr(block, 'max_symbol_word_ratio', '')}",
        ),
        "gopher_too_many_ellipsis": (
            "ellipses per word", lambda text, words, _: (text.count("...") + text.count("…")) / len(words),
            f"at most {getattr(block, 'max_symbol_word_ratio', '')}",
        ),
        "gopher_below_alpha_threshold": (
            "share of words with a letter",
            lambda text, words, _: sum(any(c.isalpha() for c in w) for w in words) / len(words),
            f"at least {getattr(block, 'max_non_alpha_words_ratio', '')}",
        ),
        "gopher_enough_stop_words": (
            "stop words", lambda text, words, _: len(block.stop_words & set(words)),
            f"at least {getattr(block, 'min_stop_words', '')}",
        ),
        "list_ratio": (
            "line breaks per word", lambda text, words, _: text.count("\n") / len(words),
            f"at most {getattr(block, 'new_line_ratio', '')}",
        ),
    }  # fmt: skip
    return known[reason]
