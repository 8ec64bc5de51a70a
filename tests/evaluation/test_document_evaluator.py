"""Which documents an evaluator measures on."""

from rexplug import Document
from rexplug.evaluation.recovery import MaskedRecovery


def test_dev_and_test_share_no_document_and_miss_none(Setting, Oracle, coarse):
    documents = [Document(f"d{n}", f"text number {n}") for n in range(60)]
    setting = Setting(Oracle(coarse), {"web": documents})
    dev, test = (MaskedRecovery(part=part, documents=100).select_documents(setting)["web"] for part in ("dev", "test"))
    assert len(dev) + len(test) == 60
    assert {example.id for example in dev}.isdisjoint(example.id for example in test)
    assert min(len(dev), len(test)) > 15


def test_own_texts_take_the_place_of_held_out_ones(Setting, Oracle, coarse, tmp_path):
    from rexplug.corpus.sources import Jsonl

    (tmp_path / "t.jsonl").write_text('{"text": "one own text"}\n{"text": "and another"}\n')
    evaluator = MaskedRecovery(texts={"mine": Jsonl(paths=(str(tmp_path / "t.jsonl"),))})
    evaluator.check()
    assert evaluator.inputs() == [tmp_path / "t.jsonl"]
    found = evaluator.select_documents(Setting(Oracle(coarse), {"web": [Document("d", "held out")]}))
    assert {name: sorted(d.text for d in documents) for name, documents in found.items()} == {
        "mine": ["and another", "one own text"]
    }
