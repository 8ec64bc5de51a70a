"""Keeps or drops pages by how likely they are about buying and selling."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from rexplug import CorpusFilter, CorpusSample, DataError, Document, Quantity, Verdict
from rexplug_ecommerce.signals import signals
from rexplug_ecommerce.train_classifier import train

_TOKEN = re.compile(r"[a-z]+|\d|[$€£%]")
_OTHER, _RETAIL = "other", "retail"
_FEWEST = 10
Probability = Annotated[float, Field(ge=0, le=1)]


class Relevance(CorpusFilter):
    """A fastText classifier of relevance to retail. Without a `model` it learns from the corpus before curation.

    Its labels are weak: a page with several kinds of product signals in density is relevant, a page with next to none
    is not, and what lies between teaches nothing. Held-out precision, recall and F1 against those same weak labels,
    with all counts, are written to `relevance.json`. Give `at_least` for the domain's source and `below` for the
    general one; both use the same classifier. Labels, thresholds and fastText arguments are our choice.
    """

    name: ClassVar[str] = "ecommerce.relevance"

    at_least: Probability | None = None
    """Keep pages with at least this probability of being relevant."""
    below: Probability | None = None
    """Keep pages with a smaller probability than this."""
    model: Path | None = None
    """A trained fastText model (.bin or .ftz) to use instead of learning one."""
    label: str = _RETAIL
    """The label in the model that means relevant."""
    characters: Annotated[int, Field(gt=0)] = 4000
    """How much of a page is classified, from its start."""
    documents: Annotated[Quantity, Field(gt=0)] = 20_000
    """Label at most this many documents of each source."""
    positive_density: Annotated[float, Field(gt=0)] = 4.0
    """Product signals per 100 words from which a page (with three kinds of them) is labelled relevant."""
    negative_density: Annotated[float, Field(ge=0)] = 0.5
    """Product signals per 100 words up to which a page (with one kind at most) is labelled not relevant."""
    dimension: Annotated[int, Field(gt=0)] = 16
    """Size of fastText's word vectors."""
    buckets: Annotated[Quantity, Field(gt=0)] = 50_000
    """How many hash buckets the word pairs share."""
    epochs: Annotated[int, Field(gt=0)] = 5
    """How often the training reads the labelled pages."""

    @model_validator(mode="after")
    def _has_threshold(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("write `at_least` or `below`, or both; without a threshold nothing would be dropped")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError(f"`at_least` ({self.at_least}) must be smaller than `below` ({self.below}): nothing fits")
        return self

    def fit(self, corpus: CorpusSample) -> Self:
        """Train on weak labels unless a `model` is given.

        Filters that see the same pages share one model file beside their folders, named by its content, so that the
        two sources of a recipe are divided by one classifier and not by two.

        Raises:
            DataError: the given model is missing, or too few pages can be labelled.
        """
        if self.model is not None:
            if not self.model.is_file():
                raise DataError(f"{self.name}: the model {self.model} does not exist")
            return self
        lines, counts = self._labelled(corpus)
        fewest = min(counts[_RETAIL], counts[_OTHER])
        if fewest < _FEWEST:
            raise DataError(
                f"{self.name}: {counts[_RETAIL]} pages could be labelled relevant and {counts[_OTHER]} not relevant, "
                f"but at least {_FEWEST} of each are needed; read more pages or give a trained `model`"
            )
        training = [line for line in lines if not _is_held_out(line)]
        held_out = [line for line in lines if _is_held_out(line)]
        options = {"dimension": self.dimension, "buckets": self.buckets, "epochs": self.epochs, "seed": corpus.seed}
        content = json.dumps([training, options]).encode()
        corpus.folder.mkdir(parents=True, exist_ok=True)
        model = corpus.folder.parent / f"relevance-{hashlib.sha256(content).hexdigest()[:12]}.bin"
        if not model.exists():
            text = corpus.folder / "training.txt"
            text.write_text("\n".join(training) + "\n", encoding="utf-8")
            made = corpus.folder / "training.bin"
            train(text, made, **options)
            made.replace(model)
            text.unlink()
        fitted = self.model_copy(update={"model": model, "label": _RETAIL})
        report = {"model": model.name, "labels": counts, "training": len(training), **fitted._agreement(held_out)}
        (corpus.folder / "relevance.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        return fitted

    def _labelled(self, corpus: CorpusSample) -> tuple[list[str], dict[str, int]]:
        """The different labelled lines in an order that does not depend on that of the sources, and label counts."""
        labelled: dict[str, str] = {}
        unlabelled = 0
        for documents in corpus.documents.values():
            for document in islice(documents, self.documents):
                text = document.text[: self.characters]
                label = self._weak_label(text)
                unlabelled += label is None
                if label is not None:
                    labelled.setdefault(_normalised(text), label)
        lines = sorted(f"__label__{label} {text}" for text, label in labelled.items() if text)
        # In sorted order fastText would see all of one class first; a hash of the text mixes the classes.
        lines.sort(key=lambda line: hashlib.sha256(line.encode()).digest())
        counts = {label: sum(line.startswith(f"__label__{label} ") for line in lines) for label in (_RETAIL, _OTHER)}
        return lines, {**counts, "unlabelled": unlabelled}

    def _weak_label(self, text: str) -> str | None:
        found = signals(text)
        if found.kinds >= 3 and found.density >= self.positive_density:
            return _RETAIL
        if found.words >= 30 and found.kinds <= 1 and found.density <= self.negative_density:
            return _OTHER
        return None

    def _agreement(self, lines: list[str]) -> dict[str, Any]:
        """Precision, recall and F1 of `retail` at 0.5 on weakly labelled lines that were not trained on."""
        hits = wrong = missed = 0
        for line in lines:
            label, text = line.removeprefix("__label__").split(" ", 1)
            predicted = self._probability(text) >= 0.5
            hits += predicted and label == _RETAIL
            wrong += predicted and label != _RETAIL
            missed += not predicted and label == _RETAIL
        precision = hits / (hits + wrong) if hits + wrong else 0.0
        recall = hits / (hits + missed) if hits + missed else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {
            "held_out": len(lines),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "note": "measured against the weak labels, so it says how well the rule was learnt, not how right it is",
        }

    def relevance(self, text: str) -> float:
        """Probability that `text` is relevant.

        Raises:
            DataError: the filter was neither fitted nor given a model.
        """
        return self._probability(_normalised(text[: self.characters]))

    def _probability(self, normalised: str) -> float:
        if self.model is None:
            raise DataError(f"{self.name} has no model: fit it on a corpus, or give it a trained `model`")
        # The wrapper's own predict() breaks on numpy 2, so the class below it is asked.
        for probability, label in _load(self.model).f.predict(normalised + "\n", -1, 0.0, "strict"):
            if label == f"__label__{self.label}":
                return min(1.0, float(probability))
        return 0.0

    def judge(self, document: Document) -> Verdict:
        """Reasons: `relevance too low` (under `at_least`), `relevance too high` (not `below`); scored either way."""
        score = self.relevance(document.text)
        if self.at_least is not None and score < self.at_least:
            return Verdict(False, "relevance too low", score)
        if self.below is not None and score >= self.below:
            return Verdict(False, "relevance too high", score)
        return Verdict(True, score=score)


def _normalised(text: str) -> str:
    """Lower-case words, digits and currency signs with one blank between them."""
    return " ".join("0" if token.isdigit() else token for token in _TOKEN.findall(text.lower()))


def _is_held_out(line: str) -> bool:
    """One line in five, by its content."""
    return int.from_bytes(hashlib.sha256(line.encode()).digest()[-4:], "big") % 5 == 0


def _load(model: Path) -> Any:
    stat = model.stat() if model.is_file() else None
    if stat is None:
        raise DataError(f"ecommerce.relevance: the model {model} does not exist")
    return _loaded(str(model), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _loaded(model: str, modified: int, size: int) -> Any:
    import fasttext

    try:
        return fasttext.load_model(model)
    except ValueError as error:
        raise DataError(f"ecommerce.relevance: {model} is no fastText model: {error}") from None
