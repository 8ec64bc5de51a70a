"""A run compares the token ids of its tokenizer with those of the starting checkpoint."""

import pytest
from foreign.tokenizers import BERT, changed, save, slow_only, wordpiece

from rexplug import DataError
from rexplug.pipeline.preflight.checkpoint_ids import require_learnt_ids
from rexplug.recipe.schema import Model


@pytest.fixture
def compare(tmp_path):
    """Writes the tokenizer of a run and of a checkpoint, and compares them."""

    def do(ours, theirs, texts=(), resize=False):
        for name, write in (("ours", ours), ("theirs", theirs)):
            (tmp_path / name).mkdir()
            write(tmp_path / name)
        model = Model.model_validate({"from": str(tmp_path / "theirs"), "resize_vocabulary": resize})
        return require_learnt_ids(model, tmp_path / "ours", texts)

    return do


def cased(folder):
    save(folder, wordpiece(cased=True), {})


def swapped(folder):
    pieces = [*BERT, "Red", "red", "oak", ",", "4", "##2"]
    save(folder, wordpiece(cased=True), {}, changed(model_vocab={piece: i for i, piece in enumerate(pieces)}))


def test_a_checkpoint_with_only_vocab_txt_is_compared_too(compare):
    assert compare(cased, slow_only) is None


def test_swapped_ids_are_refused(compare, tmp_path):
    with pytest.raises(DataError) as refused:
        compare(swapped, slow_only)
    assert str(refused.value) == (
        f"model.from: '{tmp_path}/theirs' was trained with other ids than the tokenizer has: 2 of 11 shared tokens have other ids "
        f"('Red' is 5 and not 6, 'red' is 6 and not 5); use the checkpoint's own tokenizer (tokenizer: {{from: {tmp_path}/theirs}})"
    )


def test_texts_of_the_corpus_decide_where_the_vocabulary_is_the_same(compare):
    def of_one_word_less(folder):
        normalizer = {"type": "Replace", "pattern": {"String": "zinc oak"}, "content": "oak"}
        save(folder, wordpiece(cased=True), {}, changed(normalizer=normalizer))

    with pytest.raises(
        DataError, match="2 of 8 texts are tokenized differently .*, 'oak' in place of '\\[UNK\\] oak'\\)"
    ):
        compare(of_one_word_less, cased, ["Red oak", "zinc oak"])


def test_a_checkpoint_without_a_tokenizer(compare, tmp_path):
    assert compare(cased, lambda folder: None) == (
        f"model.from: '{tmp_path}/theirs' has no tokenizer.json, so that its ids cannot be compared with those of the "
        "recipe's tokenizer"
    )
