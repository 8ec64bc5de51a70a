"""Masked-word recovery: which words are masked, and when one counts as restored."""

import re

import pytest
from pydantic import ValidationError

from rexplug import DataError, Document
from rexplug.evaluation.recovery import MaskedRecovery, choose_words


@pytest.mark.parametrize("always_wrong", [False, True])
def test_always_right_scores_one_and_always_wrong_scores_zero(Oracle, Setting, documents, coarse, always_wrong):
    setting = Setting(
        Oracle(coarse, always_wrong=always_wrong), {"web": documents}, salient=["red", "steel", "linen", "oak"]
    )
    result = MaskedRecovery(published=False, rate=0.9).evaluate(setting)
    assert result.main == "web.words"
    assert set(result.metrics) == {"web.words", "web.salient", "web.plain"}
    for metric in result.metrics.values():
        assert metric.value == metric.low == metric.high == (0.0 if always_wrong else 1.0)
    parts = [result.metrics[f"web.{name}"].num_items for name in ("salient", "plain")]
    assert result.metrics["web.words"].num_items == sum(parts)


def test_the_same_words_are_masked_for_every_tokenizer(Oracle, Setting, documents, coarse, fine):
    shown = []
    for tokenizer in (coarse, fine):
        setting = Setting(Oracle(tokenizer), {"web": documents}, salient=["red"])
        result = MaskedRecovery(published=False).evaluate(setting)
        words = [[(word["truth"], word["salient"]) for word in example["words"]] for example in result.examples]
        shown.append(([example["text"] for example in result.examples], words, result.metrics["web.words"].num_items))
    assert len(coarse(documents[0].text)["input_ids"]) < len(fine(documents[0].text)["input_ids"])
    assert shown[0] == shown[1]


def test_the_words_of_a_document_do_not_depend_on_the_others(Oracle, Setting, documents, coarse):
    setting = Setting(Oracle(coarse), {})
    alone = choose_words(documents[2:3], 128, 0.3, setting)
    assert choose_words(documents, 128, 0.3, setting)[2].words == alone[0].words
    assert choose_words(documents[2:3], 128, 0.3, Setting(Oracle(coarse), {}, seed=8))[0].words != alone[0].words


def test_a_word_counts_only_if_all_its_tokens_are_right(Oracle, Setting, documents, fine):
    class LastByteWrong(Oracle):
        def predict_masked(self, rows, positions, top=1):
            found = super().predict_masked(rows, positions, top)
            for places, guess in zip(positions, found, strict=True):
                guess[[i for i in range(len(places)) if i + 1 == len(places) or places[i + 1] > places[i] + 1]] = 0
            return found

    # At this rate masked words stand apart, so that each run of masked bytes is one word.
    setting = Setting(LastByteWrong(fine), {"web": documents})
    assert MaskedRecovery(published=False, rate=0.01).evaluate(setting).metrics["web.words"].value == 0.0


def test_rate_and_length_are_exact(Oracle, Setting, coarse):
    text = " ".join(f"word{number}" for number in range(300))
    (item,) = choose_words([Document("long", text)], 100, 0.15, Setting(Oracle(coarse), {}))
    assert len(item.words) == 15
    assert item.text.endswith("word99")
    assert all(re.fullmatch(r"word\d+", item.text[a:b]) for a, b in item.words)


def test_draws_mask_every_word_once_and_count_by_document(Oracle, Setting, documents, coarse):
    one, four = (
        MaskedRecovery(published=False, rate=0.25, draws=draws, words=40).evaluate(
            Setting(Oracle(coarse), {"web": documents})
        )
        for draws in (1, 4)
    )
    assert one.scores.keys() == four.scores.keys()
    assert one.scores["web.words"].ids == four.scores["web.words"].ids, "a document is one item"
    words = [min(40, len(re.findall(r"\w+", document.text))) for document in documents]
    assert four.scores["web.words"].weights == [[float(n) for n in words if n >= 2]]
    assert sum(one.scores["web.words"].weights[0]) <= sum(words) / 3
    assert len({example["text"] for example in four.examples}) == len(four.examples)
    with pytest.raises(ValidationError, match="draws times rate is above 1"):
        MaskedRecovery(rate=0.3, draws=4)


def test_without_a_scorer_there_is_no_salient_part(Oracle, Setting, documents, coarse):
    result = MaskedRecovery(published=False).evaluate(Setting(Oracle(coarse), {"web": documents}))
    assert set(result.metrics) == {"web.words"}


def test_published_protocol_on_a_real_model(Setting, documents, model_folder):
    from rexplug.evaluation.encoder import HuggingFaceEncoder

    setting = Setting(HuggingFaceEncoder(model_folder), {"web": documents * 20})
    first, second = (MaskedRecovery(rate=0.5).evaluate(setting) for _ in range(2))
    assert first == second
    at = [first.metrics[f"web.published_acc@{top}"] for top in (1, 3, 5)]
    assert at[0].value <= at[1].value <= at[2].value
    tokens = sum(
        len(ids) for ids in setting.encoder.tokenizer([document.text for document in documents * 20])["input_ids"]
    )
    # 15 % of the tokens in whole blocks, special ones never.
    assert 0.12 < at[0].num_items / (tokens // 128 * 128) < 0.16


def test_too_little_text_for_a_block_leaves_out_the_published_metrics(Setting, Oracle, documents, coarse):
    result = MaskedRecovery().evaluate(Setting(Oracle(coarse), {"web": documents[:1]}))
    assert set(result.metrics) == {"web.words"}


@pytest.mark.parametrize(
    ("options", "held_out", "message"),
    [
        ({"sources": ("wbe",)}, {"web": []}, "masked_recovery: there is no source 'wbe'; the sources are web"),
        (
            {},
            {},
            "masked_recovery: there are no held-out documents; evaluate with the recipe of a run, or give it 'files' or 'texts'",
        ),
        ({}, {"web": []}, "masked_recovery: nothing of 'web' was held out; raise curation.held_out"),
        (
            {},
            {"web": [Document("x", "One"), Document("y", "…")]},
            "masked_recovery: no held-out document of 'web' has two words",
        ),
    ],
)
def test_errors_name_what_is_missing(Setting, Oracle, coarse, options, held_out, message):
    with pytest.raises(DataError) as caught:
        MaskedRecovery(**options).evaluate(Setting(Oracle(coarse), held_out))
    assert str(caught.value) == message
