"""Comparisons as CSV, as Markdown and as LaTeX, for spreadsheets, README files and papers."""

from __future__ import annotations

import csv
import io
from itertools import groupby
from pathlib import Path

from rexplug.components import Metric
from rexplug.io.atomic import write_text
from rexplug.report import markdown
from rexplug.report.compare import Cell, Comparison, Row

COLUMNS = (
    "model", "evaluator", "metric", "main", "value", "low", "high", "spread", "runs", "items", "seconds", "compared_with",
    "difference", "difference_low", "difference_high", "p", "p_holm", "verdict", "reason",
)  # fmt: skip
"""The columns of the CSV."""
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "±": r"$\pm$", "–": "--", "’": "'", "…": r"\ldots{}", "→": r"$\rightarrow$", "−": "$-$",
}  # fmt: skip


def write_tables(
    comparison: Comparison, *, csv: Path | None = None, markdown: Path | None = None, latex: Path | None = None
) -> None:
    """Write the comparison as tables."""
    for path, as_text in ((csv, as_csv), (markdown, as_markdown), (latex, as_latex)):
        if path is not None:
            write_text(path, as_text(comparison))


def as_csv(comparison: Comparison) -> str:
    """One line per model and metric; fields without a value are empty.

    `runs` counts fine-tunes or training runs, `p_holm` is `p` corrected for all tests of the comparison.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in comparison.rows:
        for number, (label, cell) in enumerate(zip(comparison.models, row.cells, strict=True)):
            metric, d = cell.metric, cell.difference
            costs = comparison.costs.get(row.evaluator, ())
            cost = costs[number] if number < len(costs) else None
            writer.writerow(
                [
                    label, row.evaluator, row.metric, "yes" if row.main else "no",
                    *(["", "", "", "", "", ""] if metric is None else [
                        metric.value, _given(metric.low), _given(metric.high), _given(metric.spread),
                        _given(metric.num_seeds), _given(metric.num_items),
                    ]),
                    "" if cost is None else cost.seconds,
                    "" if d is None else row.reference,
                    *(["", "", "", "", "", ""] if d is None else [d.value, d.low, d.high, d.p, d.p_holm, d.verdict]),
                    cell.reason,
                ]
            )  # fmt: skip
    return out.getvalue()


def as_markdown(comparison: Comparison) -> str:
    """A table in GitHub's Markdown, a row per metric and a column per model, with its legend and notes."""
    lines = [
        f"| metric | {' | '.join(markdown.cell(label) for label in comparison.models)} |",
        f"| --- |{' ---: |' * len(comparison.models)}",
    ]
    for row in comparison.rows:
        best = row.best()
        cells = []
        for place, cell in enumerate(row.cells):
            value = f"**{_value(cell)}**" if place == best else _value(cell)
            cells.append(" ".join([value, *(_literal(part) for part in (cell.sign, _interval(cell.metric)) if part)]))
        name = markdown.cell(f"{row.evaluator} {row.metric}".strip())
        lines.append(f"| {_literal(name)} | {' | '.join(cells)} |")
    notes = [*_legend(comparison), *comparison.notes]
    return "\n".join([*lines, "", *(f"- {_literal(markdown.cell(note))}" for note in notes)]) + "\n"


def as_latex(comparison: Comparison) -> str:
    """A table in LaTeX, a row per metric and a column per model; needs the package booktabs."""
    columns = len(comparison.models)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{l{'r' * columns}}}",
        r"\toprule",
        f"metric & {' & '.join(latex(label) for label in comparison.models)} \\\\",
    ]
    for evaluator, rows in groupby(comparison.rows, key=lambda row: row.evaluator):
        lines += [r"\midrule", rf"\multicolumn{{{columns + 1}}}{{l}}{{\textit{{{latex(evaluator)}}}}} \\"]
        for row in rows:
            lines += _latex_rows(row)
    caption = latex(" ".join(_legend(comparison)))
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}"]
    return "\n".join([*lines, *(f"% {' '.join(note.split())}" for note in comparison.notes)]) + "\n"


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _latex_rows(row: Row) -> list[str]:
    """The values, and below them the intervals, if there are any."""
    best, values, intervals = row.best(), [], []
    for place, cell in enumerate(row.cells):
        value = latex(_value(cell))
        shown = rf"\textbf{{{value}}}" if place == best else value
        values.append(shown + (rf"\textsuperscript{{{latex(cell.sign)}}}" if cell.sign else ""))
        intervals.append(rf"{{\footnotesize {latex(_interval(cell.metric))}}}" if _interval(cell.metric) else "")
    lines = [rf"\quad {latex(row.metric)} & {' & '.join(values)} \\"]
    return [*lines, rf" & {' & '.join(intervals)} \\"] if any(intervals) else lines


def _value(cell: Cell) -> str:
    return "–" if cell.metric is None else f"{cell.metric.value:.3f}"


def _interval(metric: Metric | None) -> str:
    if metric is None or metric.low is None or metric.high is None:
        return ""
    return f"[{metric.low:.3f}, {metric.high:.3f}]" + (f" ±{metric.spread:.3f}" if metric.spread is not None else "")


def _legend(comparison: Comparison) -> list[str]:
    """What the signs of the table mean, as far as they occur."""
    cells = [cell for row in comparison.rows for cell in row.cells]
    if not any(cell.difference is not None for cell in cells):
        return []
    parts: list[str] = []
    if comparison.any_real:
        parts.append("+ and -: really above or below the first model with the metric")
    if comparison.any_not_varied:
        parts.append("(+) and (-): above or below it on these items, seeds were not varied")
    if any(cell.difference is not None and not cell.difference.differs for cell in cells):
        parts.append("~: may be chance")
    if any(cell.metric is not None and cell.metric.low is not None for cell in cells):
        parts.append("brackets: 95 % interval")
    if any(cell.metric is not None and cell.metric.spread is not None for cell in cells):
        parts.append("±: over fine-tunes or runs")
    if any(row.best() is not None for row in comparison.rows):
        parts.append("bold: the best value, where the test confirms it")
    return [
        f"Paired permutation tests on the same items, {comparison.num_tests} corrected together (Holm). {'; '.join(parts)}."
    ]


def _literal(text: str) -> str:
    """Markdown that shows the text: signs that would be emphasis, links, strike-through or HTML are escaped."""
    return "".join(f"\\{character}" if character in "*_[]~<>`" else character for character in text)


def _given(value: float | None) -> object:
    return "" if value is None else value
