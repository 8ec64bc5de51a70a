import os
from pathlib import Path

import pytest

from rexplug import DataError
from rexplug_ecommerce import Esci, ProductSearch
from rexplug_ecommerce.esci import split_of

DATA = Path(os.environ.get("REXPLUG_DATA", "../shared/data")) / "esci-us-sample"


def test_generated_search_is_fixed_and_graded():
    made = ProductSearch(products=300, queries=30).collection()
    assert made == ProductSearch(products=300, queries=30).collection()
    assert made != ProductSearch(products=300, queries=30, seed=2).collection()
    assert made.synthetic
    assert (len(made.corpus), len(made.queries)) == (300, 30)
    for grades in made.relevance.values():
        assert max(grades.values()) == 3
        assert set(grades.values()) <= {1, 2, 3}


def write(folder, judgments, products="asin,title,brand\nA,Red shoe,Acme\nB,Sock,\n"):
    (folder / "p.csv").write_text(products)
    (folder / "j.csv").write_text(judgments)
    return {"products": folder / "p.csv", "judgments": folder / "j.csv"}


def test_esci_grades(tmp_path):
    files = write(tmp_path, "query,docId,esci_label\nred shoe,A,E\nred shoe,B,I\n")
    made = Esci(**files, split=split_of("red shoe")).collection()
    assert list(made.relevance.values()) == [{"A": 3}]
    assert made.corpus == {"A": "Red shoe\nAcme", "B": "Sock"}


def test_esci_says_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match="has no column esci_label; it has query, docId"):
        Esci(**write(tmp_path, "query,docId\nx,A\n")).check()
    with pytest.raises(DataError, match="label 'Z' is none of E, S, C, I"):
        Esci(**write(tmp_path, "query,docId,esci_label\nx,A,Z\n")).collection()
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        Esci(products=tmp_path / "none.csv", judgments=tmp_path / "j.csv").check()
    with pytest.raises(DataError, match=r"is neither .jsonl nor .csv"):
        Esci(products=tmp_path / "p.tsv", judgments=tmp_path / "j.csv").check()


@pytest.mark.skipif(not DATA.is_dir(), reason="no REXPLUG_DATA with esci-us-sample")
def test_esci_sample_loads():
    files = {"products": DATA / "products.jsonl.zst", "judgments": DATA / "judgments.csv.gz"}
    dev, test = (Esci(**files, split=split).collection() for split in ("dev", "test"))
    assert len(dev.queries) + len(test.queries) == 101
    assert not set(dev.queries) & set(test.queries)
    assert set(map(len, (dev.corpus, test.corpus))) == {len(dev.corpus)}
