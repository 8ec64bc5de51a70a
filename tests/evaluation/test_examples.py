"""Tables of examples: how they are read, split and checked."""

import pytest

from rexplug import DataError
from rexplug.evaluation.examples import Classification, Similarity


def test_tables_are_split_by_text_and_read_without_header(tmp_path):
    (tmp_path / "all.tsv").write_text("".join(f'n{i}\t{i % 5}\tone "{i}\ttwo {i}\n' for i in range(300)))
    evaluator = Similarity(train=tmp_path / "all.tsv", columns=("id", "score", "sentence1", "sentence2"), title="toy")
    evaluator.check()
    task = evaluator.task()
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


def test_a_degree_that_is_not_a_number_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("sentence1,sentence2,score\na,b,much\n")
    evaluator = Similarity(train=tmp_path / "t.csv")
    with pytest.raises(DataError) as caught:
        evaluator.task()
    assert str(caught.value) == f"{tmp_path}/t.csv:2: score is 'much', which is not a number"
