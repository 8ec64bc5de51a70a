"""The packed corpus of guided_ablation.py for a GPU machine: token stores and masked items, each made once, in compressed arrays.

Reading it needs neither the texts nor a scorer, and no library beyond numpy and rexplug's own stores.
"""

from __future__ import annotations

import io
import json
import lzma
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from rexplug.evaluation.masked_words import MaskedText

if TYPE_CHECKING:
    from rexplug.components import EvaluationContext
    from rexplug.evaluation.models import Model

PARTS = ("dev", "test")
DOCUMENTS = {"retail": 400, "general": 400}
"""Documents of each source and part that are measured on."""
WORDS, DRAWS, RATE = 256, 4, 0.15
MAX_TOKENS = 512
PUBLISHED_LIMIT = 1024
_PIECE = 1 << 23
"""Tokens that are compressed together."""


@dataclass(frozen=True)
class Items:
    """Masked rows of one measure and part, as flat arrays.

    Attributes:
        ids: token ids of all rows, one after another.
        lengths: tokens of each row.
        positions: masked positions in their rows.
        counts: masked positions of each row.
        truth: the original ids at `positions`.
        word_of: number of the word (or of the occurrence of a value) that each masked position belongs to.
    """

    ids: NDArray[Any]
    lengths: NDArray[Any]
    positions: NDArray[Any]
    counts: NDArray[Any]
    truth: NDArray[Any]
    word_of: NDArray[Any]

    @classmethod
    def of(cls, rows: Sequence[MaskedText]) -> Items:
        def joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.uint16]:
            return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.uint16)

        return cls(
            joined([row.token_ids for row in rows]),
            np.array([len(row.token_ids) for row in rows], np.uint16),
            joined([row.positions for row in rows]),
            np.array([len(row.positions) for row in rows], np.uint16),
            joined([row.truth for row in rows]),
            joined([row.word_of for row in rows]),
        )

    def rows(self) -> Iterator[MaskedText]:
        """The rows again."""
        ends, places = np.cumsum(self.lengths, dtype=np.int64), np.cumsum(self.counts, dtype=np.int64)
        ids = np.split(self.ids.astype(np.int64), ends[:-1])
        parts = [
            np.split(values.astype(np.int64), places[:-1]) for values in (self.positions, self.word_of, self.truth)
        ]
        for row_ids, positions, word_of, truth in zip(ids, *parts, strict=True):
            yield MaskedText(row_ids, positions, word_of, truth)


@dataclass(frozen=True)
class Packed:
    """The packed folder, read: sources, items by set (`retail.words.test`), what the sets hold, and the tokenizer's folder."""

    folder: Path
    about: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def read(cls, folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> Packed:
        """Decompress the arrays that are `wanted`, several at a time."""
        about = json.loads(lzma.decompress((folder / "about.json.xz").read_bytes()))
        names = [name for name in about["arrays"] if wanted(name)]

        def load(path: Path) -> NDArray[Any]:
            values: NDArray[Any] = np.load(io.BytesIO(lzma.decompress(path.read_bytes())))
            return values

        with ThreadPoolExecutor(8) as pool:
            pieces = {
                name: [pool.submit(load, folder / f"{name}.{n}.npy.xz") for n in range(about["arrays"][name])]
                for name in names
            }
            arrays = {name: np.concatenate([piece.result() for piece in parts]) for name, parts in pieces.items()}
        return cls(folder, about, arrays)

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's folder."""
        return self.folder / "tokenizer"

    def items(self, name: str) -> Items:
        """The items of a set."""
        return Items(**{field: self.arrays[f"{name}.{field}"] for field in Items.__dataclass_fields__})

    def lengths(self, source: str) -> NDArray[np.int64]:
        """Tokens of each document of a source."""
        return self.arrays[f"{source}.lengths"].astype(np.int64)

    def write_store(self, source: str, folder: Path, count: int) -> None:
        """Write the token store of a source with its first `count` documents."""
        from rexplug.tokens.store import WORD_START, close_store, write_shard

        ends = np.cumsum(self.lengths(source)[:count])

        def split(values: NDArray[Any]) -> list[NDArray[Any]]:
            return np.split(values[: ends[-1]], ends[:-1])

        salience, vocabulary = self.about["salience"], self.about["vocabulary"]
        write_shard(
            folder, 0, tokens=split(self.arrays[f"{source}.tokens"]),
            channels={WORD_START: split(np.unpackbits(self.arrays[f"{source}.word_start"])),
                      salience: split(self.arrays[f"{source}.salience"])},
            documents={"id": [str(number) for number in range(count)]}, vocabulary_size=vocabulary,
        )  # fmt: skip
        close_store(folder, 1, [WORD_START, salience], self.about["tokenizer"], vocabulary)

    def write_stores(self, folder: Path, share: float = 1.0) -> None:
        """Write the sources' token stores, or the first documents of each.

        Args:
            folder: gets a folder per source.
            share: of the documents.
        """
        for source in self.about["sources"]:
            self.write_store(source, folder / source, max(1, round(share * len(self.lengths(source)))))


def make_corpus(recipe: Mapping[str, Any], folder: Path) -> Path:
    """Curate and tokenize; returns the run directory."""
    import yaml

    from rexplug.api import load_recipe, run
    from rexplug.cli.progress import TerminalProgress

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(dict(recipe), sort_keys=False))
    with TerminalProgress() as progress:
        run(load_recipe(file), run_dir=folder / "run", until="tokenize", progress=progress)
    return folder / "run"


def pack(run_folder: Path, folder: Path) -> None:
    """Choose and mask the items of every measure, and write them with the token stores to `folder`."""
    from rexplug.api import load_recipe
    from rexplug.run_directory import RunDirectory
    from rexplug.tokens.store import WORD_START, TokenStore

    recipe, run = load_recipe(run_folder / "recipe.yaml"), RunDirectory(run_folder)
    arrays: dict[str, NDArray[Any]] = {}
    assert recipe.evaluation_scorer is not None  # corpus_recipe() masks by a scorer
    salience = recipe.evaluation_scorer.channel
    about: dict[str, Any] = {"sources": list(recipe.sources), "salience": salience, "sets": {}}
    for source in recipe.sources:
        store = TokenStore.open(run.tokens / source)
        shards = range(len(store.description["shards"]))
        arrays[f"{source}.lengths"] = store.lengths.astype(np.uint32)
        for name, channel in (("tokens", None), ("word_start", WORD_START), ("salience", salience)):
            values = np.concatenate([np.asarray(store.memory(shard, channel)) for shard in shards])
            arrays[f"{source}.{name}"] = np.packbits(values) if name == "word_start" else values
        about |= {"tokenizer": store.description["tokenizer"], "vocabulary": store.description["vocabulary_size"]}
    for name, (items, description) in _sets(recipe, run).items():
        about["sets"][name] = description
        arrays |= {f"{name}.{field}": getattr(items, field) for field in Items.__dataclass_fields__}
    about["arrays"] = {name: max(1, -(-len(values) // _PIECE)) for name, values in arrays.items()}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(run.tokenizer, folder / "tokenizer")
    for name, values in arrays.items():
        for number in range(about["arrays"][name]):
            file = io.BytesIO()
            np.save(file, values[number * _PIECE : (number + 1) * _PIECE])
            (folder / f"{name}.{number}.npy.xz").write_bytes(_compressed(file.getvalue(), values.itemsize))
    (folder / "about.json.xz").write_bytes(lzma.compress(json.dumps(about).encode()))
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"packed {total / 1e6:.1f} MB in {folder}")


def _compressed(data: bytes, width: int) -> bytes:
    """Compressed with a dictionary of 64 MiB, in steps of the width of a value."""
    bits = 1 if width == 2 else 0
    options = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 26, "lc": 3 - bits, "lp": bits, "pb": bits}
    return lzma.compress(data, filters=[options])


def _sets(recipe: Any, run: Any) -> dict[str, tuple[Items, dict[str, Any]]]:
    """Set -> its items, and what they are."""
    from rexplug.components import split_of
    from rexplug.document_files import read_documents
    from rexplug.evaluation.harness import Context, EvaluationData
    from rexplug.evaluation.masked_words import mask_words
    from rexplug.evaluation.model_folder import load_tokenizer
    from rexplug.evaluation.published_protocol import PublishedBlocks
    from rexplug.evaluation.recovery import choose_words
    from rexplug.evaluation.value_recovery import ValueRecovery, mask_values

    tokenizer: Any = load_tokenizer(run.tokenizer)
    sets: dict[str, tuple[Items, dict[str, Any]]] = {}
    held_out = {name: list(read_documents(run.corpus / name / "held_out")) for name in recipe.sources}
    data = EvaluationData(held_out, recipe.seed, recipe.evaluation_scorer, run.tokenizer)
    with tempfile.TemporaryDirectory() as temporary:
        # Words are chosen without a model.
        context = cast("EvaluationContext", Context(cast("Model", None), data, Path(temporary)))
        for source, documents in held_out.items():
            for part in PARTS:
                chosen = [d for d in documents if split_of(d.text, dev=0.5, test=0.5) == part][: DOCUMENTS[source]]
                excerpts = choose_words(chosen, WORDS, RATE, context, DRAWS)
                masked = [mask_words(excerpt.text, excerpt.words, tokenizer, 1024) for excerpt in excerpts]
                sets[f"{source}.words.{part}"] = (
                    Items.of(masked),
                    {"kind": "words", "ids": [excerpt.document_id for excerpt in excerpts],
                     "salient": ["".join("01"[mark] for mark in excerpt.salient) for excerpt in excerpts]},
                )  # fmt: skip
                blocks = PublishedBlocks.of(chosen, tokenizer, PUBLISHED_LIMIT)
                rows = [
                    MaskedText(inputs, positions, np.zeros_like(positions), truth[positions])
                    for inputs, positions, truth in zip(blocks.inputs, blocks.positions, blocks.truth, strict=True)
                ]
                sets[f"{source}.published.{part}"] = Items.of(rows), {"kind": "blocks", "documents": len(chosen)}
    training = {name: [d.text for d in read_documents(run.corpus / name / "kept")] for name in recipe.sources}
    for evaluator in recipe.evaluators:
        if not isinstance(evaluator, ValueRecovery):
            continue
        for part in PARTS:
            # Titles on which the scorer was tuned are all for choosing.
            tuned = evaluator.title == "tuned-titles"
            if tuned and part == "test":
                continue
            texts = evaluator.model_copy(update={"part": "all" if tuned else part}).select_texts()
            seen = texts_in(training, [text.text for text in texts])
            left = [text for text in texts if text.text not in seen]
            values = mask_values(left, tokenizer, MAX_TOKENS)
            sets[f"{evaluator.title}.values.{part}"] = (
                Items.of([value.masked for value in values]),
                {"kind": "values", "texts": [value.annotated.text for value in values],
                 "attributes": [value.value.attribute for value in values], "in_training": sorted(seen)},
            )  # fmt: skip
            print(
                f"{evaluator.title}, {part}: {len(values):,} values in {len(left):,} texts; "
                f"{len(seen)} texts occur in training documents and were left out"
            )
    return sets


def texts_in(documents: Mapping[str, Sequence[str]], texts: Sequence[str]) -> set[str]:
    """Those of `texts` whose words occur in a document in a row; case and characters between words are ignored.

    Args:
        documents: texts by source.
        texts: texts to search for.
    """
    import ahocorasick

    from rexplug.text.words import lower_words

    automaton = ahocorasick.Automaton()
    by_words: dict[str, list[str]] = {}
    for text in texts:
        by_words.setdefault(f" {' '.join(lower_words(text))} ", []).append(text)
    for words in by_words:
        automaton.add_word(words, words)
    automaton.make_automaton()
    return {
        text
        for contents in documents.values()
        for content in contents
        for _, words in automaton.iter(f" {' '.join(lower_words(content))} ")
        for text in by_words[words]
    }


def print_masked(folder: Path) -> None:
    """Print what share of the salient and of the plain tokens of each source each arm masks, at the start and the end of a phase."""
    from guided_ablation import ARMS, masking_of

    from rexplug.batches.mask_rates import rates_in_store
    from rexplug.tokens.store import TokenStore

    packed = Packed.read(folder, lambda name: name.count(".") == 1)
    print("| | retail, salient / plain tokens | general, salient / plain tokens |\n| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as temporary:
        packed.write_stores(Path(temporary), 0.05)
        stores = {name: TokenStore.open(Path(temporary, name)) for name in ("retail", "general")}
        for arm, options in ARMS.items():
            policy = masking_of(options)
            cells = []
            for store in stores.values():
                rates = [rates_in_store(policy, store, 1024, progress, 1) for progress in (0.0, 1.0)]
                shown = [f"{100 * (r.salient or 0):.0f} / {100 * (r.plain or 0):.0f} %" for r in rates if r is not None]
                cells.append(" to ".join(dict.fromkeys(shown)) or f"{100 * policy.rate.at(0):.0f} % of all")
            print(f"| {arm} | " + " | ".join(cells) + " |")
