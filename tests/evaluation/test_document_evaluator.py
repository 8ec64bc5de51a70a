"""Which documents an evaluator measures on."""

import pytest
from pydantic import ValidationError

from rexplug import Document
from rexplug.corpus.filters import Boilerplate, Length, PersonalData
from rexplug.corpus.sources import Jsonl
from rexplug.evaluation.recovery import MaskedRecovery


def test_dev_and_test_share_no_document_and_miss_none(Setting, Oracle, coarse):
    documents = [Document(f"d{n}", f"text number {n}") for n in range(60)]
    setting = Setting(Oracle(coarse), {"web": documents})
    dev, test = (MaskedRecovery(part=part, documents=100).select_documents(setting)["web"] for part in ("dev", "test"))
    assert len(dev) + len(test) == 60
    assert {example.id for example in dev}.isdisjoint(example.id for example in test)
    assert min(len(dev), len(test)) > 15


def test_own_texts_take_the_place_of_held_out_ones(Setting, Oracle, coarse, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "one own text"}\n{"text": "and another"}\n')
    evaluator = MaskedRecovery(texts={"mine": Jsonl(paths=(str(tmp_path / "t.jsonl"),))})
    evaluator.check()
    assert evaluator.inputs() == [tmp_path / "t.jsonl"]
    found = evaluator.select_documents(Setting(Oracle(coarse), {"web": [Document("d", "held out")]}))
    assert {name: sorted(d.text for d in documents) for name, documents in found.items()} == {
        "mine": ["and another", "one own text"]
    }


def test_own_texts_pass_the_filters_of_their_source(tmp_path):
    (tmp_path / "t.jsonl").write_text(
        '{"text": "too short"}\n{"text": "write to someone@example.org before the end of the week"}\n'
    )
    source = Jsonl(paths=(str(tmp_path / "t.jsonl"),), filters=(Length(min_words=5), PersonalData()))
    (text,) = MaskedRecovery(texts={"mine": source}).test_texts().values()
    assert text.startswith("write to ")
    assert "someone@example.org" not in text


def test_a_filter_that_learns_from_the_corpus_is_refused():
    source = Jsonl(paths=("t.jsonl",), filters=(Boilerplate(),))
    with pytest.raises(ValidationError) as caught:
        MaskedRecovery(texts={"mine": source})
    assert caught.value.errors()[0]["msg"] == (
        "mine: the filter lines.boilerplate learns from the corpus of a run, and an evaluator has none"
    )
