"""Turns datatrove's own log messages and progress bars off: rexplug reports progress itself."""

from __future__ import annotations

import os


def silence_datatrove() -> None:
    """Turn datatrove's messages and bars off, in this process and in those that it starts."""
    from loguru import logger

    logger.disable("datatrove")
    # tqdm reads its switch from the environment alone; what the user has set stays.
    os.environ.setdefault("TQDM_DISABLE", "1")
