"""`rexplug export`: any checkpoint of a run as a Hugging Face model."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli.terminal import echo


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--checkpoint",
    metavar="PHASE[/STEP]",
    help="A phase, or one of its steps; the last phase that is done if left out.",
)
@click.option(
    "--to", "target", type=click.Path(path_type=Path), help="The folder to write; RUN/exports/PHASE-STEP if left out."
)
@click.option("--onnx", is_flag=True, help="Write model.onnx too, with proof of its logits (needs the extra onnx).")
def export(run: Path, checkpoint: str | None, target: Path | None, onnx: bool) -> None:
    """Write a checkpoint of the run in folder RUN as a Hugging Face model, with proof of its logits."""
    from rexplug.pipeline import export_checkpoint

    folder, parity = export_checkpoint(run, checkpoint, target, onnx=onnx)
    echo(f"{folder}: logits equal within {parity['max_difference']:.1e}")
