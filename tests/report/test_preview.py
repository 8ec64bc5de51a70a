"""What previews say of rows and masks is what the stream makes."""

import shutil

import numpy as np
import pytest

import rexplug
from rexplug.batches import IGNORED
from rexplug.phase_stream import phase_stream
from rexplug.report.preview import preview_phase
from rexplug.run_directory import RunDirectory
from rexplug.tokens import TokenStore


@pytest.fixture(scope="module")
def first(tokenized_run):
    _, recipe, run = tokenized_run
    stream = phase_stream(recipe, recipe.phases[0], run)
    batch, _ = stream.next(stream.start)
    return preview_phase(recipe, recipe.phases[0], run, rows=2, samples=50, tokens=500), batch, stream


def test_at_the_start_it_shows_the_first_rows(first):
    preview, batch, stream = first
    assert preview.progress == 0
    assert dict(preview.mixture) == pytest.approx({"web": 1, "shop": 0})
    assert preview.rate == 0.3
    for shown, row in zip(preview.rows, batch.rows, strict=False):
        assert (shown.num_tokens, shown.width, shown.num_masked) == (row.num_tokens, 64, row.num_masked)
        masked = 0
        for number, sample in enumerate(shown.samples):
            place = slice(int(row.borders[number]) + 1, int(row.borders[number + 1]) - 1)
            labels = row.labels[place]
            assert sample.source == stream.sources[int(row.sources[number])]
            assert [piece.kind != "plain" for piece in sample.pieces] == (labels != IGNORED).tolist()
            assert [piece.shown == "[MASK]" for piece in sample.pieces] == (
                row.token_ids[place] == stream.special.mask
            ).tolist()
            masked += sum(piece.kind != "plain" for piece in sample.pieces)
            assert sample.hidden == 0
        assert masked == shown.num_masked


def test_text_is_that_of_the_document(first, tokenized_run):
    preview, _, _ = first
    path, _, run = tokenized_run
    (sample, *_) = preview.rows[0].samples
    # Masked white space shows as a sign of its own.
    text = "".join(piece.space + piece.text.strip("␣⏎") for piece in sample.pieces)
    store = TokenStore.open(run.tokens / sample.source)
    (number,) = [i for i in range(store.num_documents) if store.ids([i]) == [sample.document]]
    whole = (path.parent / sample.source / sample.document.rsplit("/", 1)[1]).read_text()
    assert text.strip() in whole
    assert sample.end <= store.lengths[number]


def test_guided_tokens_lie_in_spans_with_reasons_and_the_rest_is_random(tokenized_run):
    _, recipe, run = tokenized_run
    preview = preview_phase(recipe, recipe.phases[0], run, at=0.9, rows=6, samples=50, tokens=500)
    assert preview.progress == pytest.approx(0.9, abs=0.01)
    assert dict(preview.mixture)["shop"] == pytest.approx(0.9, abs=0.01)
    pieces = [piece for row in preview.rows for sample in row.samples for piece in sample.pieces]
    guided = [piece for piece in pieces if piece.kind == "guided"]
    assert len(guided) == sum(row.num_guided for row in preview.rows) > 0
    assert all(piece.label for piece in guided)
    assert {piece.kind for piece in pieces} == {"plain", "random", "guided"}
    labels = {label for row in preview.rows for sample in row.samples for _, label, _ in sample.spans}
    assert labels <= {"brand", "category", "measure", "colour", "material"}
    assert "category" in labels
    texts = {text for row in preview.rows for sample in row.samples for text, _, masked in sample.spans if masked}
    assert texts & {"boots", "jacket", "500 ml", "Norvale"}


def test_without_the_corpus_tokens_are_still_shown(tokenized_run, tmp_path):
    _, recipe, run = tokenized_run
    bare = RunDirectory(tmp_path / "run")
    for part in ("tokens", "tokenizer", "fitted"):
        if (run.root / part).exists():
            shutil.copytree(run.root / part, bare.root / part)
    found = preview_phase(recipe, recipe.phases[0], bare, samples=50)
    full = preview_phase(recipe, recipe.phases[0], run, samples=50)
    for one, other in zip(found.rows, full.rows, strict=True):
        assert (one.num_masked, one.num_guided) == (other.num_masked, other.num_guided)
        for sample, whole in zip(one.samples, other.samples, strict=True):
            assert [piece.kind for piece in sample.pieces] == [piece.kind for piece in whole.pieces]
            assert sample.spans == ()


def test_the_default_explanation_names_runs_of_equal_scores():
    class Scorer(rexplug.SalienceScorer):
        name = "toy.given"

        def score(self, document):
            return np.array([0, 7, 7, 9, 0, 5], np.uint8)

    offsets = np.array([(0, 1), (1, 3), (3, 4), (4, 6), (6, 7), (7, 9)], np.uint32)
    document = rexplug.TokenizedDocument("1", "abcdefghi", np.arange(6, dtype=np.uint32), offsets, np.ones(6, bool))
    assert Scorer().explain(document) == [(1, 4, "salience 7"), (4, 6, "salience 9"), (7, 9, "salience 5")]
