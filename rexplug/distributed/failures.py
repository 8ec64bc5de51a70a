"""Failures of communication between ranks: what torch, NCCL and gloo raise, as one sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rexplug.distributed.environment import rank, world_size
from rexplug.errors import DataError, RankLost

_RESUMES = "the same command resumes from the last checkpoint"


class _Failure(NamedTuple):
    texts: tuple[str, ...]
    """Parts of messages; the first failure of the table that has one of them is taken."""
    kind: type[DataError]
    sentence: str
    """With `{rank}`, `{ranks}` and `{detail}`."""


_FAILURES = (
    _Failure(
        ("Duplicate GPU detected",),
        DataError,
        "rank {rank} of {ranks} has the same GPU as another rank; each needs a GPU of its own (LOCAL_RANK numbers the ranks of "
        "a machine, CUDA_VISIBLE_DEVICES names what they see)",
    ),
    _Failure(
        ("no GPUs found",),
        DataError,
        "rank {rank} of {ranks} and the others communicate by different libraries ({detail}); all need a GPU, or none",
    ),
    _Failure(
        ("Watchdog caught collective operation timeout", "NCCL timeout", "Timed out waiting", "timed out", "wait timeout"),
        RankLost,
        "rank {rank} of {ranks} waited too long for another rank, which is stuck or far behind, and ends; " + _RESUMES,
    ),
    _Failure(
        (
            "ncclRemoteError", "remote process exited", "Remote process error", "communicator was aborted",
            "Connection closed", "Connection reset", "Connection refused", "Connection was likely closed", "Broken pipe",
            "Socket closed", "failed to recv, got 0 bytes",
        ),
        RankLost,
        "rank {rank} lost another rank and ends; " + _RESUMES,
    ),
    _Failure(
        ("ncclSystemError", "unhandled system error"),
        DataError,
        "rank {rank} of {ranks}: NCCL cannot use this machine's network, /dev/shm or GPUs ({detail}); NCCL_SOCKET_IFNAME names "
        "the network interface, NCCL_DEBUG=INFO prints more",
    ),
    _Failure(
        ("ncclUnhandledCudaError", "unhandled cuda error"),
        DataError,
        "rank {rank} of {ranks}: a GPU failed under NCCL ({detail}); NCCL_DEBUG=INFO prints more",
    ),
    _Failure(
        ("ncclInvalidUsage", "ncclInvalidArgument", "invalid usage", "invalid argument"),
        DataError,
        "rank {rank} of {ranks}: NCCL does not accept its settings ({detail}); do all ranks have the same NCCL_ variables and "
        "the same version of NCCL?",
    ),
)  # fmt: skip
_MARKS = ("gloo", "NCCL", "nccl", "ProcessGroup", "Connection")
"""What messages of a plain RuntimeError contain if they are about communication: gloo raises no class of its own."""


def explain(error: BaseException) -> DataError | None:
    """A communication failure as an error for the user; None for other errors, and in a run of one process.

    It is a `RankLost` if this rank is only a victim of another one, which matters for exit codes.
    """
    if world_size() == 1 or not isinstance(error, RuntimeError):
        return None
    text = str(error)
    if not _is_of_communication(error, text):
        return None
    named = {"rank": rank(), "ranks": world_size(), "detail": _detail(text)}
    for failure in _FAILURES:
        if any(part in text for part in failure.texts):
            return failure.kind(failure.sentence.format(**named))
    return DataError("rank {rank} of {ranks} cannot communicate with the other ranks: {detail}".format(**named))


def cannot_connect(error: RuntimeError, store: str) -> DataError:
    """Why ranks that met at a store, `HOST:PORT`, cannot form a process group."""
    explained = explain(error)
    if explained is not None and not isinstance(explained, RankLost):
        return explained
    return DataError(
        f"rank {rank()} of {world_size()} reached the store at {store}, but cannot connect to the other ranks: "
        f"{_detail(str(error))} (GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name the network interface to use)"
    )


def _is_of_communication(error: RuntimeError, text: str) -> bool:
    # By name, since this module is imported where torch is not.
    ours = any(kind.__name__ == "DistError" for kind in type(error).__mro__)
    return ours or any(mark in text for mark in _MARKS)


def _detail(text: str) -> str:
    """The line that says most: NCCL's last error where there is one, else the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason is given"]
    for number, line in enumerate(lines[:-1]):
        if line.startswith("Last error"):
            return lines[number + 1]
    return lines[0]


@contextmanager
def communication_explained() -> Iterator[None]:
    """Raise failures of communication inside the context as one sentence.

    Raises:
        RankLost: another rank is gone, or did not come in time.
        DataError: this rank cannot communicate.
    """
    try:
        yield
    except RuntimeError as error:
        explained = explain(error)
        if explained is None:
            raise
        raise explained from None
