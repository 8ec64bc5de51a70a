"""Validation loss and pseudo-perplexity: the same as by hand, and the same words for every tokenizer."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rexplug import DataError, Document, NotApplicable
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.statistics import paired_test, value
from rexplug.evaluation.text_tokens import TextTokens, words_of_characters
from rexplug.evaluation.validation_loss import ValidationLoss

TEXT = "Oak tables, 120 cm: the legs unscrew!"


@pytest.fixture(scope="module")
def encoder(model_folder):
    return HuggingFaceEncoder(model_folder)


@pytest.fixture(scope="module")
def reference(model_folder):
    from transformers import ModernBertForMaskedLM

    return ModernBertForMaskedLM.from_pretrained(model_folder).eval()


def losses_by_hand(reference, tokenizer, text, hidden_with):
    """-log P of every token, each masked with the positions that `hidden_with` gives for it."""
    ids = torch.tensor(tokenizer(text)["input_ids"])
    losses = []
    for place in range(1, len(ids) - 1):
        row = ids.clone()
        row[hidden_with(place)] = tokenizer.mask_token_id
        with torch.no_grad():
            logits = reference(input_ids=row[None]).logits[0, place]
        losses.append(F.cross_entropy(logits[None], ids[place][None]).item())
    return losses


def test_loss_is_the_cross_entropy_of_masked_tokens(Setting, encoder, reference):
    text = TEXT[:-1]  # excerpts end with their last word
    tokenizer = encoder.tokenizer
    number = len(tokenizer(text)["input_ids"])
    everything = list(range(1, number - 1))
    expected = losses_by_hand(reference, tokenizer, text, lambda _: everything)
    evaluator = ValidationLoss(rate=1 - 1e-9, pseudo_words=0)
    result = evaluator.evaluate(Setting(encoder, {"shop": [Document("d", text)]}))
    assert (result.main, set(result.metrics)) == ("shop.loss", {"shop.loss", "shop.loss_per_byte"})
    assert result.metrics["shop.loss"].num_items == number - 2
    assert result.metrics["shop.loss"].value == pytest.approx(np.mean(expected), rel=1e-5)
    bytes_of_text = len(text.replace(" ", ""))
    assert result.metrics["shop.loss_per_byte"].value == pytest.approx(sum(expected) / bytes_of_text, rel=1e-5)
    assert result.metrics["shop.loss_per_byte"].num_items == bytes_of_text


@pytest.mark.parametrize("word_pieces", ["l2r", "alone"])
def test_pseudo_perplexity_masks_each_token_and_the_rest_of_its_word(Setting, encoder, reference, word_pieces):
    text, tokenizer = TEXT[:-1], encoder.tokenizer
    encoded = tokenizer(text, return_offsets_mapping=True)
    # A byte-level token that begins a word begins with a blank or a mark, or is the first after a mark.
    pieces = [text[a:b] for a, b in encoded["offset_mapping"]]
    begins = [
        piece[:1] == " " or (not pieces[n - 1].isspace() and not (piece[:1].isalnum() and pieces[n - 1][-1:].isalnum()))
        for n, piece in enumerate(pieces)
    ]
    assert 1 < sum(begins[1:-1]) < len(pieces) - 2, "some words are one token, others several"

    def rest_of_word(place):
        end = place + 1
        while word_pieces == "l2r" and end < len(pieces) - 1 and not begins[end]:
            end += 1
        return list(range(place, end))

    expected = losses_by_hand(reference, tokenizer, text, rest_of_word)
    result = ValidationLoss(pseudo_words=None, word_pieces=word_pieces).evaluate(
        Setting(encoder, {"shop": [Document("d", text)]})
    )
    metrics = result.metrics
    assert metrics["shop.pseudo_perplexity"].value == pytest.approx(math.exp(np.mean(expected)), rel=1e-4)
    assert metrics["shop.pseudo_perplexity"].num_items == len(expected)
    in_bits = sum(expected) / math.log(2) / len(text.replace(" ", ""))
    assert metrics["shop.pseudo_bits_per_byte"].value == pytest.approx(in_bits, rel=1e-4)
    assert set(result.lower_is_better) == set(metrics)


def test_an_encoder_that_gives_every_token_a_quarter_has_perplexity_four(Setting, Oracle, documents, coarse):
    result = ValidationLoss().evaluate(Setting(Oracle(coarse), {"web": documents, "shop": documents[:2]}))
    for source in ("web", "shop"):
        loss, perplexity = (result.metrics[f"{source}.{name}"] for name in ("loss", "pseudo_perplexity"))
        assert loss.value == pytest.approx(2 * math.log(2))
        assert [perplexity.value, perplexity.low, perplexity.high] == pytest.approx([4, 4, 4])
    assert result.main == "shop.loss"


def test_words_and_bytes_are_the_same_for_every_tokenizer(Setting, Oracle, documents, coarse, fine):
    found = []
    for tokenizer in (coarse, fine):
        result = ValidationLoss(pseudo_words=20).evaluate(Setting(Oracle(tokenizer), {"web": documents}))
        found.append(result.scores["web.pseudo_bits_per_byte"])
    assert found[0].ids == found[1].ids
    np.testing.assert_allclose(found[0].weights, found[1].weights)
    # Every byte is a token of the fine one, at two bits each, and so is the blank before a word.
    assert 2 < value(found[1]) < 3
    assert value(found[0]) < 2


def test_masks_follow_the_seed_and_the_text_alone(Setting, Oracle, documents, coarse):
    class Recorder(Oracle):
        def token_log_probs(self, rows, positions, targets):
            seen.append([row.tolist() for row in rows])
            return super().token_log_probs(rows, positions, targets)

    seen = []
    for seed, some in ((7, documents), (7, documents[2:]), (8, documents)):
        ValidationLoss(pseudo_words=0).evaluate(Setting(Recorder(coarse), {"web": some}, seed=seed))
    assert seen[1] == seen[0][2:]
    assert seen[2] != seen[0]


def test_the_share_of_masked_tokens_is_the_rate(Setting, Oracle, coarse):
    text = " ".join(f"word{number}" for number in range(3000))
    start = " ".join(text.split()[:60])
    result = ValidationLoss(words=60, rate=0.3, pseudo_words=5).evaluate(
        Setting(Oracle(coarse, texts=[start]), {"web": [Document("d", text)]})
    )
    tokens = len(coarse(start)["input_ids"]) - 2
    assert 0.2 * tokens < result.metrics["web.loss"].num_items < 0.4 * tokens
    assert 5 * len("word1") <= result.metrics["web.pseudo_bits_per_byte"].num_items <= 5 * len("word10")


def test_differences_of_models_are_tested_by_document(Setting, Oracle, documents, coarse):
    class Surer(Oracle):
        def token_log_probs(self, rows, positions, targets):
            return [0.5 * log_probs for log_probs in super().token_log_probs(rows, positions, targets)]

    one, other = (
        ValidationLoss(pseudo_words=None).evaluate(Setting(kind(coarse), {"web": documents})).scores
        for kind in (Oracle, Surer)
    )
    difference = paired_test(other["web.pseudo_loss"], one["web.pseudo_loss"], 1)
    assert [difference.value, difference.low, difference.high] == pytest.approx([-math.log(2)] * 3)
    assert difference.num_items == sum(one["web.pseudo_loss"].weights[0])


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Größe 4", ["Größe", "4"]),
        ("it's 5–6 €", ["it", "'", "s", "5", "–", "6", "€"]),
        ("  a\n", ["a"]),
    ],
)
def test_bytes_and_words_of_tokens(fine, text, pieces):
    words = words_of_characters(text)
    tokens = TextTokens.of(text, words, fine, 512)
    assert tokens.num_bytes.sum() == pytest.approx(len("".join(pieces).encode()))
    for number, piece in enumerate(pieces):
        of_word = tokens.of_word(number)
        assert tokens.num_bytes[of_word].sum() == pytest.approx(len(piece.encode()))
        assert fine.decode(tokens.ids(of_word)).strip() == piece


def test_unknown_text_is_reported(Setting, encoder):
    tokenizer = encoder.tokenizer
    result = ValidationLoss(pseudo_words=0, rate=1 - 1e-9).evaluate(
        Setting(encoder, {"web": [Document("d", f"red {tokenizer.unk_token} oak {tokenizer.mask_token} shirt")]})
    )
    assert len(result.notes) == 2
    assert "of the tokens are unknown to the tokenizer; the loss on them is that of its token" in result.notes[-1]


def test_files_of_the_users_own_are_sources(Setting, Oracle, documents, coarse, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "shop.jsonl").write_text("".join(json.dumps({"text": d.text}) + "\n" for d in documents))
    pq.write_table(pa.table({"text": [documents[0].text]}), tmp_path / "old.parquet")
    (tmp_path / "note.txt").write_text(documents[1].text)
    files = [str(tmp_path / name) for name in ("shop.jsonl", "old.parquet", "note.txt")]
    evaluator = ValidationLoss(files=files, pseudo_words=4)
    evaluator.check()
    assert [str(path) for path in evaluator.inputs()] == files
    assert not evaluator.needs_held_out
    assert sorted(set(evaluator.test_texts().values())) == sorted(d.text for d in documents)
    result = evaluator.evaluate(Setting(Oracle(coarse), {"web": documents}))
    assert {name.partition(".")[0] for name in result.metrics} == {"shop", "old", "note"}
    assert ValidationLoss(files=str(tmp_path / "*.jsonl")).evaluate(Setting(Oracle(coarse), {})).main == (
        f"{tmp_path.name}.loss"
    )


def test_what_cannot_be_measured_is_said_in_one_line(Setting, Oracle, documents, coarse, tmp_path):
    with pytest.raises(NotApplicable) as refused:
        ValidationLoss().evaluate(Setting(LexicalModel("bm25"), {"web": documents}))
    assert str(refused.value) == "bm25 compares words; it has no tokens"
    with pytest.raises(DataError) as empty:
        ValidationLoss().evaluate(Setting(Oracle(coarse), {"web": [Document("d", "…")]}))
    assert str(empty.value) == "validation_loss: no document of 'web' has text"
    with pytest.raises(ValueError, match=r"shop.docx: no source reads files of this name; they end in .jsonl, .ndjson"):
        ValidationLoss(files=["shop.docx"])
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(DataError) as nothing:
        ValidationLoss(files=[str(tmp_path / "empty.jsonl")]).evaluate(Setting(Oracle(coarse), {}))
    assert str(nothing.value) == "validation_loss: 'empty' has no documents with text"
