"""Whether two tokenizers give the ids that a checkpoint was trained with."""

import json

import pytest
from foreign.tokenizers import BERT, changed, numbered, save, template, wordpiece, words

from rexplug.tokens.preflight import TEXTS, id_conflict


@pytest.fixture
def pair(tmp_path):
    """Writes two tokenizers of the same kind and compares them."""

    def do(ours, theirs, **options):
        for name, each in (("ours", ours), ("theirs", theirs)):
            (tmp_path / name).mkdir()
            each(tmp_path / name)
        return id_conflict(tmp_path / "ours", tmp_path / "theirs", **options)

    return do


def of(*pieces):
    def write(folder):
        fast = words([*BERT, *pieces])
        fast.add_special_tokens(list(BERT))
        save(folder, template(fast, "[CLS]", "[SEP]"), {})

    return write


def test_the_same_ids(pair):
    assert pair(of("oak", "red"), of("oak", "red")) is None


def test_moved_ids_are_reported_with_three_examples(pair):
    assert pair(of("oak", "red", "steel", "lamp"), of("lamp", "oak", "red", "steel")) == (
        "4 of 9 shared tokens have other ids ('oak' is 5 and not 6, 'red' is 6 and not 7, 'steel' is 7 and not 8)"
    )


def test_other_tokens_at_the_same_ids(pair):
    assert pair(of("oak", "red"), of("steel", "red")) == "1 ids stand for other tokens (5 is 'oak' and not 'steel')"


@pytest.mark.parametrize(
    "theirs", [("oak",), ("oak", "[unused0]"), ("oak", "<|reserved_1|>"), ("oak", "more", "at the end")]
)
def test_new_tokens_after_those_of_the_checkpoint_or_in_reserved_ids(pair, theirs):
    ours = ("oak", "more") if len(theirs) == 3 else ("oak", "new")
    assert pair(of(*ours), of(*theirs)) is None


def test_the_same_vocabulary_that_cuts_texts_otherwise(pair):
    def write(cased):
        return lambda folder: save(folder, wordpiece(cased=cased), {})

    found = pair(write(True), write(False), texts=["Red", "Red oak"])
    assert found == (
        f"the tokens are the same, but 2 of {len(TEXTS) + 2} texts are tokenized differently ('Red' in place of 'red', 'Red oak' in "
        "place of 'red oak')"
    )


def test_merges_count(pair):
    def write(merges):
        def put(folder):
            from tokenizers import Tokenizer, models

            pieces = numbered([*BERT, "o", "a", "k", "oa", "ak"])
            fast = Tokenizer(models.BPE(pieces, merges))
            fast.add_special_tokens(list(BERT))
            save(folder, template(fast, "[CLS]", "[SEP]"), {})

        return put

    found = pair(write([("o", "a")]), write([("a", "k")]), texts=["oak"])
    assert found is not None
    assert "'oa k a' in place of 'o ak a'" in found


def test_a_definition_that_says_the_same_in_other_words(pair, tmp_path):
    assert pair(of("oak"), lambda folder: (of("oak")(folder), rewrite(folder))) is None
    assert (tmp_path / "ours/tokenizer.json").read_text() != (tmp_path / "theirs/tokenizer.json").read_text()


def rewrite(folder):
    definition = json.loads((folder / "tokenizer.json").read_text())
    changed(truncation={"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0})(definition)
    (folder / "tokenizer.json").write_text(json.dumps(definition, indent=1))
