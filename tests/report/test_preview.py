"""Previews show the rows and masks of the stream."""

import itertools
import math
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

import rexplug
from rexplug.batches import IGNORED
from rexplug.batches.policies import RandomMasking
from rexplug.phase_stream import phase_stream
from rexplug.report.plots import mixture, realised
from rexplug.report.preview import preview_phase
from rexplug.run_directory import RunDirectory
from rexplug.tokens.store import TokenStore


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
            place = slice(int(row.cu_seqlens[number]) + 1, int(row.cu_seqlens[number + 1]) - 1)
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
    text_of_file = (path.parent / sample.source / sample.document.rsplit("/", 1)[-1]).read_text()
    assert text.strip() in text_of_file
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


def test_mask_rates_are_those_of_the_rows_by_source(tokenized_run):
    _, recipe, run = tokenized_run
    preview = preview_phase(recipe, recipe.phases[0], run, at=0.5)
    rates = dict(preview.mask_rates)
    assert list(rates) == ["web", "shop"]
    for each in rates.values():
        assert (each.masked_salient + each.masked_plain) / (each.num_salient + each.num_plain) == pytest.approx(
            0.2, abs=0.02
        )
        # Nearly half of the tokens of this text are salient, and the boost is 4.
        assert each.salient / each.plain == pytest.approx(4, rel=0.15)
    random = recipe.phases[0].model_copy(update={"masking": RandomMasking()})
    assert preview_phase(recipe, random, run).mask_rates == ()


def test_guided_tokens_are_those_of_training_with_a_seed_of_its_own(tokenized_run):
    _, recipe, run = tokenized_run
    recipe = recipe.model_copy(update={"training_seed": recipe.seed + 1})
    phase = recipe.phases[0]
    stream = phase_stream(recipe, phase, run)
    policy, choices = stream.masking, []

    class Watched(type(policy)):
        def choose(self, batch, progress, generator):
            state = generator.bit_generator.state
            chosen = super().choose(batch, progress, generator)
            generator.bit_generator.state, after = state, generator.bit_generator.state
            choices.append(int((self.salient_subset(batch, progress, generator) & chosen).sum()))
            generator.bit_generator.state = after
            return chosen

    watched = phase.model_copy(update={"masking": Watched.model_construct(**dict(policy))})
    watched_stream = phase_stream(recipe, watched, run)
    watched_stream.next(watched_stream.start)
    shown = preview_phase(recipe, phase, run, rows=len(choices), samples=1, tokens=10)
    assert [row.num_guided for row in shown.rows] == choices
    assert sum(choices) > 0


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
        for sample, full_sample in zip(one.samples, other.samples, strict=True):
            assert [piece.kind for piece in sample.pieces] == [piece.kind for piece in full_sample.pieces]
            assert sample.spans == ()


def test_the_default_explanation_names_runs_of_equal_scores():
    class Scorer(rexplug.SalienceScorer):
        name = "toy.given"

        def score(self, document):
            return np.array([0, 7, 7, 9, 0, 5], np.uint8)

    offsets = np.array([(0, 1), (1, 3), (3, 4), (4, 6), (6, 7), (7, 9)], np.uint32)
    document = rexplug.TokenizedDocument("1", "abcdefghi", np.arange(6, dtype=np.uint32), offsets, np.ones(6, bool))
    assert Scorer().explain(document) == [(1, 4, "salience 7"), (4, 6, "salience 9"), (7, 9, "salience 5")]


class Samples(HTMLParser):
    """The text and the classes within the boxes of samples."""

    def __init__(self, text):
        super().__init__()
        self.depth = 0
        self.texts: list[str] = []
        self.classes: list[str] = []
        self.titles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "div" and found.get("class") == "sample":
            self.depth = 1
            self.texts.append("")
        elif self.depth:
            self.depth += 1
            self.classes.append(found.get("class"))
            self.titles.append(found.get("title"))

    def handle_endtag(self, tag):
        self.depth = max(0, self.depth - 1)

    def handle_data(self, data):
        if self.depth:
            self.texts[-1] += data


def test_the_report_shows_the_masks_of_each_phase(tokenized_run, tmp_path):
    from rexplug.report import Contents, write_report

    _, recipe, run = tokenized_run
    copy = RunDirectory(tmp_path / "run")
    shutil.copytree(run.root, copy.root)
    page = write_report(Contents(copy, recipe)).read_text()
    shown = Samples(page)
    expected = preview_phase(recipe, recipe.phases[0], run, at=0.5, samples=3, tokens=90)
    (row,) = expected.rows
    assert len(shown.texts) == len(row.samples) > 0
    for text, sample in zip(shown.texts, row.samples, strict=True):
        assert f"{sample.source} · {sample.document} · tokens " in text
        plain = [piece.text for piece in sample.pieces if piece.kind == "plain" and piece.text]
        assert all(part in text for part in plain)
    assert {"guided", "random"} <= set(shown.classes) <= {"guided", "random", "salient", None}
    assert {"category", "brand"} & set(shown.titles)
    assert "anneal at 50 %" in page
    assert "<b>&amp;amp;" not in page


def step(phase, total, tokens, planned, share):
    return {
        "phase": phase, "total_tokens": total, "batch_tokens": tokens, "planned": {"web": planned}, "shares": {"web": share},
    }  # fmt: skip


def test_realised_shares_are_averaged_by_tokens_within_their_phase():
    steps = [step("one", 100 * (i + 1), 100, 1.0, 1.0) for i in range(40)]
    steps += [step("two", 4000 + 100 * (i + 1), 300 if i % 2 else 100, 0.25, 0.0 if i % 2 else 1.0) for i in range(40)]
    xs, ys = realised(steps, "web")
    assert ys[:40] == [1.0] * 40
    assert math.isnan(ys[40])
    assert math.isnan(xs[40])
    # Every other step has three times the tokens and none of the source: a quarter of the tokens, not half.
    assert ys[55:70] == pytest.approx([0.25] * 15, abs=0.02)
    assert realised(steps, "shop")[1][:40] == [0.0] * 40


def test_a_step_in_the_plan_is_drawn_as_a_step():
    steps = [step("one", 100 * (i + 1), 100, 1.0 if i < 20 else 0.5, 1.0 if i < 20 else 0.5) for i in range(40)]
    svg = mixture(steps)
    (line,) = [path for path in re.findall(r'<path d="([^"]*)"[^>]*stroke-dasharray', svg) if path.count("L") >= 2][:1]
    points = [tuple(map(float, pair)) for pair in re.findall(r"([-\d.]+) ([-\d.]+)", line)]
    # Horizontal or vertical, never slanted.
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in itertools.pairwise(points))
    assert len({y for _, y in points}) == 2
