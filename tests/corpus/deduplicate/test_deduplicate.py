"""Duplicates: by address, by text, nearly; which one stays; within and across sources; the same as datatrove's."""

import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from separate_shards import split_of

from rexplug.components import Shard
from rexplug.corpus.curate import curate
from rexplug.corpus.deduplicate.keys import normalized_url
from rexplug.corpus.deduplicate.minhash import Signatures, bucket_keys, config, shingles
from rexplug.corpus.deduplicate.normalize import numbers_in, simplified
from rexplug.corpus.sources import Jsonl
from rexplug.document_files import read_documents
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation, MinHash

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[3] / "../shared/data"))
WORDS = [f"{a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "klmnprst"]
BASE = " ".join(WORDS)


def run(folder, sources, **options):
    for name, documents in sources.items():
        (folder / name).mkdir(exist_ok=True)
        for number, part in enumerate(documents):
            text = "".join(json.dumps(each if isinstance(each, dict) else {"text": each}) + "\n" for each in part)
            (folder / name / f"{number}.jsonl").write_text(text)
    made = {name: Jsonl(paths=str(folder / name), split=split_of(folder / name)) for name in sources}
    curation = Curation(held_out=0, **options)
    corpus = folder / "corpus"
    statistics = curate(made, curation, seed=3, corpus=corpus, fitted=folder / "fitted", progress=Silent())
    kept = {name: [d.text for d in read_documents(corpus / name / "kept")] for name in sources}
    reasons = {name: statistics["sources"][name]["steps"][-1]["reasons"] for name in sources}
    return kept, reasons


def test_the_first_stays_or_the_longest(tmp_path):
    shards = [[BASE, "x y z"], [f"{BASE} and a little more", f"{BASE} end"]]
    kept, reasons = run(tmp_path, {"web": shards})
    assert kept["web"] == [BASE, "x y z"]
    assert reasons["web"] == {"near-duplicate": 2}
    kept, _ = run(tmp_path, {"web": shards}, keep="longest")
    assert kept["web"] == ["x y z", f"{BASE} and a little more"]


def test_across_sources_an_earlier_source_goes_first(tmp_path):
    sources = {"web": [["a chair of oak"], [BASE]], "retail": [["A  CHAIR of oak", f"{BASE} end", "only here"]]}
    kept, reasons = run(tmp_path, sources, deduplicate_across=True)
    assert kept == {"web": ["a chair of oak", BASE], "retail": ["only here"]}
    assert reasons["retail"] == {"exact duplicate": 1, "near-duplicate": 1}
    kept, _ = run(tmp_path, sources)
    assert kept["retail"] == ["A  CHAIR of oak", f"{BASE} end", "only here"]


def test_addresses(tmp_path):
    def page(text, url):
        return {"text": text, "url": url}

    shards = [
        [page("one", "https://www.shop.example/p/1?utm_source=mail"), page("two", "http://shop.example/p/1/#reviews")],
        [
            page("three, longer", "shop.example/p/1"),
            page("four", "https://shop.example/p/1?colour=red"),
            {"text": "five"},
            {"text": "six"},
        ],
    ]
    kept, reasons = run(tmp_path, {"web": shards}, deduplicate="none", deduplicate_urls=True)
    assert kept["web"] == ["one", "four", "five", "six"]
    assert reasons["web"] == {"same address": 2}
    kept, _ = run(tmp_path, {"web": shards}, deduplicate_urls=True, keep="longest")
    assert kept["web"] == ["three, longer", "four", "five", "six"]


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://www.Shop.example/A/?b=1&gclid=2#c", "shop.example/A?b=1"),
        ("shop.example", "shop.example"),
        ("http://[broken", "http://[broken"),
    ],
)
def test_addresses_are_compared_without_what_does_not_matter(url, plain):
    assert normalized_url(url) == plain


def test_a_document_dropped_by_url_still_connects_near_duplicates(tmp_path):
    shards = [
        [
            {"text": "other", "url": "x.example"},
            {"text": f"{BASE} one", "url": "x.example"},
            {"text": f"{BASE} two"},
            {"text": BASE},
        ]
    ]
    kept, reasons = run(tmp_path, {"web": shards}, deduplicate_urls=True)
    assert kept["web"] == ["other", f"{BASE} two"]
    assert reasons["web"] == {"same address": 1, "near-duplicate": 1}


def test_hashes_are_compared_part_by_part(tmp_path, monkeypatch):
    texts = [[f"text {n % 7}" for n in range(30)], [f"text {n % 11}" for n in range(30)]]
    whole, _ = run(tmp_path, {"web": texts}, deduplicate="exact")
    monkeypatch.setattr("rexplug.corpus.deduplicate.key_files.MOST_KEYS", 7)
    parts, _ = run(tmp_path, {"web": texts}, deduplicate="exact")
    assert whole == parts
    assert whole["web"] == [f"text {n}" for n in range(11)]


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("aB1２.,;:!?-–_$€é\u0301ẞ椅İΣ \n\t\u00a0\u2003\x1c'’\"٣")))
def test_texts_are_simplified_as_datatrove_does(text):
    from datatrove.utils.text import simplify_text

    assert simplified(text) == simplify_text(text)


def test_signatures_are_datatroves_value_for_value(tmp_path):
    from datatrove.data import Document as DatatroveDocument
    from datatrove.pipeline.dedup import MinhashDedupSignature

    from rexplug.corpus.datatrove.word_tokenizer import RegexWordTokenizer

    texts = [
        BASE,
        f"{BASE} €5 für „Größe“ 1.234,5",
        "too short",
        "",
        BASE * 40,
        *(" ".join(WORDS[n : n + 30]) for n in range(60)),
    ]
    for options in (MinHash(), MinHash(words=3, buckets=4, hashes=2)):
        stock = tmp_path / f"t{options.words}"
        own = Signatures(options, 9)
        for text in texts:
            own.add(text)
        rows, keys = own.keys()
        step = MinhashDedupSignature(str(stock), config=config(options, 9), language=RegexWordTokenizer())
        step.run((DatatroveDocument(text=text, id=str(n)) for n, text in enumerate(texts)), rank=4, world_size=5)
        kind = np.dtype([("signature", "<u8", options.hashes), ("row", "<u4")])
        for bucket in range(options.buckets):
            (path,) = (stock / f"bucket_{bucket:03d}").iterdir()
            theirs = np.sort(np.fromfile(path, kind), order="row")
            assert theirs["row"].tolist() == rows.tolist()
            assert (bucket_keys(theirs["signature"]) == keys[:, bucket]).all()


def test_short_texts_have_no_shingles():
    assert len(shingles("four words are few", 5)) == 0
    assert len(shingles("but five words are enough", 5)) == 1


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Galaxy S10+, 64GB (1,299.00 EUR)", "galaxy s10+ 64 gb 0"),
        ("DVD+RW 4.7 GB / SC813MTQ-520CB", "dvd+rw 4.7 gb sc813mtq 520cb"),
        ("Now only $49.95! 12,5 cm, 1,000 pieces", "now only 0 12.5 cm 1000 pieces"),
        ("Kühlschrank 300l – 499 €", "kuhlschrank 300 l 0"),
    ],
)
def test_kept_numbers(text, plain):
    assert simplified(text, "keep").replace(",", ".") == plain


def test_numbers_are_words_with_a_digit():
    assert numbers_in("galaxy s10+ 64 gb 4.7 inch") == {"s10+", "64", "4.7"}


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "general-text").is_dir(), reason=f"no {DATA / 'general-text'} (set REXPLUG_DATA)")
def test_groups_are_datatroves_on_real_text(tmp_path):
    from datatrove.data import Document as DatatroveDocument
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )

    from rexplug.corpus.datatrove.word_tokenizer import RegexWordTokenizer

    texts = []
    for path in sorted((DATA / "general-text").glob("*.jsonl.zst")):
        for number, each in enumerate(islice(Jsonl(paths=str(path)).documents(Shard(0, 1)), 40)):
            texts.append(each.text[:3000])
            texts += [f"{each.text[:3000]} end", f"New: {each.text[:2800]}"][: number % 3]
    kept, _ = run(tmp_path, {"web": [texts[::2], texts[1::2]]}, minhash=MinHash(similarity=0))
    made = config(MinHash(), 3)
    steps = {name: str(tmp_path / "stock" / name) for name in ("signatures", "pairs", "gone")}
    for rank in range(2):
        data = (DatatroveDocument(text=text, id="") for text in texts[rank::2])
        MinhashDedupSignature(steps["signatures"], config=made, language=RegexWordTokenizer()).run(data, rank, 2)
    for bucket in range(14):
        MinhashDedupBuckets(steps["signatures"], steps["pairs"], config=made).run(None, bucket, 14)
    MinhashDedupCluster(steps["pairs"], steps["gone"], config=made).run(None)
    left = 0
    for rank in range(2):
        data = (DatatroveDocument(text=text, id="") for text in texts[rank::2])
        left += sum(1 for _ in MinhashDedupFilter(steps["gone"]).run(data, rank, 2))
    assert len(kept["web"]) == left < len(texts)
