"""The components keep the contracts of rexplug and do what they say."""

import json

import pytest

import rexplug_textbooks
from rexplug import Candidate, CorpusSample, DataError, Document, Shard
from rexplug.testing import (
    check_corpus_filter,
    check_document_source,
    check_labeller,
    check_plugin,
    check_salience_scorer,
)
from rexplug_textbooks import BySigns, Defines, Exposition, KeyTerms, Sections, task

LEAVES = """# Leaves

## Introduction

Leaves are green.

## How Leaves Breathe

A leaf takes up air through small pores. Such a pore is called a stoma, and guard cells open and close it.

### Review Questions

What opens a stoma?

## Key terms

guard cell: one of the two cells that open and close a stoma

stoma (plural: stomata): pore of a leaf
"""
TIDES = "# Tides\n\n## Why the Sea Rises\n\nThe moon pulls at the sea. This pull is known as the tide-raising force."


@pytest.fixture
def chapters(tmp_path):
    records = [
        {"id": "botany/1", "book": "Botany", "title": "Leaves", "text": LEAVES, "url": "https://example.org/botany"},
        {"id": "botany/2", "book": "Botany"},
        {"id": "oceans/1", "book": "Oceans 2e", "title": "Tides", "text": TIDES},
    ]
    lines = [*map(json.dumps, records), '{"id": "oceans/2", ']
    (tmp_path / "chapters.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "chapters.jsonl"


def read(source):
    return list(source.documents(Shard(0, 1)))


def test_all_components_keep_the_contracts():
    check_plugin(rexplug_textbooks)


def test_a_section_is_a_document_with_its_key_terms(chapters):
    source = Sections(paths=str(chapters))
    documents = [document for document in read(source) if isinstance(document, Document)]
    assert [(document.id, document.text.split("\n")[0]) for document in documents] == [
        ("botany/1#0", "# Leaves"),
        ("botany/1#1", "## Introduction"),
        ("botany/1#2", "## How Leaves Breathe"),
        ("oceans/1#0", "# Tides"),
        ("oceans/1#1", "## Why the Sea Rises"),
    ]
    assert documents[2].text.endswith("pore of a leaf")
    assert documents[2].url == "https://example.org/botany"
    assert (documents[2].metadata["book"], documents[2].metadata["chapter"]) == ("Botany", "Leaves")
    check_document_source(source)


def test_what_cannot_be_read_is_counted(chapters):
    reasons = [record.reason for record in read(Sections(paths=str(chapters))) if not isinstance(record, Document)]
    assert reasons == ["no id, book or text", "invalid JSON"]


def test_books_are_selected_by_the_beginning_of_their_titles(chapters):
    documents = [d for d in read(Sections(paths=str(chapters), books=("Oceans",))) if isinstance(d, Document)]
    assert {document.metadata["book"] for document in documents} == {"Oceans 2e"}


def test_exercises_are_cut():
    section = Document("1", LEAVES)
    text = Exposition(min_words=5).judge(section).text
    assert "Review Questions" not in text
    assert "What opens a stoma?" not in text
    assert "guard cells open and close it" in text
    assert "## Key terms\n\nguard cell: one of the two cells" in text
    exercises = Document("2", "## Summary\n\n### Critical Thinking Questions\n\n" + "Why do leaves fall? " * 50)
    check_corpus_filter(Exposition(min_words=20), keep=[section], drop=[exercises])


def test_texts_that_define_something_are_kept():
    check_corpus_filter(
        Defines(),
        keep=[Document("1", TIDES), Document("2", "## Key terms\n\nstoma: pore of a leaf")],
        drop=[Document("3", "The moon rose over the sea: It was late."), Document("4", "")],
    )


def test_signs_of_science():
    texts = [
        "Enzymes are proteins that speed up a chemical reaction in cells.",
        "The mayor opened the bridge on Friday, and the orchestra played until nightfall.",
        "After the war he founded a school in the valley, wrote letters about light, and was known as a patient teacher there.",
    ]
    relevant, other, open_ = [Document(str(number), text) for number, text in enumerate(texts)]
    check_labeller(BySigns(), relevant=[relevant], irrelevant=[other])
    assert BySigns(relevant=0.2).label([Candidate("general", open_)], None) == [None]
    assert "Answer yes or no." in BySigns().instruction()


def test_key_terms_are_marked_wherever_they_occur(tmp_path):
    sample = CorpusSample({"botany": [Document("1", LEAVES)], "general": [Document("2", "fee: a price")]}, tmp_path, 17)
    scorer = KeyTerms().fit(sample)
    assert scorer.terms == ("guard cell", "stoma")
    terms = KeyTerms(terms=("guard cell", "cell", "stoma"))
    assert terms.fit(sample) is terms
    check_salience_scorer(
        terms, "Guard cells open; no cell of the stoma guards it", salient=["Guard", "cells", "cell", "stoma"]
    )
    check_salience_scorer(KeyTerms(terms=("guard cell",)), "A cell guard and a guard", salient=[])


def test_a_corpus_without_key_terms_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        KeyTerms().fit(CorpusSample({"general": [Document("1", "fee: a price")]}, tmp_path, 17))
    assert str(caught.value) == (
        "textbooks.key_terms: no document has a list '## Key terms'; name the terms with `terms`"
    )


def test_the_task_is_made_of_a_book_that_is_not_trained_on(tmp_path):
    words = " ".join(f"word{number}" for number in range(70))
    sections = {
        "Microbiology": f"# Mould\n\n## Spores\n\n{words}\n\n### Summary\n\n{words}\n\n### Short\n\nfew words",
        "Astronomy 2e": f"# Stars\n\n## Spores\n\n{words}\n\n## Dwarfs\n\n{words}\n\n### Key Terms\n\n{words}",
        "Botany": f"# Leaves\n\n## Stems\n\n{words}",
    }
    lines = [json.dumps({"id": book, "book": book, "text": text}) for book, text in sections.items()]
    lines.append(json.dumps({"id": "m2", "book": "Microbiology", "text": f"# More\n\n## Summary\n\n{words}"}))
    (tmp_path / "chapters.jsonl").write_text("\n".join(lines))
    task.write(str(tmp_path / "chapters.jsonl"), tmp_path)

    def table(name):
        return [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]

    first = " ".join(words.split()[:60])
    assert table("queries.jsonl") == [{"_id": "Microbiology#1.1", "text": "Spores"}]
    assert table("corpus.jsonl") == [{"_id": "Microbiology#1.1", "text": first}]
    assert (tmp_path / "qrels.tsv").read_text() == "query-id\tcorpus-id\tscore\nMicrobiology#1.1\tMicrobiology#1.1\t1\n"
    assert table("train.jsonl") == [{"query": "Dwarfs", "text": first}]
