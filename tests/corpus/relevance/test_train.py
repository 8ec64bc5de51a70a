"""From a file of labels to a threshold, metrics and the filter."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexplug import DataError, Document
from rexplug.corpus.relevance.fasttext import normalised
from rexplug.corpus.relevance.filter import RelevanceFilter
from rexplug.corpus.relevance.labellers import LabelFile, SourceLabels
from rexplug.corpus.relevance.metrics import choose_threshold, classification_metrics, cohens_kappa, curve
from rexplug.corpus.relevance.train import train_relevance
from rexplug.corpus.sources import Jsonl
from rexplug.progress import Silent
from rexplug.recipe.schema import Audit, Relevance, Threshold

SHOP = ("kettle", "price", "steel", "cart", "delivery", "red")
OTHER = ("poem", "river", "war", "king", "letter", "night")


def text(words, number):
    return (
        " ".join(words[(number * 7 + place * (number % 5 + 1)) % 6] for place in range(8))
        + f" {'abcdef'[number % 6] * (number + 1)}"
    )


@pytest.fixture
def sources(tmp_path):
    for name, words in (("shop", SHOP), ("web", OTHER)):
        rows = [{"id": f"{name}-{n}", "text": text(words, n), "label": name == "shop"} for n in range(60)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        name: Jsonl(paths=str(tmp_path / f"{name}.jsonl"), id="id", filters=(RelevanceFilter(at_least="chosen"),))
        for name in ("shop", "web")
    }


BOTH = SourceLabels(relevant=("shop",), other=("web",))


def train(sources, folder, **options):
    block = Relevance(**{"labels": BOTH, "classifier": {"epochs": 20}, **options})
    return train_relevance(sources, block, seed=3, folder=folder / "out", answers=folder / "labels", progress=Silent())


def test_trained_twice_the_same_whatever_the_order_of_sources(sources, tmp_path):
    first = train(sources, tmp_path / "a")
    second = train(dict(reversed(sources.items())), tmp_path / "b")
    assert (tmp_path / "a/out" / first["model"]).read_bytes() == (tmp_path / "b/out" / second["model"]).read_bytes()
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert first["labels"] == {"relevant": 60, "other": 60, "none": 0}
    assert first["train"] + first["dev"]["documents"] + first["test"]["documents"] == 120
    assert first["test"]["f1"]["value"] > 0.8
    kept = RelevanceFilter(at_least="chosen").trained(
        tmp_path / "a/out" / first["model"], first["threshold"], first["characters"]
    )
    assert kept.judge(Document("1", "red kettle price")).keep
    assert kept.judge(Document("2", "a poem of war")).reason == "relevance too low"


def test_another_corpus_gets_another_model_file(sources, tmp_path):
    assert train(sources, tmp_path)["model"] != train(sources, tmp_path, classifier={"epochs": 21})["model"]


def test_the_audit_reports_agreement_and_drops_disagreements(sources, tmp_path):
    rows = [
        {"id": f"{name}-{n}", "label": "yes" if (name == "shop") != (n < 6) else "no"}
        for name in sources
        for n in range(60)
    ]
    path = tmp_path / "judge.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    audit = Audit(labels=LabelFile(path=path), share=1)
    report = train(sources, tmp_path, audit=audit)
    assert report["audit"]["documents"] == 120
    assert report["audit"]["kappa"]["value"] == pytest.approx(0.8)
    assert report["audit"]["kappa"]["low"] < 0.8 < report["audit"]["kappa"]["high"]
    assert report["labels"]["none"] == 12
    with pytest.raises(
        DataError, match=r"kappa of 0\.80 on 120 documents, less than relevance\.audit\.min_kappa \(0\.9\)"
    ):
        train(sources, tmp_path, audit=audit.model_copy(update={"min_kappa": 0.9}))


def test_labels_with_texts_are_the_sample(sources, tmp_path):
    path = tmp_path / "labels.csv"
    lines = [f"{text(words, n)},{label}" for words, label in ((SHOP, "Relevant"), (OTHER, "0")) for n in range(60)]
    path.write_text("text,label\n" + "\n".join([*lines, "not labelled,"]) + "\n")
    report = train(sources, tmp_path, labels=LabelFile(path=path))
    assert report["labels"] == {"relevant": 60, "other": 60, "none": 0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "a", "label": "perhaps"}', r"labels\.jsonl:1: the label 'perhaps' is neither relevant \(1, true"),
        ('{"label": 1}', r"labels\.jsonl:1: a row has 'text' or 'id', this one has neither"),
        (
            '{"id": "a", "label": 1}\n{"id": "a", "label": 0}',
            r"labels\.jsonl:2: 'a' has another label in an earlier row",
        ),
        ("{", r"labels\.jsonl:1: not valid JSON"),
        ("[]", r"labels\.jsonl:1: expected an object like"),
        ("", r"labels\.jsonl holds no labels"),
    ],
)
def test_bad_label_files_are_named(tmp_path, content, message):
    (tmp_path / "labels.jsonl").write_text(content + "\n")
    with pytest.raises(DataError, match=message):
        LabelFile(path=tmp_path / "labels.jsonl").check()


def test_a_missing_label_file_and_too_few_labels(sources, tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl does not exist"):
        LabelFile(path=tmp_path / "none.jsonl").check()
    with pytest.raises(
        DataError, match=r"5 documents were labelled relevant and 5 not relevant, but at least 10 "
    ) as caught:
        train(sources, tmp_path, documents=5)
    assert "10 of each are needed (source_labels had 10 candidates and left 0 undecided); sample more" in str(
        caught.value
    )


def test_thresholds_by_target():
    truth = np.array([False] * 6 + [True] * 4)
    scores = np.array([0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 0.4, 0.6, 0.8, 0.9])
    found = curve(truth, scores)
    assert choose_threshold(found, Threshold(precision=1.0)) == 0.75
    assert choose_threshold(found, Threshold(recall=1.0)) == 0.35
    assert choose_threshold(found, Threshold()) == 0.35
    assert [row["threshold"] for row in found.rows(99)] == [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85]
    assert found.rows(99)[3] == {"threshold": 0.35, "precision": 4 / 6, "recall": 1.0, "f1": 0.8}
    assert len(found.rows(3)) == 3
    with pytest.raises(
        DataError,
        match=r"no threshold reaches a precision of 0\.9 on the dev split; the best is 0\.500 at 0\.25\. Label",
    ):
        choose_threshold(curve(np.array([True, False]), np.array([0.5, 0.5])), Threshold(precision=0.9))
    with pytest.raises(DataError, match="the dev split has no relevant document; label more documents"):
        choose_threshold(curve(np.array([False, False]), np.array([0.5, 0.6])), Threshold(recall=0.9))


def test_thresholds_above_0_99_and_between_close_scores_are_found():
    truth = np.array([True] * 19 + [False] * 20)
    scores = np.array([0.98508 + n * 1e-6 for n in range(19)] + [0.98507] + [0.985] * 19)
    at = choose_threshold(curve(truth, scores), Threshold(precision=0.95))
    assert 0.98507 < at <= 0.98508
    assert (scores >= at).sum() == 19
    above = curve(np.array([True, False]), np.array([0.99999, 0.9999]))
    assert choose_threshold(above, Threshold(precision=1.0)) == 0.99995
    neighbours = np.array([np.nextafter(0.5, 1), 0.5])
    assert choose_threshold(curve(np.array([True, False]), neighbours), Threshold(precision=1.0)) == neighbours[0]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=30).filter(
        lambda rows: any(r[0] for r in rows)
    ),
    st.sampled_from(["precision", "recall"]),
    st.floats(0.05, 1),
)
def test_no_other_threshold_is_better(rows, fixed, needed):
    truth, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    free = "recall" if fixed == "precision" else "precision"

    def at(threshold):
        chosen = scores >= threshold
        hits = (truth & chosen).sum()
        return {"precision": hits / max(1, chosen.sum()), "recall": hits / truth.sum()}

    possible = [metrics[free] for metrics in map(at, scores) if metrics[fixed] >= needed]
    if possible:
        metrics = at(choose_threshold(curve(truth, scores), Threshold(**{fixed: needed})))
        assert metrics[fixed] >= needed
        assert metrics[free] == pytest.approx(max(possible))
    else:
        with pytest.raises(DataError, match=f"no threshold reaches a {fixed}"):
            choose_threshold(curve(truth, scores), Threshold(**{fixed: needed}))


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=60))
def test_metrics_agree_with_scikit_learn(pairs):
    from sklearn.metrics import cohen_kappa_score, f1_score

    truth, said = (np.array(column) for column in zip(*pairs, strict=True))
    metrics = classification_metrics(truth, said, 1)
    if metrics["f1"]["value"] is not None:
        assert metrics["f1"]["value"] == pytest.approx(f1_score(truth, said))
        assert metrics["f1"]["low"] <= metrics["f1"]["high"]
    agreement = cohens_kappa(truth, said, 1)["kappa"]["value"]
    if agreement is not None:
        assert agreement == pytest.approx(cohen_kappa_score(truth, said))


def test_lines_do_not_glue_words_together():
    assert normalised("Blue\nkettle 12,5 €\r\nÉtui") == "blue kettle 0 0 0 € étui"


def test_a_model_of_another_label_and_no_model(sources, tmp_path):
    report = train(sources, tmp_path)
    given_model = RelevanceFilter(at_least=0.5, model=tmp_path / "out" / report["model"], label="retail")
    with pytest.raises(DataError, match=r"has no label 'retail'; its labels are"):
        given_model.check()
    with pytest.raises(DataError, match="there is no classifier; write a `relevance` block"):
        RelevanceFilter(below=0.5).judge(Document("1", "x"))
    with pytest.raises(ValueError, match="without a threshold nothing would be dropped"):
        RelevanceFilter()
    with pytest.raises(ValueError, match="nothing fits"):
        RelevanceFilter(at_least=0.5, below=0.5)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ＵＳＢ充電器 2個 ￥1,299", "usb 充電器 0 個 ¥ 0 0 0 0"),
        ("ﾃｰﾌﾞﾙをカートに入れる", "テーブル を カート に 入れる"),
        ("कीमत ₹१२ है", "कीमत ₹ 0 0 है"),
        ("أضف إلى السَّلَّة", "أضف إلى السَّلَّة"),
        ("เก้าอี้ไม้ไผ่", "เก้าอี้ ไม้ไผ่"),
        ("don't cafe\u0301 e-mail", "don t café e mail"),
    ],
)
def test_lines_contain_the_words_of_any_script(text, line):
    assert normalised(text) == line


def test_copies_in_another_form_are_one_example(sources, tmp_path):
    from rexplug import Candidate, Document
    from rexplug.corpus.relevance.train import _labelled

    def labelled(pairs):
        fill = [(f"{word} number", word == "red") for word in ("red", "blue") for _ in range(1)]
        fill += [(f"{'x' * n} {label}", label == "yes") for n in range(1, 12) for label in ("yes", "no")]
        rows = [*pairs, *fill]
        documents = [Candidate("web", Document(str(n), text)) for n, (text, _) in enumerate(rows)]
        return {example.line for example in _labelled(documents, [label for _, label in rows], "files")}

    both = labelled([("ガラスの机", True), ("カ\u3099ラスの机", True), ("Café", True), ("CAFE\u0301", True)])
    assert {"ガラス の 机", "café"} <= both
    assert len(both) == 26
    assert "café" not in labelled([("Café", True), ("cafe", False)])
