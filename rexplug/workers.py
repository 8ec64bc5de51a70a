"""Worker processes for work that comes in shards: none outlives the run, and one that dies costs only its shard."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from rexplug.errors import DataError

T = TypeVar("T")


def run_shards(
    work: Callable[..., T], shards: Sequence[tuple[Any, ...]], *, workers: int, doing: str, setting: str
) -> Iterator[T]:
    """Call `work(*shard)` for every shard and yield what it returns, in the order in which shards are done.

    One worker, or one shard, runs in this process. `work` and its arguments are pickled otherwise.

    Raises:
        DataError: a worker process died; `doing` says at what (e.g. "curated 'web'"), `setting` is the recipe's key
            that lowers the number of workers.
    """
    if workers == 1 or len(shards) <= 1:
        for shard in shards:
            yield work(*shard)
        return
    with ProcessPoolExecutor(
        min(workers, len(shards)), mp_context=get_context("spawn"), initializer=_end_with_parent
    ) as pool:
        jobs = [pool.submit(work, *shard) for shard in shards]
        try:
            for job in as_completed(jobs):
                yield job.result()
        except BrokenProcessPool:
            raise DataError(
                f"a worker died while it {doing} (killed, or out of memory); finished shards are kept and the same "
                f"command goes on from there. With less memory, lower {setting}"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """Let a worker end when the main process is killed; it would wait for work for ever, or write beside a new run."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
