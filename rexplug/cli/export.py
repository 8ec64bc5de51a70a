"""`rexplug export`: write a checkpoint of a run as a Hugging Face model."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli.terminal import echo


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--checkpoint", metavar="PHASE[/STEP]", help="A phase, or one of its steps; the newest checkpoint by default."
)
@click.option(
    "--to", "target", type=click.Path(path_type=Path), help="The folder to write; RUN/exports/PHASE-STEP by default."
)
@click.option(
    "--onnx",
    is_flag=True,
    help="Also write model.onnx (logits, last_hidden_state) and compare its outputs (needs the extra `onnx`).",
)
def export(run: Path, checkpoint: str | None, target: Path | None, onnx: bool) -> None:
    """Write a checkpoint of the run in directory RUN as a Hugging Face model, and compare its logits with those of training."""
    from rexplug import api

    folder, parity = api.export_checkpoint(run, checkpoint, to=target, onnx=onnx)
    echo(f"{folder}: logits equal within {parity['max_difference']:.1e}")
