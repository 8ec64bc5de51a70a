"""Plots of a comparison: which are drawn, what they say, and that their labels can be read."""

import itertools
import re
from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from rexplug import Metric
from rexplug.evaluation.statistics import Difference
from rexplug.report import plots
from rexplug.report.compare import Cell, Comparison, Row
from rexplug.report.comparison_plots import draw_comparison, write_comparison_plots
from rexplug.report.costs import Cost

NAMES = ("bm25", "all-MiniLM-L6-v2 untuned", "ours after pretraining", "ours after pretraining, extension and annealing",
         "random twin", "tfidf", "intfloat/e5-base-v2", "BAAI/bge-small-en-v1.5")  # fmt: skip


def comparison(num_models, num_metrics, *, training_runs=1, missing=(), rate=True):
    """A comparison in which each model is a little better and slower than the one before."""
    names = NAMES[:num_models]
    rows = []
    for number in range(num_metrics):
        cells = []
        for place in range(num_models):
            if (place, number) in missing:
                cells.append(Cell(None, "it cannot"))
                continue
            value = 0.4 + 0.05 * place + 0.01 * (number % 3)
            difference = None
            if place:
                shift = (0.05, -0.05, 0.001)[number % 3] * place
                difference = Difference(
                    shift, shift - 0.02, shift + 0.02, 0.001 if abs(shift) > 0.02 else 0.6, 100, (1, 1),
                    p_holm=0.001 if abs(shift) > 0.02 else 0.6, training_runs=training_runs,
                )  # fmt: skip
            cells.append(Cell(Metric(value, value - 0.03, value + 0.03, 100), difference=difference))
        evaluator = f"ecommerce.evaluator_{number}" if number else "ecommerce.query_classification.of_$DATA_$2"
        rows.append(Row(evaluator, "ndcg_at_10", True, cells, names[0]))
    costs = {
        row.evaluator: [
            Cost(2.0 + 50 * place, 4000 / (1.0 + place) if rate else None, "", "", "standard", False)
            if row.cells[place].metric is not None else None
            for place in range(num_models)
        ]
        for row in rows
    }  # fmt: skip
    return Comparison(names, rows, costs=costs)


def texts_of(figure):
    """The drawn texts of a figure with their boxes in pixels; empty ones are left out."""
    FigureCanvasAgg(figure).draw()
    undrawn = set()  # labels of ticks beyond the limits of an axis
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        undrawn |= {id(tick.label1) for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    found = []
    for text in dict.fromkeys(figure.findobj(match=Text)):
        if (
            id(text) not in undrawn
            and text.get_visible()
            and text.get_text().strip()
            and text.get_window_extent().width > 0
        ):
            found.append((text.get_text().replace("\\$", "$"), text.get_window_extent()))
    return found


@pytest.mark.parametrize(("num_models", "num_metrics"), [(2, 1), (3, 6), (8, 20)])
def test_labels_do_not_overlap_and_stay_inside(num_models, num_metrics):
    figures = draw_comparison(comparison(num_models, num_metrics))
    assert list(figures) == ["differences", "scores", "speed"]
    for name, figure in figures.items():
        texts = texts_of(figure)
        for (one, box), (other, other_box) in itertools.combinations(texts, 2):
            # A pixel of the boxes' own margin may be shared.
            assert not box.padded(-1).overlaps(other_box.padded(-1)), (name, one, other)
        for text, box in texts:
            assert box.x0 >= -1, (name, text)
            assert box.x1 <= figure.bbox.x1 + 1, (name, text)


def words_of(figure):
    return [text for text, _ in texts_of(figure)]


def test_the_forest_plot_names_verdicts_and_reference():
    single = words_of(draw_comparison(comparison(3, 3))["differences"])
    assert {"differs on these items", "may be chance", "Differences to bm25"} <= set(single)
    assert not any(text.startswith("real") for text in single)
    several = words_of(draw_comparison(comparison(3, 3, training_runs=3))["differences"])
    assert {"real, above", "real, below", "may be chance"} <= set(several)
    other = comparison(3, 2, missing=[(0, 1)])
    rows = [other.rows[0], replace(other.rows[1], reference=NAMES[1])]
    starred = words_of(draw_comparison(replace(other, rows=rows))["differences"])
    assert "ecommerce.evaluator_1 ndcg_at_10 *" in starred
    assert "Differences to bm25; * to the first model that has the metric" in starred


def test_speed_is_texts_a_second_or_else_seconds():
    rated = words_of(draw_comparison(comparison(3, 4))["speed"])
    assert {"texts a second (geometric mean)", "mean of 4 main metrics", *NAMES[:3]} <= set(rated)
    timed = words_of(draw_comparison(comparison(3, 1, rate=False))["speed"])
    assert "seconds of the evaluation, fine-tunes included (right is faster)" in timed


def test_what_a_model_does_not_have_is_left_out():
    figures = draw_comparison(comparison(3, 2, missing=[(0, 1)]))
    assert "–" in words_of(figures["scores"])
    assert any(text.endswith("of_$DATA_$2 ndcg_at_10") for text in words_of(figures["speed"])), (
        "on the common evaluator alone"
    )
    assert "speed" not in draw_comparison(comparison(2, 1, missing=[(0, 0)]))
    assert draw_comparison(comparison(1, 3)) == {}


def test_files_are_written_beside_the_page_and_are_the_same_each_time(tmp_path):
    page = tmp_path / "comparison.html"
    svgs = write_comparison_plots(comparison(3, 3), page)
    folder = tmp_path / "comparison-plots"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{name}.{kind}" for name in ("differences", "scores", "speed") for kind in ("png", "svg")
    ]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert svgs == write_comparison_plots(comparison(3, 3), page)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert before["speed.png"].startswith(b"\x89PNG")
    # In a page black is the colour of the text around the plot, which is light on dark pages.
    assert "#000000" not in "".join(svgs.values())
    assert "currentColor" in svgs["scores"]
    assert write_comparison_plots(comparison(1, 3), page) == {}
    assert not folder.exists()


def test_labels_in_letters_that_the_font_lacks_give_no_warning(tmp_path, recwarn):
    named = replace(comparison(2, 1), models=("bm25", "模型 <b>"))
    svgs = write_comparison_plots(named, tmp_path / "comparison.html")
    assert "模型 &lt;b&gt;" in svgs["scores"]
    assert not recwarn.list


def phases(*lengths):
    """Steps of phases, of one step for each of their tokens' thousands."""
    steps, total = [], 0
    for number, (name, length) in enumerate(lengths):
        for _ in range(length):
            total += 1000
            steps.append({
                "phase": name, "total_tokens": total, "learning_rate": 1e-3 / (1 + number), "batch_tokens": 1000,
                "loss": 2.0, "source_loss": {"web": 2.0}, "shares": {"web": 1.0}, "planned": {"web": 1.0},
            })  # fmt: skip
    return steps


def places_of(svg, names):
    """Name -> x and y of its text in an SVG."""
    found = {}
    for attributes, text in re.findall(r"<text ([^>]*)>([^<]*)</text>", svg):
        if text in names:
            x, y = re.search(r'x="([\d.]+)" y="([\d.]+)"', attributes).groups()
            found[text] = (float(x), float(y))
    return found


@pytest.mark.parametrize("draw", [plots.loss, plots.mixture, plots.learning_rate])
def test_names_of_short_phases_are_written_below_each_other(draw):
    names = ("pretrain", "extend", "anneal")
    places = places_of(draw(phases(("pretrain", 200), ("extend", 4), ("anneal", 4))), names)
    assert set(places) == set(names)
    # Letters are about five points wide and nine high.
    for one, other in itertools.combinations(places.values(), 2):
        assert abs(one[0] - other[0]) > 5 * len("pretrain") or abs(one[1] - other[1]) > 9
    assert all(x + 5 * len(name) < 7.2 * 72 for name, (x, _) in places.items())
    far = places_of(draw(phases(("pretrain", 100), ("extend", 80), ("anneal", 80))), names)
    assert len({y for _, y in far.values()}) == 1
