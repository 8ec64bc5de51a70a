"""datatrove reports on its own, in its own format; progress is ours to tell."""

from __future__ import annotations

import os


def silence_datatrove() -> None:
    """Keep datatrove from reporting on its own."""
    from loguru import logger

    logger.disable("datatrove")
    os.environ.setdefault("TQDM_DISABLE", "1")
