"""Evaluators on documents: long ones by position, and the shape of embeddings; tables of examples."""

import numpy as np
import pytest

from rexplug import DataError, Document, NotApplicable
from rexplug.evaluation.evaluators import Classification, EmbeddingGeometry, LongDocuments, Similarity
from rexplug.evaluation.examples import read_examples


class Counting:
    """Restores a masked token if it stands before `reach`."""

    def __init__(self, tokenizer, texts, reach, max_tokens=8192):
        self.tokenizer, self.texts, self.reach, self.max_tokens = tokenizer, texts, reach, max_tokens

    def predict_masked(self, rows, positions, top=1):
        found = []
        for text, places in zip(self.texts, positions, strict=True):
            truth = np.array(self.tokenizer(text)["input_ids"])
            found.append(np.where(places < self.reach, truth[places], 0)[:, None])
        return found


@pytest.fixture
def long(fine):
    return [Document(f"d{n}", " ".join(f"w{n}x{i}" for i in range(400))) for n in range(3)]


def test_recovery_is_told_apart_by_position(Setting, fine, long):
    encoder = Counting(fine, [d.text for d in long], 512)
    evaluator = LongDocuments(min_words=100, edges=(0, 512, 1024, 2048))
    result = evaluator.evaluate(Setting(encoder, {"web": long}))
    assert list(result.metrics) == ["0-512", "512-1024", "1024-2048"]
    # A word that straddles the reach is lost, hence not quite one.
    assert result.metrics["0-512"].value > 0.95
    assert result.metrics["512-1024"].value == result.metrics["1024-2048"].value == 0.0
    assert result.main == "1024-2048"
    assert sum(m.num_items for m in result.metrics.values()) <= 3 * 60


def test_stretches_beyond_a_models_reach_are_left_out(Setting, fine, long):
    evaluator = LongDocuments(min_words=100, edges=(0, 256, 512, 1024))
    result = evaluator.evaluate(Setting(Counting(fine, [d.text for d in long], 0, max_tokens=600), {"web": long}))
    assert list(result.metrics) == ["0-256", "256-512"]
    with pytest.raises(NotApplicable) as caught:
        evaluator.evaluate(Setting(Counting(fine, [], 0, max_tokens=300), {"web": long}))
    assert str(caught.value) == "the model reads 300 tokens at most, less than two of the stretches"
    with pytest.raises(DataError) as caught:
        LongDocuments(min_words=9000).evaluate(Setting(Counting(fine, [], 0), {"web": long}))
    assert str(caught.value) == "long_documents: no document has 9,000 words; lower min_words"


def test_edges_rise():
    with pytest.raises(ValueError, match="edges rise, and there are at least three of them"):
        LongDocuments(edges=(0, 512, 256))


class Placed:
    """Puts a text where its first word says, with a common part of the given size."""

    max_tokens = 512

    def __init__(self, common):
        self.common = common

    def encode(self, texts):
        places = np.array(
            [[hash(t.split()[0]) % 2**20 % 97, hash(t.split()[0]) % 2**18 % 89, 1] for t in texts], np.float32
        )
        return places - places.mean(0) + self.common * np.array([50, 50, 50], np.float32)


def test_a_narrow_cone_is_seen_and_the_order_kept(Setting):
    documents = {
        source: [Document(f"{source}{n}", " ".join([f"{source}{n}"] * 20)) for n in range(12)]
        for source in ("web", "shop")
    }
    wide, narrow = (EmbeddingGeometry().evaluate(Setting(Placed(c), documents)) for c in (0.0, 40.0))
    assert narrow.metrics["anisotropy"].value > 0.99 > 0.5 > wide.metrics["anisotropy"].value
    # Both halves of a document lie at one place.
    assert wide.main == "order"
    assert wide.metrics["order"].value > 0.6
    assert narrow.metrics["centred.order"].value == pytest.approx(wide.metrics["centred.order"].value, abs=0.05)


def test_tables_are_split_by_text_and_read_without_header(tmp_path):
    (tmp_path / "all.tsv").write_text("".join(f'n{i}\t{i % 5}\tone "{i}\ttwo {i}\n' for i in range(300)))
    evaluator = Similarity(train=tmp_path / "all.tsv", columns=("id", "score", "sentence1", "sentence2"), title="toy")
    evaluator.check()
    task = read_examples(evaluator, evaluator.text_columns, degrees=True)
    assert task.name == "similarity.toy"
    assert len(task.train) + len(task.dev) + len(task.test) == 300
    assert 30 < len(task.test) < 90
    assert 10 < len(task.dev) < 55
    assert not {e.text for e in task.train} & {e.text for e in task.test}
    assert task.train[0].text.startswith('one "'), "quotes have no meaning without a header"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("text,label\n", {}, "t.csv is empty"),
        ("text,lable\na,b\n", {}, "t.csv:2: there is no column label; it has text, lable"),
        ("text,label\na\n", {}, "t.csv:2: 1 fields where 2 are expected (text, label)"),
    ],
)
def test_bad_tables_are_named(tmp_path, text, options, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        Classification(train=tmp_path / "t.csv", **options).check()
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_a_degree_that_is_no_number_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("sentence1,sentence2,score\na,b,much\n")
    evaluator = Similarity(train=tmp_path / "t.csv")
    with pytest.raises(DataError) as caught:
        read_examples(evaluator, evaluator.text_columns, degrees=True)
    assert str(caught.value) == f"{tmp_path}/t.csv:2: score is 'much', which is no number"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"a", "is not .jsonl, .csv or .tsv (.gz, .bz2 and .zst may follow)"),
        ("x.csv", None, "No such file or directory"),
        ("x.csv.gz", b"no gzip", "Not a gzipped file"),
        ("x.jsonl.zst", b"no zstd", "cannot read"),
        ("x.jsonl", b'{"a": "\xff"}\n', "can't decode byte 0xff"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, message):
    from rexplug import read_records

    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_records(tmp_path / name))
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
