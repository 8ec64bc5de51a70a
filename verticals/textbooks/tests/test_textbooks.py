"""The components keep the contracts of rexplug and do what they say."""

from rexplug import Document
from rexplug.testing import (
    check_corpus_filter,
    check_document_source,
    check_labeller,
    check_plugin,
    check_salience_scorer,
)

import rexplug_textbooks

PERMIT = Document("1", "The inspector approved the building permit under clause 12.3. The office asks for a fee.")
STORM = Document("2", "A heavy storm woke the sleeping village late in autumn.")


def test_all_components_keep_the_contracts():
    check_plugin(rexplug_textbooks)


def test_texts():
    check_document_source(rexplug_textbooks.Texts())


def test_has_words():
    check_corpus_filter(rexplug_textbooks.HasWords(), keep=[PERMIT], drop=[STORM])


def test_by_words():
    check_labeller(rexplug_textbooks.ByWords(), relevant=[PERMIT], irrelevant=[STORM])


def test_terms():
    text = "Clause 12.3 sets the fee"
    check_salience_scorer(rexplug_textbooks.Terms(), text, salient=["Clause", "12", ".", "3", "fee"])
