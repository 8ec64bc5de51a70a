"""Imports Composer without its side effects."""

from __future__ import annotations

import logging
import signal
import threading
import warnings


def import_composer() -> None:
    """Import Composer; keep its and its libraries' messages off the terminal, and its signal handlers out of the process."""
    warnings.filterwarnings(
        "ignore", module=r"composer\..*|torchmetrics\..*|transformers\..*|google\..*|pkg_resources.*"
    )
    for name in ("composer", "transformers", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import composer  # noqa: F401
    if threading.current_thread() is threading.main_thread():  # Composer could set none in another thread
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Composer's handlers exit without saving
