"""`rexplug peek`: print packed rows and masks before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from rexplug.cli import terminal
from rexplug.cli.mask_rates import masked_shares
from rexplug.cli.terminal import one_line

if TYPE_CHECKING:
    from rexplug.api import PhasePreview, RowPreview, SamplePreview

_STYLES = {"guided": "bold white on dark_magenta", "random": "black on yellow3", "plain": ""}
_SALIENT = "underline magenta"
_MARKS = {"guided": ("{", "}"), "random": ("[", "]")}
"""The marks around masked words where there is no colour."""


@click.command()
@click.argument("recipe_or_run", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--phase", help="Only this phase; all phases by default.")
@click.option("--rows", type=click.IntRange(1), default=1, show_default=True, help="Rows to show of each phase.")
@click.option(
    "--at", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Progress of the phase to show, 0 to 1."
)
@click.option("--samples", type=click.IntRange(1), default=4, show_default=True, help="Samples to show of each row.")
@click.option("--tokens", type=click.IntRange(1), default=120, show_default=True, help="Tokens to show of each sample.")
@click.option(
    "--documents", type=click.IntRange(1), default=400, show_default=True,
    help="Without a run: documents of each source to curate for the preview.",
)  # fmt: skip
def peek(
    recipe_or_run: Path,
    overrides: tuple[str, ...],
    phase: str | None,
    rows: int,
    at: float,
    samples: int,
    tokens: int,
    documents: int,
) -> None:
    """Show packed rows and masks of RECIPE_OR_RUN: what is masked, what replaces it, and why.

    For a run directory, its token stores are read. For a recipe (with OVERRIDES), those of runs/NAME are read if this recipe
    made them; otherwise a few documents of each source are curated and tokenized in a temporary folder.
    """
    from rexplug import api
    from rexplug.cli.progress import TerminalProgress

    console = terminal.console()
    with TerminalProgress(quiet=not console.is_terminal) as progress:
        previews, note = api.preview(
            recipe_or_run, overrides, phase=phase, at=at, rows=rows, samples=samples, tokens=tokens, documents=documents,
            progress=progress,
        )  # fmt: skip
    console.print(Text(note, "dim"), soft_wrap=True)
    for preview in previews:
        print_preview(preview, console)


def print_preview(preview: PhasePreview, console: Console) -> None:
    """Print the rows of a phase: samples in boxes, masks in colour, salient spans with their reasons."""
    mixture = ", ".join(f"{name} {share:.0%}" for name, share in preview.mixture)
    console.print()
    console.print(
        Text(f"{preview.phase}", "bold").append(f" at {preview.progress:.0%}: {mixture}; ", "default")
        .append(f"{preview.rate:.0%} masked by {preview.masking}", "default")
    )  # fmt: skip
    for name, rates in preview.mask_rates:
        console.print(Text(f"  {name}: {masked_shares([rates])}", "dim"), soft_wrap=True)
    legend = Text("  ")
    for kind in ("guided", "random"):
        legend.append(_marked(kind, f" {kind} ", console), _STYLES[kind]).append(" ")
    legend.append("salient, not masked", _SALIENT)
    console.print(legend.append("   word→other: replaced by a random token, word=: kept as it is", "dim"))
    for number, row in enumerate(preview.rows, 1):
        _print_row(number, row, console)


def _print_row(number: int, row: RowPreview, console: Console) -> None:
    console.print(
        f"row {number}: {row.num_samples} samples, {row.num_tokens:,} of {row.width:,} tokens "
        f"({row.num_tokens / row.width:.1%}), {row.num_masked:,} masked, {row.num_guided:,} of them guided"
    )
    for sample in row.samples:
        title = Text(
            one_line(f"{sample.source} · {sample.document} · tokens {sample.start:,} to {sample.end:,}"), "cyan"
        )
        console.print(Panel(_body(sample, console), title=title, title_align="left", border_style="cyan"))
    if row.num_samples > len(row.samples):
        console.print(Text(f"  and {row.num_samples - len(row.samples)} more samples", "dim"))


def _body(sample: SamplePreview, console: Console) -> Text:
    body = Text("[CLS]", "dim")
    for piece in sample.pieces:
        body.append(piece.space)
        if piece.kind == "plain":
            body.append(piece.text, _SALIENT if piece.label else "")
            continue
        words = piece.text
        if piece.shown != "[MASK]":
            words += "=" if piece.shown == "=" else f"→{piece.shown}"
        body.append(_marked(piece.kind, words, console), _STYLES[piece.kind])
    body.append(f" … {sample.hidden:,} more tokens" if sample.hidden else "[SEP]", "dim")
    chosen = [f"{' '.join(text.split())} ({label})" for text, label, masked in sample.spans if masked]
    if chosen:
        body.append("\nmasked because: ", "dim").append("; ".join(chosen), "magenta")
    return body


def _marked(kind: str, words: str, console: Console) -> str:
    if console.is_terminal and not console.no_color:
        return words
    before, after = _MARKS[kind]
    return f"{before}{words}{after}"
