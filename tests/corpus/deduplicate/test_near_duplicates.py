"""Near-duplicates are confirmed by exact similarity: products stay apart, chains stay, and each drop names what it repeats."""

import json
import random

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from separate_shards import split_of

from rexplug.corpus.curate import curate
from rexplug.corpus.deduplicate.choose import choose
from rexplug.corpus.deduplicate.pairs import EDGE
from rexplug.corpus.sources import Jsonl
from rexplug.document_files import read_documents
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation, Executor, MinHash

WORDS = [f"{a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "klmnprst"]
CARD = (
    "{maker} graphics card with {memory}GB of memory, three quiet fans, a backplate of metal and {width} cm of length. The box "
    "holds the card, a cable for power, a manual and a sheet of stickers. Warranty of three years."
)


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def run(folder, shards, *, workers=1, notes=None, **options):
    home = folder / "in"
    home.mkdir(parents=True, exist_ok=True)
    for number, texts in enumerate(shards):
        lines = (json.dumps({"text": text, "id": f"{number}-{row}"}) + "\n" for row, text in enumerate(texts))
        (home / f"{number:05d}.jsonl").write_text("".join(lines))
    corpus = folder / f"corpus-{workers}"
    statistics = curate(
        {"web": Jsonl(paths=str(home), id="id", split=split_of(home))}, Curation(held_out=0, executor=Executor(workers=workers), **options),
        seed=3, corpus=corpus, fitted=folder / "fitted", progress=notes or Silent(),
    )  # fmt: skip
    dropped = [
        row
        for path in sorted((corpus / "web" / "dropped").glob("*-duplicates.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    kept = [document.id for document in read_documents(corpus / "web" / "kept")]
    return kept, {row["id"]: row for row in dropped}, statistics


def test_products_that_differ_in_a_number_stay_if_numbers_are_kept(tmp_path):
    texts = [CARD.format(maker="Nordic", memory=memory, width=width) for memory, width in ((8, 24), (12, 24), (8, 31))]
    texts.append(texts[0] + " Free delivery within 3 days.")
    kept, dropped, _ = run(tmp_path / "zero", [texts])
    assert kept == ["0-0"]
    assert set(dropped) == {"0-1", "0-2", "0-3"}
    kept, dropped, _ = run(
        tmp_path / "keep", [texts], minhash=MinHash(numbers="keep", differ="numbers", similarity=0.5)
    )
    assert kept == ["0-0", "0-1", "0-2"]
    assert set(dropped) == {"0-3"}


def test_products_that_differ_in_a_word_stay_if_words_tell_them_apart(tmp_path):
    texts = [CARD.format(maker=maker, memory=8, width=24) for maker in ("Nordic", "Baltic")]
    texts += [texts[1].replace("The box", "For 299.95 EUR. The box"), texts[1].upper()]
    texts.append(texts[1].replace("Warranty", "Add to cart. Warranty").replace("cable for power", "power cable"))
    options = {"numbers": "keep", "differ": "words", "similarity": 0.5, "buckets": 100, "hashes": 2}
    kept, dropped, _ = run(tmp_path, [texts], minhash=MinHash(**options))
    assert kept == ["0-0", "0-1", "0-4"]
    assert {id: row["twin"] for id, row in dropped.items()} == {"0-2": "0-1", "0-3": "0-1"}
    kept, dropped, _ = run(tmp_path / "ignored", [texts], minhash=MinHash(**options, ignored=("add", "to", "cart")))
    assert kept == ["0-0", "0-1"]
    assert dropped["0-4"]["twin"] == "0-1"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            "1400rpm washing machine 9kg load class a white",
            "1400rpm washing machine 9kg load class a white/black",
            False,
        ),
        (
            "fridge freezer 300 frost free in stainless steel",
            "fridge freezer 300 frost free in stainless steel effect",
            False,
        ),
        ("Xeon processor 2.93GHz 12MB cache tray", "Xeon processor 2.93GHz 12MB cache tray box", False),
        ("apple iphone 7 plus 32gb rose gold", "Apple iPhone 7 Plus 32 GB, rose gold", True),
        ("freezer GN4113 70cm frost free white", "freezer GN4113 70cm frost free", True),
        ("washer dryer 7/5kg white 3093040", "washer dryer 7/5kg white 3093040 class b", True),
    ],
)
def test_titles_with_an_additional_word_differ_unless_they_share_an_article_number(tmp_path, one, other, same):
    options = MinHash(numbers="keep", differ="words", similarity=0.5, buckets=100, hashes=2)
    kept, dropped, _ = run(tmp_path, [[one, other]], minhash=options)
    assert (len(kept), len(dropped)) == ((1, 1) if same else (2, 0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"differ": "numbers"}, "'differ: numbers' needs 'numbers: keep'; with 'zero' all are 0"),
        ({"ignored": ("buy",)}, "'ignored' goes with 'differ: words'"),
    ],
)
def test_options_that_would_do_nothing(options, message):
    with pytest.raises(ValidationError, match=message):
        MinHash(**options)


def test_a_drop_names_its_twin_and_their_similarity(tmp_path):
    base = " ".join(WORDS)
    _, dropped, _ = run(tmp_path, [["other", base], [f"{base} end", base.upper()]])
    near, exact = dropped["1-0"], dropped["1-1"]
    assert (near["reason"], near["twin"], near["twin_source"]) == ("near-duplicate", "0-1", "web")
    assert near["score"] == pytest.approx(196 / 197)  # 200 words have 196 shingles of 5, and one is new
    assert (exact["reason"], exact["twin"], exact["score"]) == ("exact duplicate", "0-1", 1)


def test_candidates_that_are_not_similar_enough_stay(tmp_path):
    base = " ".join(WORDS)
    texts = [base, " ".join(WORDS[:160] + ["".join(reversed(word)) for word in WORDS[160:]])]
    kept, _, _ = run(tmp_path / "low", [texts], minhash=MinHash(similarity=0.6, buckets=100, hashes=2))
    assert kept == ["0-0"]  # 156 of 236 shingles: 0.66
    kept, _, _ = run(tmp_path / "high", [texts], minhash=MinHash(similarity=0.7, buckets=100, hashes=2))
    assert kept == ["0-0", "0-1"]


def edges(*rows):
    return np.array([(worse, better, 1, alike) for worse, better, alike in rows], EDGE)


def test_a_chain_does_not_vanish_into_its_first_document():
    [(chosen, waiting)] = choose([edges((1, 0, 0.8), (2, 1, 0.8), (3, 2, 0.8))], [4])
    assert chosen["worse"].tolist() == [1, 3]
    assert chosen["better"].tolist() == [0, 2]
    assert waiting["worse"].tolist() == [2]


def test_the_most_similar_document_that_stays_is_named():
    [(chosen, _)] = choose([edges((2, 0, 0.8), (2, 1, 0.9), (3, 1, 0.7), (3, 2, 1.0))], [4])
    assert [(int(e["worse"]), int(e["better"])) for e in chosen] == [(2, 1), (3, 1)]


def test_the_same_result_for_any_number_of_workers_and_files_that_are_merged(tmp_path, monkeypatch):
    random.seed(1)
    texts = []
    for _ in range(25):
        words = random.choices(WORDS, k=60)
        texts.append(" ".join(words))
        texts += [" ".join([*words[:58], *random.choices(WORDS, k=2)])] * random.randrange(3)
        texts += [" ".join([*words, *random.choices(WORDS, k=3)])] * random.randrange(2)
    random.shuffle(texts)
    shards = [texts[n::11] for n in range(11)]
    expected = outcome(tmp_path / "a", shards)
    assert outcome(tmp_path / "b", shards, workers=2) == expected
    monkeypatch.setattr("rexplug.corpus.merge_rounds.MOST_FILES", 3)
    monkeypatch.setattr("rexplug.corpus.deduplicate.key_files.MOST_KEYS", 50)
    monkeypatch.setattr("rexplug.corpus.deduplicate.find._MOST_GROUPS", 4)
    monkeypatch.setattr("rexplug.corpus.deduplicate.pairs.MOST_WAITING", 5)
    assert outcome(tmp_path / "c", shards) == expected
    assert {reason for reason, *_ in expected[1].values()} == {"near-duplicate", "exact duplicate"}


def outcome(folder, shards, **options):
    kept, dropped, _ = run(folder, shards, **options)
    return kept, {id: (row["reason"], row["twin"], row["score"]) for id, row in dropped.items()}


def test_a_hundred_near_duplicates_are_worth_a_warning(tmp_path):
    base = " ".join(WORDS)
    notes = Notes()
    run(tmp_path, [[base, *(f"{base} number{n}" for n in range(100))]], notes=notes)
    assert notes.notes == [
        "web: 1 document has 100 near-duplicates or more, 100 in all; most: '0-0' (100). Look at some with "
        "`rexplug corpus why`; if they are different products, raise `curation.minhash.similarity`, or write "
        "`minhash: {numbers: keep, differ: words}`"
    ]
    run(tmp_path / "fewer", [[base, *(f"{base} number{n}" for n in range(99))]], notes=(fewer := Notes()))
    assert fewer.notes == []


def test_longest_stays_and_names(tmp_path):
    base = " ".join(WORDS)
    kept, dropped, _ = run(tmp_path, [[base, f"{base} end"], [f"{base} end of it"]], keep="longest")
    assert kept == ["1-0"]
    assert {id: row["twin"] for id, row in dropped.items()} == {"0-0": "1-0", "0-1": "1-0"}
