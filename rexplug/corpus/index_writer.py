"""Writes the word n-grams of evaluators' texts to the files that `ngram_index` searches."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.corpus.ngram_index import EDITED, VERSION, ngram_hashes, word_hashes
from rexplug.corpus.rolling_hash import Hashes
from rexplug.corpus.whole_texts import WholeTexts
from rexplug.io.atomic import replacing, write_json
from rexplug.text.fold import fold
from rexplug.text.words import has_unspaced


class IndexWriter:
    """Collects the n-grams of texts and writes them to a folder.

    Args:
        words: length of the n-grams; shorter texts are taken as a whole. Texts of less than twice as many words in scripts without
            spaces are looked for letter by letter as well.
        shortest: texts of fewer words are left out.
        edited: length of the n-grams for edited copies and the fewest words of a text that is compared so; None for none.
    """

    def __init__(self, words: int, shortest: int, edited: tuple[int, int] | None) -> None:
        self._words, self._shortest, self._edited = words, shortest, edited
        self._texts: list[list[str]] = []
        self._grams: dict[str, tuple[int, list[Hashes], list[int]]] = {str(words): (words, [], [])}
        if edited is not None:
            self._grams[EDITED] = (edited[0], [], [])
        self._whole: list[tuple[int, str]] = []
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, evaluator: str, texts: Iterable[tuple[str, str]]) -> None:
        """Add an evaluator's texts, each with its name."""
        count = self._counts[evaluator] = {"texts": 0, "whole": 0, "too_short": 0}
        for key, text in texts:
            words = word_hashes(text)
            count["texts"] += 1
            if len(words) < self._shortest:
                count["too_short"] += 1
                continue
            length = min(self._words, len(words))
            count["whole"] += length < self._words
            self._add(str(length), length, words)
            if self._edited is not None and len(words) >= self._edited[1]:
                self._add(EDITED, self._edited[0], words)
            if len(words) < 2 * self._words and has_unspaced(text):
                self._whole.append((len(self._texts), fold(text)))
            self._texts.append([evaluator, key])

    def _add(self, name: str, length: int, words: Hashes) -> None:
        _, hashes, owners = self._grams.setdefault(name, (length, [], []))
        hashes.append(np.unique(ngram_hashes(words, length)))
        owners.append(len(self._texts))

    def write(self, folder: Path) -> None:
        """Write the folder that `Index` reads."""
        with replacing(folder) as temporary:
            temporary.mkdir(parents=True)
            for name, (_, parts, numbers) in self._grams.items():
                every = np.concatenate([np.empty(0, np.uint64), *parts])
                owners = np.repeat(np.array(numbers, np.uint32), [len(part) for part in parts])
                order = np.argsort(every, kind="stable")
                hashes, starts = np.unique(every[order], return_index=True)
                np.save(temporary / f"hashes-{name}.npy", hashes)
                np.save(temporary / f"starts-{name}.npy", np.append(starts, len(every)).astype(np.int64))
                np.save(temporary / f"owners-{name}.npy", owners[order])
            WholeTexts.of(self._whole).save(temporary)
            about: dict[str, Any] = {
                "version": VERSION,
                "words": self._words,
                "shortest": self._shortest,
                "lengths": sorted(
                    (length for name, (length, _, _) in self._grams.items() if name != EDITED), reverse=True
                ),
                "edited": None if self._edited is None else self._edited[0],
                "texts": self._texts,
                "evaluators": self._counts,
            }
            write_json(temporary / "about.json", about)
