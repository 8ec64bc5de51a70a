"""Trains a fastText classifier in a process of its own: `python -m rexplug_ecommerce.train_classifier OPTIONS_JSON`.

The published fastText wheels leave most of the input matrix as malloc returned it, so a training depends on what the
process did before. A fresh process whose allocator takes every large block as zeroed pages from the system
(`MALLOC_MMAP_THRESHOLD_=4096`), one thread and a fixed seed give the same bytes every time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from rexplug import RexplugError


def train(lines: Path, model: Path, *, dimension: int, buckets: int, epochs: int, seed: int) -> None:
    """Train on `lines` (`__label__x text`) and write `model`; equal inputs give equal files.

    Raises:
        RexplugError: the training process failed; the message ends with what it printed.
    """
    options = {
        "input": str(lines),
        "output": str(model),
        "dim": dimension,
        "bucket": buckets,
        "epoch": epochs,
        "seed": seed,
    }
    run = subprocess.run(
        [sys.executable, "-m", "rexplug_ecommerce.train_classifier", json.dumps(options)],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "4096"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RexplugError(f"training the relevance classifier on {lines} failed: {run.stderr.strip()[-500:]}")


def main(arguments: str) -> None:
    """Train in this process; `arguments` is the JSON that `train` writes."""
    import fasttext

    options = json.loads(arguments)
    output = options.pop("output")
    model = fasttext.train_supervised(**options, lr=0.5, wordNgrams=2, thread=1, verbose=0)
    model.save_model(output)


if __name__ == "__main__":
    main(sys.argv[1])
