"""Writes a comparison as a page, with plots and the page of single items beside it, and as JSON."""

from __future__ import annotations

from pathlib import Path

from rexplug.evaluation.statistics import ALPHA
from rexplug.io.atomic import write_json, write_text
from rexplug.report.compare import Comparison
from rexplug.report.comparison_plots import write_comparison_plots
from rexplug.report.items import item_links, write_items_page
from rexplug.report.templates import template


def write_comparison(
    comparison: Comparison, *, html: Path | None = None, json: Path | None = None, title: str = ""
) -> None:
    """Write the comparison as a page with plots and items beside it, as JSON, or as both."""
    if json is not None:
        write_json(json, comparison.to_json())
    if html is not None:
        title = title or " and ".join(comparison.models)
        items = write_items_page(html, comparison.results, f"{title}: items")
        page = template("compare.html.j2").render(
            comparison=comparison,
            title=title,
            alpha=ALPHA,
            plots=write_comparison_plots(comparison, html),
            items=item_links(items, comparison.results),
        )
        write_text(html, page)
