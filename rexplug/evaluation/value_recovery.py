"""Recovery of annotated attribute values: the share of masked values that a model predicts correctly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from rexplug.components import (
    Budget,
    EvaluatedItem,
    EvaluationContext,
    EvaluationResult,
    Evaluator,
    MaskedWord,
    Scores,
    split_of,
)
from rexplug.components.evaluation_tasks import scaled_items
from rexplug.errors import DataError
from rexplug.evaluation.annotated_values import AnnotatedText, Annotations, Value, read_annotations
from rexplug.evaluation.item_files import stored_ids
from rexplug.evaluation.items import word_item
from rexplug.evaluation.splits import text_key
from rexplug.io.tabular import read_records

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rexplug.evaluation.masked_words import MaskedText

_EXAMPLES = 6
_QUICK_VALUES = 500
"""Values of the budget `quick` where all are used otherwise."""
_MAX_TOKENS = 512


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else value


class ValueRecovery(Evaluator):
    """Masks annotated attribute values in texts, one value at a time, and counts those that the model predicts correctly.

    Unlike `salient` of `masked_recovery`, what is masked does not depend on a scorer: people named the values (AE-110K,
    OA-Mine), or a catalogue holds them in fields. All occurrences of a value in its text are masked, and the first one is
    judged; everything else stays visible.
    """

    name: ClassVar[str] = "value_recovery"

    title: str | None = Field(default=None, pattern=r"^[a-z0-9_-]+$")
    """Tells several uses of this evaluator apart; part of the result's name."""
    paths: Annotated[
        tuple[Path, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | list[str]), Field(min_length=1)
    ]
    """Tables: .jsonl, .csv or .tsv (.gz or .zst too); one file or a list."""
    text_column: str = "input"
    """The column with the text. Defaults are those of AE-110K and OA-Mine as ExtractGPT packs them."""
    value_column: str = "target_scores"
    """The column with the values: attribute -> value, list of values, or value -> anything; `n/a` is not a value."""
    fields: tuple[str, ...] = ()
    """Columns that are attributes, in place of `value_column`: their values are used where they occur in the text."""
    part: Literal["all", "dev", "test"] = "all"
    """Part of the texts, by a hash of the text: `dev` to choose by, `test` to report what was chosen."""
    dev: float = Field(default=0.3, gt=0, lt=1)
    """Share of the texts in `dev`; the others are in `test`."""
    limit: int | None = Field(default=None, ge=1)
    """Most values to measure on, all if left out; whole texts in the order of a hash, so a higher limit adds to a lower one."""
    min_words: int = Field(default=4, ge=2)
    """Words of the shortest text: little can be inferred from fewer."""
    attributes: int = Field(default=8, ge=0)
    """How many attributes have a metric of their own: the most frequent ones. The table lists all."""

    def at_budget(self, budget: Budget) -> Self:
        """A third of the values of `limit`, or 500, for `quick`; three times as many for `full`."""
        without_limit = _QUICK_VALUES if budget == "quick" else None
        limit = without_limit if self.limit is None else scaled_items(self.limit, budget)
        return super().at_budget(budget).model_copy(update={"limit": limit})

    @property
    def label(self) -> str:
        """`value_recovery.<title>`; the name alone without a title."""
        return f"{self.name}.{self.title}" if self.title else self.name

    def inputs(self) -> Sequence[Path]:
        """The files of the tables."""
        return self.paths

    def check(self) -> None:
        """Read the first row of each table.

        Raises:
            DataError: a file is missing or empty, or its first row does not hold what it should.
        """
        for path in self.paths:
            first = next(read_records(path), None)
            if first is None:
                raise DataError(f"{self.label}: {path} is empty")
            for name in (self.text_column, *(() if self.fields else (self.value_column,))):
                if name not in first[1]:
                    raise DataError(
                        f"{self.label}: {path}:{first[0]}: there is no column {name}; it has {', '.join(first[1])}"
                    )

    def test_texts(self) -> Mapping[str, str]:
        """All texts with values, those of `dev` too: results on `dev` choose the setting that is reported on `test`."""
        return {f"text {text_key(text)}": text for text in self._usable(self._read())}

    def select_texts(self) -> list[AnnotatedText]:
        """The texts of the part, in the order of their hash; at most `limit` values in all.

        Raises:
            DataError: a file cannot be read or holds something else, or no text is left.
        """
        return self._select(self._read())

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure `exact`, values with every token right, and `tokens`, tokens of values that are right.

        Raises:
            DataError: the tables cannot be read or have no values.
            NotApplicable: the model has no masked-LM head.
        """
        from rexplug.evaluation.statistics import bootstrap_metric

        annotations = self._read()
        texts = self._select(annotations)
        masked = mask_values(texts, context.encoder.tokenizer, min(context.encoder.max_tokens, _MAX_TOKENS))
        predictions = context.encoder.predict_masked(
            [item.masked.token_ids for item in masked], [item.masked.positions for item in masked], 1
        )
        predicted = [best[:, 0] for best in predictions]
        hits = [item.judge(best) for item, best in zip(masked, predicted, strict=True)]
        scores = value_scores(masked, hits, self.attributes)
        notes = ["tokens of values depend on the tokenizer: compare 'tokens' only between models that share one"]
        if annotations.num_inside_words:
            notes.append(f"{annotations.num_inside_words} annotated values occur only inside longer words; not used")
        return EvaluationResult(
            {name: bootstrap_metric(score, context.seed) for name, score in scores.items()},
            main="exact",
            tables={"By attribute": _by_attribute(masked, hits)},
            examples=_examples(masked, predicted, context.encoder.tokenizer),
            notes=notes,
            scores=scores,
            items=_items(masked, predicted, hits, context.encoder.tokenizer),
        )

    def _read(self) -> Annotations:
        return read_annotations(self.paths, self.text_column, self.value_column, self.fields, self.label)

    def _usable(self, annotations: Annotations) -> dict[str, AnnotatedText]:
        from rexplug.text.words import split_words

        return {
            text: annotated
            for text, annotated in annotations.texts.items()
            if annotated.values and len(split_words(text)) >= self.min_words
        }

    def _select(self, annotations: Annotations) -> list[AnnotatedText]:
        texts = self._usable(annotations)
        names = ", ".join(map(str, self.paths))
        if not texts:
            raise DataError(f"{self.label}: no text of {names} has {self.min_words} words and a value in it")
        selected = [
            texts[text]
            for text in sorted(texts, key=text_key)
            if self.part == "all" or split_of(text, dev=self.dev, test=1 - self.dev) == self.part
        ]
        if not selected:
            raise DataError(f"{self.label}: no text of {names} is in {self.part}; take more texts, or part: all")
        count = 0
        for number, annotated in enumerate(selected):
            count += len(annotated.values)
            if self.limit is not None and count > self.limit:
                return selected[: max(1, number)]
        return selected


@dataclass(frozen=True)
class MaskedValue:
    """A text in which one value is masked."""

    annotated: AnnotatedText
    value: Value
    masked: MaskedText

    def judge(self, predicted: NDArray[np.int64]) -> tuple[int, int]:
        """Correct tokens and tokens of the value's first occurrence; 0 and 0 where the text was cut before it.

        Args:
            predicted: `[m]`, the predicted ids at `masked.positions`.
        """
        first = self.masked.word_of == 0
        return int((predicted[first] == self.masked.truth[first]).sum()), int(first.sum())


def mask_values(texts: Sequence[AnnotatedText], tokenizer: Any, limit: int) -> list[MaskedValue]:
    """Mask each value of each text, all its occurrences at once.

    Args:
        texts: the texts with their values.
        tokenizer: a fast tokenizer of transformers.
        limit: texts are cut at this many tokens.
    """
    from rexplug.evaluation.masked_words import mask_words

    return [
        MaskedValue(annotated, value, mask_words(annotated.text, value.places, tokenizer, limit))
        for annotated in texts
        for value in annotated.values
    ]


def value_scores(
    values: Sequence[MaskedValue], hits: Sequence[tuple[int, int]], num_attributes: int
) -> dict[str, Scores]:
    """Metric -> scores by text, since values of the same text are not independent.

    Args:
        values: the masked values.
        hits: what `MaskedValue.judge` returned for each.
        num_attributes: how many attributes have a metric `exact.<attribute>`, the most frequent first.
    """
    frequency = Counter(item.value.attribute for item in values)
    frequent = [name for name, _ in sorted(frequency.items(), key=lambda pair: (-pair[1], pair[0]))[:num_attributes]]
    sums: dict[str, dict[str, list[float]]] = {}
    for item, (correct, total) in zip(values, hits, strict=True):
        exact = float(correct == total > 0)
        counted = [("exact", exact, 1.0), ("tokens", float(correct), float(total))]
        if item.value.attribute in frequent:
            counted.append((_metric_name(item.value.attribute), exact, 1.0))
        for name, right, weight in counted:
            entry = sums.setdefault(name, {}).setdefault(text_key(item.annotated.text), [0.0, 0.0])
            entry[0] += right
            entry[1] += weight
    names = ["exact", "tokens", *dict.fromkeys(_metric_name(name) for name in frequent)]
    return {
        name: Scores(
            list(sums[name]), [[right for right, _ in sums[name].values()]], [[w for _, w in sums[name].values()]]
        )
        for name in names
    }


def _metric_name(attribute: str) -> str:
    return "exact." + "_".join(attribute.lower().split())


def _by_attribute(values: Sequence[MaskedValue], hits: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """A row per attribute, the most frequent first: values, and the shares of exact values and of tokens."""
    rows: dict[str, list[int]] = {}
    for item, (correct, total) in zip(values, hits, strict=True):
        row = rows.setdefault(item.value.attribute, [0, 0, 0, 0])
        for place, count in enumerate((1, correct == total > 0, correct, total)):
            row[place] += count
    return [
        {"attribute": name, "values": count, "exact": exact / count, "tokens": correct / max(1, total)}
        for name, (count, exact, correct, total) in sorted(rows.items(), key=lambda pair: (-pair[1][0], pair[0]))
    ]


def _items(
    values: Sequence[MaskedValue],
    predicted: Sequence[NDArray[np.int64]],
    hits: Sequence[tuple[int, int]],
    tokenizer: Any,
) -> list[EvaluatedItem]:
    """The texts with the first occurrence of each value and what was predicted there."""
    chosen = stored_ids(text_key(item.annotated.text) for item in values)
    words: dict[str, list[MaskedWord]] = {}
    for item, best, (correct, total) in zip(values, predicted, hits, strict=True):
        if text_key(item.annotated.text) in chosen:
            start, end = item.value.places[0]
            guess = tokenizer.decode(best[item.masked.word_of == 0].tolist()).strip()
            words.setdefault(item.annotated.text, []).append(MaskedWord(start, end, guess, correct == total > 0))
    return [word_item(text_key(text), text, of_text) for text, of_text in words.items()]


def _examples(
    values: Sequence[MaskedValue], predicted: Sequence[NDArray[np.int64]], tokenizer: Any
) -> list[dict[str, Any]]:
    """The first value of a few texts, with what was predicted in its place."""
    examples: list[dict[str, Any]] = []
    shown: set[str] = set()
    for item, best in zip(values, predicted, strict=True):
        if len(examples) == _EXAMPLES:
            break
        if item.annotated.text in shown:
            continue
        shown.add(item.annotated.text)
        text = item.annotated.text
        for start, end in reversed(item.value.places):
            text = text[:start] + "[MASK]" + text[end:]
        word = {
            "truth": item.value.text,
            "predicted": tokenizer.decode(best[item.masked.word_of == 0].tolist()).strip(),
            "salient": True,
        }
        examples.append({"source": item.value.attribute, "text": text, "words": [word]})
    return examples
