import gzip
import json
import math
import os
from pathlib import Path

import pytest

from rexplug import DataError
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import load_suite
from rexplug_ecommerce import (
    AttributeTagging,
    EsciSearch,
    EsciSimilarity,
    IcecatSearch,
    ProductClassification,
    ProductMatching,
    ProductSearch,
    QueryClassification,
)

DATA = Path(os.environ.get("REXPLUG_DATA", "../shared/data"))
needs_data = pytest.mark.skipif(not (DATA / "esci-us-sample").is_dir(), reason="no REXPLUG_DATA with esci-us-sample")


def test_generated_search_is_fixed_and_graded():
    collection = ProductSearch(products=300, queries=30).collection()
    assert collection == ProductSearch(products=300, queries=30).collection()
    assert collection != ProductSearch(products=300, queries=30, seed=2).collection()
    assert collection.synthetic
    assert (len(collection.corpus), len(collection.queries)) == (300, 30)
    for grades in collection.relevance.values():
        assert max(grades.values()) == 3
        assert set(grades.values()) <= {1, 2, 3}


def test_training_queries_are_not_evaluation_queries():
    collection = ProductSearch(products=300, queries=60, pairs=500).collection()
    assert 300 < len(collection.training) <= 500
    assert not {query for query, _ in collection.training} & set(collection.queries.values())
    assert not ProductSearch(products=300, queries=30, pairs=0).collection().training


def write(folder, judgments, products="asin,title,brand\nA,Red shoe,Acme\nB,Sock,\n"):
    (folder / "p.csv").write_text(products)
    (folder / "j.csv").write_text(judgments)
    return {"products": folder / "p.csv", "judgments": folder / "j.csv"}


def query_of(evaluator, part):
    """A query that the hash puts into a part."""
    return next(q for q in (f"red shoe {n}" for n in range(200)) if evaluator.part_of(q) == part)


def test_esci_grades_and_pairs_to_learn_from(tmp_path):
    files = write(tmp_path, "query,docId,esci_label\n")
    dev, train = (query_of(EsciSearch(**files), part) for part in ("dev", "train"))
    files = write(tmp_path, f"query,docId,esci_label\n{dev},A,E\n{dev},B,I\n{train},B,E\n{train},A,S\n")
    collection = EsciSearch(**files, split="dev").collection()
    assert list(collection.relevance.values()) == [{"A": 3, "B": 0}], (
        "judged and irrelevant is not the same as not judged"
    )
    assert collection.corpus == {"A": "Red shoe\nAcme", "B": "Sock"}
    assert collection.training == [(train, "Sock")], "exact products of train queries alone"
    assert collection.candidates is None
    again = EsciSearch(**files, split="dev", rerank=True)
    assert list(again.collection().candidates.values()) == [["A", "B"]]
    assert (EsciSearch(**files).label, again.label) == ("ecommerce.esci", "ecommerce.esci.rerank")


@pytest.mark.slow
def test_ndcg_of_the_kdd_cup_by_hand(tmp_path):
    """BM25 ranks by the words in common: here a substitute, an exact one, an irrelevant one, a complement, an exact one."""
    from rexplug.evaluation.harness import Context, EvaluationData
    from rexplug.evaluation.lexical import LexicalModel

    files = write(tmp_path, "query,docId,esci_label\n")
    query = query_of(EsciSearch(**files), "test")
    words = query.split()
    titles = {
        "s": " ".join(words), "e1": f"{words[0]} {words[1]} lamp", "i": f"{words[0]} oak lamp",
        "c": f"{words[0]} oak lamp stand for halls", "e2": "green sandal",
    }  # fmt: skip
    products = "asin,title,brand\n" + "".join(f"{key},{title},\n" for key, title in titles.items())
    judgments = "query,docId,esci_label\n" + "".join(f"{query},{key},{key[0].upper()}\n" for key in titles)
    files = write(tmp_path, judgments, products)

    def metrics(rerank):
        context = Context(LexicalModel("bm25"), EvaluationData({}, 1), tmp_path / str(rerank))
        return EsciSearch(**files, split="test", rerank=rerank).evaluate(context).metrics

    def ndcg(exact, substitute, complement):
        dcg = substitute + exact / math.log2(3) + complement / math.log2(5) + exact / math.log2(6)
        return dcg / (exact + exact / math.log2(3) + substitute / 2 + complement / math.log2(5))

    found = metrics(rerank=True)
    assert found["ndcg_kddcup"].value == pytest.approx(ndcg(1, 0.1, 0.01), abs=1e-5)
    assert found["ndcg_at_10"].value == pytest.approx(ndcg(3, 2, 1), abs=1e-5)
    assert "ndcg_at_10_kddcup" not in found
    searched = metrics(rerank=False)
    assert searched["ndcg_at_10_kddcup"].value == pytest.approx(ndcg(1, 0.1, 0.01), abs=1e-5)
    assert "ndcg_kddcup" not in searched


def test_esci_labels_are_degrees(tmp_path):
    files = write(tmp_path, "query,docId,esci_label\n")
    rows = [f"{query_of(EsciSimilarity(**files), part)},{p},{label}" for part, p, label in (
        ("train", "A", "E"), ("dev", "A", "S"), ("test", "A", "C"), ("test", "B", "I"),
    )]  # fmt: skip
    task = EsciSimilarity(**write(tmp_path, "query,docId,esci_label\n" + "\n".join(rows) + "\n")).task()
    assert [(e.label, e.second) for e in (*task.train, *task.dev, *task.test)] == [
        (1.0, "Red shoe"), (0.66, "Red shoe"), (0.33, "Red shoe"), (0.0, "Sock"),
    ]  # fmt: skip
    assert task.test[0].group == task.test[1].group == task.test[0].text


def test_esci_says_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match=r"j.csv:2: there is no column esci_label; it has query, docId"):
        EsciSearch(**write(tmp_path, "query,docId\nx,A\n")).check()
    with pytest.raises(DataError, match=r"j.csv:2: label 'Z' is not one of E, S, C and I"):
        EsciSearch(**write(tmp_path, "query,docId,esci_label\nx,A,Z\n")).collection()
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        EsciSearch(products=tmp_path / "none.csv", judgments=tmp_path / "j.csv").check()
    with pytest.raises(DataError, match=r"is not .jsonl, .csv or .tsv"):
        EsciSearch(products=tmp_path / "p.xlsx", judgments=tmp_path / "j.csv").check()
    with pytest.raises(DataError, match=r"p.csv is empty"):
        EsciSearch(**write(tmp_path, "query,docId,esci_label\nx,A,E\n", products="asin,title\n")).check()


def test_icecat_grades_and_pairs_to_learn_from(tmp_path):
    products = "id,title,short_description\n1,Ink,Black ink\n2,Toner,\n3,Paper,A4\n"
    files = write(tmp_path, "query,docid,rating\n", products)
    test, dev, train = (query_of(IcecatSearch(**files), part) for part in ("test", "dev", "train"))
    rows = [(test, 1, 3), (test, 2, 1), (dev, 1, 2), (dev, 2, 0), (train, 1, 0), (train, 1, 2), (train, 2, 3)]
    files = write(tmp_path, "query,docid,rating\n" + "".join(f"{q},{p},{grade}\n" for q, p, grade in rows), products)
    collection = IcecatSearch(**files, split="test").collection()
    assert list(collection.queries.values()) == [test]
    assert list(collection.relevance.values()) == [{"1": 3, "2": 1}]
    assert collection.corpus == {"1": "Ink\nBlack ink", "2": "Toner"}, "judged products alone"
    assert collection.training == [(train, "Toner")], "products of grade 3 of train queries alone"
    assert collection.dev == {dev: {"1": 2, "2": 0}}
    assert IcecatSearch(**files, split="dev").collection().dev == {}, "never the queries that are reported"


def test_icecat_reports_what_is_wrong(tmp_path):
    products = "id,title\n1,Ink\n"
    with pytest.raises(DataError) as caught:
        IcecatSearch(**write(tmp_path, "query,docid,rating\nx,1,4\n", products)).collection()
    assert str(caught.value) == f"ecommerce.icecat: {tmp_path}/j.csv:2: rating '4' is not a whole number from 0 to 3"
    with pytest.raises(DataError, match=r"j.csv:2: there is no column rating; it has query, docid"):
        IcecatSearch(**write(tmp_path, "query,docid\nx,1\n", products)).check()
    with pytest.raises(DataError) as caught:
        IcecatSearch(**write(tmp_path, "query,docid,rating\nx,1,0\n", products)).collection()
    assert str(caught.value) == (
        f"ecommerce.icecat: no dev query of {tmp_path}/j.csv has a relevant product in {tmp_path}/p.csv"
    )


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_matching_takes_the_training_set_of_its_size(tmp_path):
    def row(split, label):
        return {
            "split": split,
            "label": label,
            "left": {"title": "a", "price": "3"},
            "right": {"title": "b", "price": ""},
        }

    rows = [row("train.small", 1), row("train.medium", 0), row("valid.medium", 1), row("test", 0)]
    path = jsonl(tmp_path / "wdc__Cameras.jsonl", rows)
    task = ProductMatching(data=path).task()
    assert (len(task.train), len(task.dev), len(task.test)) == (1, 1, 1)
    assert (task.train[0].text, task.train[0].second, task.train[0].label) == ("a 3", "b", "0")
    assert ProductMatching(data=path).label == "ecommerce.product_matching.wdc-cameras"
    with pytest.raises(DataError) as caught:
        ProductMatching(data=jsonl(tmp_path / "x.jsonl", [row("holdout", 1)])).task()
    assert str(caught.value) == (
        f"ecommerce.product_matching: {tmp_path}/x.jsonl:1: split 'holdout' is not one of train, valid and test"
    )


def test_offers_of_a_product_stay_in_one_split(tmp_path):
    rows = "".join(f"phone {n},{n // 4},Phones\n" for n in range(200))
    (tmp_path / "t.csv").write_text("product_title,cluster_id,category_label\n" + rows)
    task = ProductClassification(data=tmp_path / "t.csv").task()
    clusters = [{int(e.text.split()[1]) // 4 for e in part} for part in (task.train, task.dev, task.test)]
    assert not clusters[0] & clusters[2]
    assert not clusters[0] & clusters[1]
    assert sum(map(len, clusters)) == 50


def test_rare_query_classes_are_left_out_and_the_others_are_everywhere(tmp_path):
    rows = (
        "".join(f"{n}\tquery {n}\t{'Beds' if n % 2 else 'Rugs'}\n" for n in range(40)) + "99\todd\tAnvils\n98\tnone\t\n"
    )
    (tmp_path / "query.csv").write_text("query_id\tquery\tquery_class\n" + rows)
    task = QueryClassification(data=tmp_path / "query.csv").task()
    for part in (task.train, task.dev, task.test):
        assert {e.label for e in part} == {"Beds", "Rugs"}
    assert len(task.train) + len(task.dev) + len(task.test) == 40


def test_attributes_are_marked_at_their_characters(tmp_path):
    row = {
        "input": "Acme red patent shoe red 14 M",
        "target_scores": {"Color": {"red": 1}, "Finish": {"red patent": 1}, "Size": {"14 M": 1}, "Brand": {"n/a": 1}},
    }
    (text,) = [
        t
        for part in ("train", "dev", "test")
        for t in getattr(AttributeTagging(data=jsonl(tmp_path / "a.jsonl", [row])).task(), part)
    ]
    assert [(text.text[a:b], label) for a, b, label in text.spans] == [
        ("red patent", "Finish"),
        ("red", "Color"),
        ("14 M", "Size"),
    ]
    assert text.spans[1][0] == 21, "the longer value has the first place"


def test_values_are_whole_words(tmp_path):
    title = "Mens 3D Printed Jersey for Men, 14 Pack "
    values = {"Gender": {"Men": 1}, "Pattern": {"Print": 1}, "Count": {"14 Pack ": 1}, "Size": {"4": 1}}
    task = AttributeTagging(data=jsonl(tmp_path / "a.jsonl", [{"input": title, "target_scores": values}])).task()
    (text,) = [text for part in ("train", "dev", "test") for text in getattr(task, part)]
    assert [(a, title[a:b], label) for a, b, label in text.spans] == [
        (8, "Printed", "Pattern"),
        (27, "Men", "Gender"),
        (32, "14 Pack", "Count"),
    ]


@needs_data
@pytest.mark.parametrize("table", ["oa-mine__train", "ae-110k__test"])
def test_every_span_can_be_found_by_tags_of_tokens(table):
    """Nothing is cut off, and spans end inside a token only where it consists of several punctuation marks, such as `),`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from rexplug.evaluation.spans import spans_of_tags, tags_of_spans

    evaluator = AttributeTagging(data=DATA / f"attribute-extraction/{table}.jsonl.zst")
    assert evaluator.tuning.max_tokens is None
    task = evaluator.task()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([text.text for text in task.train], trainer)
    labels = sorted({label for text in task.train for _, _, label in text.spans})
    longest, lost = 0, []
    for text in task.test:
        spans = [span for span in text.spans if span[2] in labels]
        offsets = tokenizer.encode(text.text).offsets
        longest = max(longest, len(offsets))
        found = spans_of_tags(text.text, offsets, tags_of_spans(spans, offsets, labels), labels)
        lost += [text.text[start - 1 : end + 1] for start, end, _ in set(spans) - found]
    assert longest > 64
    assert len(lost) <= 1
    assert all(text.endswith("),") for text in lost)


def test_a_column_that_is_not_there_is_named(tmp_path):
    with gzip.open(tmp_path / "q.csv.gz", "wt") as file:
        file.write("query,class\na,b\n")
    with pytest.raises(DataError) as caught:
        QueryClassification(data=tmp_path / "q.csv.gz").check()
    assert str(caught.value) == (
        f"ecommerce.query_classification: {tmp_path}/q.csv.gz:2: there is no column query_class; it has query, class"
    )


@needs_data
def test_esci_sample_loads():
    files = {name: DATA / "esci-us-sample" / file for name, file in (
        ("products", "products.jsonl.zst"), ("judgments", "judgments.csv.gz"),
    )}  # fmt: skip
    dev, test = (EsciSearch(**files, split=split).collection() for split in ("dev", "test"))
    assert len(dev.queries) >= 10
    assert len(test.queries) >= 20
    assert not set(dev.queries) & set(test.queries)
    assert {query for query, _ in dev.training}.isdisjoint({*dev.queries.values(), *test.queries.values()})
    assert len(dev.corpus) == len(test.corpus) > 4000


@needs_data
def test_icecat_loads():
    folder = DATA / "chorus-icecat"
    files = {"products": folder / "products.jsonl.zst", "judgments": folder / "ratings.csv.gz"}
    dev, test = (IcecatSearch(**files, split=split).collection() for split in ("dev", "test"))
    assert len(dev.queries) >= 8
    assert len(test.queries) >= 15
    assert {query for query, _ in dev.training}.isdisjoint({*dev.queries.values(), *test.queries.values()})
    assert len(test.corpus) > 1500


@needs_data
def test_every_evaluator_of_the_suite_finds_its_data():
    suite = load_suite("ecommerce", DATA.resolve(), load_plugins())
    for evaluator in suite.evaluators:
        evaluator.check()
        if hasattr(evaluator, "task"):
            task = evaluator.task()
            assert min(len(task.train), len(task.dev), len(task.test)) > 15, evaluator.label
    labels = [evaluator.label for evaluator in suite.evaluators]
    assert len(set(labels)) == len(labels)


@needs_data
def test_attributes_of_real_titles_are_found():
    task = AttributeTagging(data=DATA / "attribute-extraction" / "oa-mine__train.jsonl.zst").task()
    spans = [span for text in task.train for span in text.spans]
    assert len(spans) > 2 * len(task.train)
    assert len({label for _, _, label in spans}) == 12
