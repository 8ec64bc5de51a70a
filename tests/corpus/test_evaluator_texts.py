"""Text of every evaluator's test split is found in training documents; text that it learns from is not."""

import json

import pytest

from rexplug import Document, Evaluator
from rexplug.corpus.compared import text_options, why_not_compared
from rexplug.corpus.decontaminate import Decontaminate, build_index
from rexplug.evaluation.mteb_named import split_texts
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe.schema import Decontamination

REGISTRY = load_plugins()


def words(kind, number, count=14):
    """A text that shares no word with any other."""
    return " ".join(f"{kind}{number}x{place}" for place in range(count))


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make(name, **options):
    return REGISTRY.find(Evaluator, name).model_validate(options, context={"components": REGISTRY})


def pairs(folder, label, **columns):
    """A table of 60 pairs without splits."""
    return write(folder / "pairs.jsonl", [
        {"sentence1": words("one", n), "sentence2": words("two", n), label: n % 2} for n in range(60)
    ])  # fmt: skip


def beir(folder, **more):
    write(folder / "corpus.jsonl", [{"_id": f"d{n}", "title": "", "text": words("product", n)} for n in range(3)])
    write(folder / "queries.jsonl", [{"_id": f"q{n}", "text": words("query", n)} for n in range(3)])
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in range(3)))
    write(folder / "train.jsonl", [{"query": words("asked", 1), "text": words("answer", 1)}])
    return folder


def esci(folder):
    write(folder / "products.jsonl", [
        {"asin": f"p{n}", "title": words("title", n, 10), "brand": f"brand{n}", "color": f"colour{n}"} for n in range(40)
    ])  # fmt: skip
    write(folder / "judgments.jsonl", [
        {"query": words("query", n, 9), "docId": f"p{n}", "esci_label": "E"} for n in range(40)
    ])  # fmt: skip
    return {"products": folder / "products.jsonl", "judgments": folder / "judgments.jsonl"}


def icecat(folder):
    write(folder / "products.jsonl", [
        {"id": f"p{n}", "title": words("title", n, 10), "short_description": words("about", n, 9)} for n in range(40)
    ])  # fmt: skip
    write(folder / "ratings.jsonl", [
        {"query": words("query", n, 9), "docid": f"p{n}", "rating": 3} for n in range(40)
    ])  # fmt: skip
    return {"products": folder / "products.jsonl", "judgments": folder / "ratings.jsonl"}


def own_texts(folder):
    write(folder / "texts.jsonl", [{"text": words("held", n)} for n in range(9)])
    return {"texts": {"own": {"use": "jsonl", "paths": str(folder / "texts.jsonl")}}, "documents": 3}


def mteb(folder, kind, rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.yaml").write_text(f"type: {kind}\n")
    write(folder / "test.jsonl", rows("test"))
    write(folder / "train.jsonl", rows("train"))
    return {"folder": folder}


def of_mteb(folder, kind):
    columns = {
        "sts": lambda s: [
            {"sentence1": words(f"{s}a", n), "sentence2": words(f"{s}b", n), "score": n} for n in range(3)
        ],
        "pair_classification": lambda s: [
            {"sentence1": words(f"{s}a", n), "sentence2": words(f"{s}b", n), "label": n % 2} for n in range(3)
        ],
        "classification": lambda s: [{"text": words(s, n), "label": str(n % 2)} for n in range(3)],
    }
    return mteb(folder / kind, kind, columns[kind])


def matching(folder):
    write(folder / "offers.jsonl", [
        {
            "split": split, "label": n % 2, "left": {"brand": f"{split}brand{n}", "title": words(f"{split}left", n, 9)},
            "right": {"brand": f"{split}maker{n}", "title": words(f"{split}right", n, 9)},
        }
        for split in ("train", "valid", "test")
        for n in range(4)
    ])  # fmt: skip
    return {"data": folder / "offers.jsonl"}


def table(folder, **columns):
    rows = [{name: value(n) for name, value in columns.items()} for n in range(60)]
    return {"data": write(folder / "table.jsonl", rows)}


CASES = {
    "masked_recovery": own_texts,
    "validation_loss": own_texts,
    "long_documents": own_texts,
    "embedding_geometry": own_texts,
    "value_recovery": lambda f: {
        "paths": table(
            f, input=lambda n: words("title", n), target_scores=lambda n: {"Brand": {f"title{n}x0": 1}}
        )["data"]
    },
    "retrieval": lambda f: {"folder": beir(f / "task")},
    "mteb": lambda f: of_mteb(f, "sts"),
    "mteb pairs": lambda f: of_mteb(f, "pair_classification"),
    "mteb classes": lambda f: of_mteb(f, "classification"),
    "mteb retrieval": lambda f: {"folder": mteb(beir(f / "task"), "retrieval", lambda s: [])["folder"]},
    "similarity": lambda f: {"train": pairs(f, "score")},
    "pair_classification": lambda f: {"train": pairs(f, "label")},
    "classification": lambda f: {"train": pairs(f, "label"), "text_columns": ["sentence1"]},
    "classification test": lambda f: {
        "train": pairs(f, "label"), "text_columns": ["sentence1"],
        "test": write(f / "test.jsonl", [{"sentence1": words("test", n), "label": "1"} for n in range(3)]),
    },
    "ecommerce.esci": esci,
    "ecommerce.esci rerank": lambda f: {**esci(f), "rerank": True},
    "ecommerce.esci_similarity": esci,
    "ecommerce.icecat": icecat,
    "ecommerce.product_search": lambda f: {"products": 20, "queries": 5},
    "ecommerce.product_matching": matching,
    "ecommerce.product_classification": lambda f: table(
        f, product_title=lambda n: words("title", n), category_label=lambda n: "a", cluster_id=lambda n: str(n)
    ),
    "ecommerce.query_classification": lambda f: table(f, query=lambda n: words("query", n), query_class=lambda n: "a"),
    "ecommerce.attribute_tagging": lambda f: table(
        f, input=lambda n: words("title", n), target_scores=lambda n: {"Brand": {f"title{n}x0": 1}}
    ),
}  # fmt: skip


def test_every_evaluator_is_looked_at_here():
    known = {entry.component.name for entry in REGISTRY.of_kind(Evaluator)}
    assert known == {case.split()[0] for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_text_of_the_test_split_is_found_and_text_to_learn_from_is_not(case, tmp_path):
    evaluator = make(case.split()[0], **CASES[case](tmp_path))
    assert why_not_compared([evaluator], "evaluators") == {}
    texts = evaluator.test_texts()
    judge = Decontaminate(index=build_index({evaluator.label: evaluator}, Decontamination(), tmp_path / "index")).judge
    long = [text for text in texts.values() if len(text.split()) >= 8]
    assert long
    for text in long:
        verdict = judge(Document("page", f"It was said before. {text.upper()}, and it was said after."))
        assert verdict.reason == f"text of {evaluator.label}"
    if hasattr(evaluator, "task"):
        task = evaluator.task()
        learnt = {example.text for example in (*task.train, *task.dev)}
        assert learnt
        assert all(judge(Document("page", f"Before. {text} after.")).keep for text in learnt - set(texts.values()))
        assert {example.text for example in task.test} <= set(texts.values())


def test_an_offer_is_found_by_its_title_without_the_brand(tmp_path):
    for name, options, title in (
        ("ecommerce.product_matching", matching(tmp_path), words("testleft", 2, 9)),
        ("ecommerce.esci", esci(tmp_path), words("title", 5, 10)),
    ):
        evaluator = make(name, **options)
        index = build_index({evaluator.label: evaluator}, Decontamination(), tmp_path / name)
        assert Decontaminate(index=index).judge(
            Document("page", f"We sell {title} today.")
        ).reason == f"text of {name}" + (".offers" if "data" in options else "")


def test_evaluators_on_held_out_documents_say_why_they_have_no_texts():
    held_out = [make(name) for name in ("masked_recovery", "validation_loss", "long_documents", "embedding_geometry")]
    said = why_not_compared(held_out, "evaluators")
    assert set(said.values()) == {"it measures on documents that the run holds out after curation"}
    assert said.keys() == {evaluator.label for evaluator in held_out}


def test_another_fine_tune_does_not_redo_the_corpus(tmp_path):
    few, many = (make("similarity", train=pairs(tmp_path, "score"), tuning={"steps": n}) for n in (1, 2))
    assert text_options(few) == text_options(many)
    assert text_options(few) != text_options(make("similarity", train=tmp_path / "other.jsonl"))


def test_texts_of_mteb_data_of_any_shape():
    from datasets import Dataset

    test = Dataset.from_list([{"sentence": "two words", "label": 1, "more": ["three more words", "one"]}])
    train = Dataset.from_list([{"sentence": "not these words", "label": 1, "more": []}])
    corpus = Dataset.from_list([{"id": "d1", "text": "a document here"}])
    data = {
        "en": {"train": train, "test": test},
        "default": {"test": {"corpus": corpus, "relevant_docs": {"q": {"d1": 1}}, "top_ranked": None}},
    }
    assert dict(split_texts(data, ["test"])) == {
        "en/test/0.sentence": "two words",
        "en/test/0.more.0": "three more words",
        "default/test/corpus/0.text": "a document here",
    }
