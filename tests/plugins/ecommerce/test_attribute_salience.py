import gzip
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from rexplug import DataError, TokenizedDocument
from rexplug_ecommerce import AttributeSalience

DATA = Path(os.environ.get("REXPLUG_DATA", "../shared/data"))


def found(text, **options):
    return [(text[s.start : s.end], s.attribute) for s in AttributeSalience(**options).spans(text)]


def tokenized(text, offsets):
    count = len(offsets)
    return TokenizedDocument(
        "1", text, np.zeros(count, np.uint32), np.array(offsets, np.uint32).reshape(-1, 2), np.ones(count, bool)
    )


def test_every_attribute_is_found():
    assert found("Norvale Drift NRD-404 trail running shoe, navy, mesh, XL, weight 230 g") == [
        ("Norvale", "brand"),
        ("NRD-404", "model_number"),
        ("trail running shoe", "category"),
        ("navy", "colour"),
        ("mesh", "material"),
        ("XL", "size"),
        ("230 g", "measure"),
    ]


def test_labels_and_terms():
    assert found("Brand: Foo Bar\nSize: 42") == [("Foo Bar", "brand"), ("42", "size")]
    assert found("an Acme and an acme", terms={"brand": ("Acme",)}) == [("Acme", "brand")]
    assert found("red shoes 500 ml", attributes=("measure",)) == [("500 ml", "measure")]
    assert found("the committee argued for hours") == []


def test_tokens_of_a_value_score_alike_and_neighbours_differ():
    text = "buy navy mesh 500 ml"
    #                     buy     _navy   _me      sh        _500      _ml
    scores = AttributeSalience().score(tokenized(text, [(0, 3), (3, 8), (8, 11), (11, 13), (13, 17), (17, 20)]))
    assert scores.tolist() == [0, 255, 254, 254, 255, 255]
    assert scores.dtype == np.uint8
    assert AttributeSalience().score(tokenized("", [])).shape == (0,)


def test_taxonomy_adds_categories(tmp_path):
    path = tmp_path / "taxonomy.txt.gz"
    path.write_bytes(gzip.compress(b"# comment\nid/1 : Home > Widgets & Gizmos\n"))
    assert found("two gizmos", taxonomies=(path,)) == [("gizmos", "category")]
    with pytest.raises(DataError, match=r"cannot read the taxonomy .*none\.txt"):
        found("x", taxonomies=(tmp_path / "none.txt",))


@pytest.mark.skipif(not (DATA / "attribute-extraction").is_dir(), reason="no REXPLUG_DATA with attribute-extraction")
def test_precision_on_real_titles():
    import zstandard

    marked = right = 0
    with (DATA / "attribute-extraction" / "oa-mine__train.jsonl.zst").open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
        for line, _ in zip(lines, range(400), strict=False):
            row = json.loads(line)
            values = " | ".join(v for scores in row["target_scores"].values() for v in scores if v != "n/a").lower()
            for value, _attribute in found(row["input"]):
                marked += 1
                right += value.lower() in values
    # A marked span counts as right when it lies in an annotated value of the title.
    print(f"\n{right} of {marked} marked spans lie in annotated values: precision {right / marked:.3f}")  # noqa: T201
    assert marked > 400
    assert right / marked > 0.6
