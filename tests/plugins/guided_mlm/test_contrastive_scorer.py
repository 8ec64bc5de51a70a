import re

import numpy as np
import pytest

import rexplug
from rexplug_guided_mlm import Contrastive

RETAIL = ["Buy the waterproof jacket with free shipping", "The waterproof boots: free shipping on the order"] * 40
GENERAL = ["The river runs through the old town", "Buy time, said the minister of the old town"] * 40


def corpus(folder, **sources):
    documents = {
        name: [rexplug.Document(f"{name}-{i}", text) for i, text in enumerate(texts)] for name, texts in sources.items()
    }
    return rexplug.CorpusSample(documents, folder, 1)


def tokenized(text):
    """Every word a token, with the white space before it, as byte-level BPE has it."""
    offsets = np.array([match.span() for match in re.finditer(r"\s*\w+|\s*[^\w\s]", text)], np.uint32).reshape(-1, 2)
    return rexplug.TokenizedDocument(
        "1", text, np.zeros(len(offsets), np.uint32), offsets, np.ones(len(offsets), np.bool_)
    )


def fitted(tmp_path, **options):
    scorer = Contrastive(**{"domain": "retail", "general": "web", "share": 1.0, **options})
    return scorer.fit(corpus(tmp_path, retail=RETAIL, web=GENERAL))


def test_words_that_mark_the_domain_are_salient_and_shared_ones_are_not(tmp_path):
    scores = fitted(tmp_path, prior=100).score(
        tokenized("The Waterproof jacket: the old town, free shipping unheardof")
    )
    words = ["The", "Waterproof", "jacket", ":", "the", "old", "town", ",", "free", "shipping", "unheardof"]
    assert scores.dtype == np.uint8
    found = {word for word, score in zip(words, scores, strict=True) if score}
    assert found == {"Waterproof", "jacket", "free", "shipping"}


def test_the_fitted_scorer_comes_back_from_its_options(tmp_path):
    scorer = fitted(tmp_path)
    entry = scorer.dump()
    assert entry.pop("use") == "guided_mlm.contrastive"
    again = Contrastive.model_validate(entry)
    assert again == scorer
    document = tokenized("waterproof boots")
    assert np.array_equal(again.score(document), scorer.score(document))


def test_a_higher_bar_leaves_fewer_words(tmp_path):
    document = tokenized(RETAIL[0])
    low, high = (fitted(tmp_path, at_least=z, prior=100).score(document) for z in (2.0, 50.0))
    assert (low > 0).sum() > 0
    assert (high > 0).sum() == 0


def test_no_text_no_scores(tmp_path):
    assert fitted(tmp_path).score(tokenized("")).shape == (0,)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(rexplug.DataError) as refused:
        Contrastive(domain="retial", general="web").fit(corpus(tmp_path, retail=RETAIL, web=GENERAL))
    assert str(refused.value) == "guided_mlm.contrastive: there is no source 'retial'; the sources are retail, web"
    with pytest.raises(rexplug.DataError) as refused:
        Contrastive(domain="retail", general="web").fit(corpus(tmp_path, retail=RETAIL, web=["..."]))
    assert str(refused.value) == "guided_mlm.contrastive: 'retail' or 'web' holds no words to compare"
    with pytest.raises(rexplug.DataError) as refused:
        Contrastive(domain="retail", general="web").score(tokenized("waterproof"))
    assert str(refused.value) == "guided_mlm.contrastive must be fitted before it scores"


def test_sources_of_one_and_the_same_word_hold_nothing_that_marks_either(tmp_path):
    scorer = Contrastive(domain="retail", general="web").fit(corpus(tmp_path, retail=["so so"], web=["so"]))
    assert scorer.score(tokenized("so")).tolist() == [0]
