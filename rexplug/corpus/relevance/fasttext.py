"""Trains a fastText classifier in a process of its own: `python -m rexplug.corpus.relevance.fasttext OPTIONS_JSON`.

The published fastText wheels leave most of the input matrix as malloc returned it, so a training depends on what the
process did before. A fresh process whose allocator takes every large block as zeroed pages from the system
(`MALLOC_MMAP_THRESHOLD_=4096`), one thread and a fixed seed give the same bytes every time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rexplug.corpus.fasttext_package import fasttext
from rexplug.errors import DataError, RexplugError
from rexplug.io.file_cache import cached_until_changed
from rexplug.recipe.schema import Classifier
from rexplug.text.characters import BEYOND_PLAIN, mark_ranges
from rexplug.text.fold import plain_forms
from rexplug.text.words import split_words_and_marks

RELEVANT, OTHER = "relevant", "other"
"""The two labels of the classifiers that are trained here."""

_SIGNS = "[$€£¥%₹₩₺₽₫₪₴₸₱฿]"
_TOKEN = re.compile(rf"[^\W\d_]+|\d|{_SIGNS}")


def normalised(text: str) -> str:
    """Lower-case words, digits as 0 and currency signs with one blank between them; what fastText sees.

    Line breaks become blanks: fastText ends an example at one, and leaving them out glues words together. Words of scripts without
    spaces are divided, marks belong to their words, and full-width characters and decomposed accents become plain ones.
    """
    lower = plain_forms(text.lower())
    if lower.isascii() or not BEYOND_PLAIN.search(lower):
        tokens = _TOKEN.findall(lower)
    else:
        words = split_words_and_marks(unicodedata.normalize("NFC", lower))
        tokens = [token for word in words for token in _token_with_marks().findall(word)]
    return " ".join("0" if token.isdigit() else token for token in tokens)


@cache
def _token_with_marks() -> re.Pattern[str]:
    return re.compile(rf"[^\W\d_](?:[^\W\d_]|[{mark_ranges()}])*|\d|{_SIGNS}")


def train(lines: Sequence[tuple[str, bool]], options: Classifier, *, seed: int, folder: Path) -> Path:
    """Train on (normalised text, relevant) and return the model's file; equal inputs give equal files.

    The file is named by what it was trained on, so that no reader can take an older model for it.

    Raises:
        RexplugError: the training process failed; the message ends with what it printed.
    """
    # In the order of the sources fastText would see all of one class first; a hash of the text mixes the classes.
    ordered = sorted(lines, key=lambda line: hashlib.sha256(line[0].encode()).digest())
    training = [f"__label__{RELEVANT if relevant else OTHER} {text}" for text, relevant in ordered]
    arguments = {
        "dim": options.dimension, "bucket": options.buckets if options.word_pairs else 0, "epoch": options.epochs,
        "seed": seed % 2**31, "lr": options.rate, "wordNgrams": 2 if options.word_pairs else 1,
    }  # fmt: skip
    content = json.dumps([training, arguments]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / f"relevance-{hashlib.sha256(content).hexdigest()[:12]}.bin"
    if model.exists():
        return model
    text, temporary = folder / "training.txt", folder / ".tmp-training.bin"
    text.write_text("\n".join(training) + "\n", encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "rexplug.corpus.relevance.fasttext", json.dumps([str(text), str(temporary), arguments])],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "4096"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RexplugError(f"training the relevance classifier on {text} failed: {run.stderr.strip()[-500:]}")
    temporary.replace(model)
    text.unlink()
    return model


def probability(model: Path, text: str, label: str = RELEVANT) -> float:
    """Probability of `label` for a normalised text.

    Raises:
        DataError: the model cannot be read, or has no such label.
    """
    # The wrapper's own predict() fails with numpy 2, so the class that it wraps is called.
    for value, name in _load_model(model, label).f.predict(text + "\n", -1, 0.0, "strict"):
        if name == f"__label__{label}":
            return min(1.0, float(value))
    return 0.0


def _load_model(model: Path, label: str) -> Any:
    try:
        loaded, labels = _load(model)
    except OSError:
        raise DataError(f"relevance: the model {model} does not exist") from None
    if label not in labels:
        raise DataError(f"relevance: {model} has no label '{label}'; its labels are {', '.join(labels)}")
    return loaded


@cached_until_changed(maxsize=4)
def _load(model: Path) -> tuple[Any, Sequence[str]]:
    """A model and its labels."""
    try:
        loaded = fasttext().load_model(str(model))
    except ValueError as error:
        raise DataError(f"relevance: {model} is not a fastText model: {error}") from None
    return loaded, [name.removeprefix("__label__") for name in loaded.f.getLabels("strict")[0]]


def main(arguments: str) -> None:
    """Train in this process; `arguments` is the JSON that `train` writes."""
    text, output, options = json.loads(arguments)
    model = fasttext().train_supervised(input=text, **options, thread=1, verbose=0)
    model.save_model(output)


if __name__ == "__main__":
    main(sys.argv[1])
