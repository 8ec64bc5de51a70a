"""Failures of communication as torch, NCCL and gloo report them, as one sentence; and a lost peer that raises no error."""

import json
import subprocess
import sys
from datetime import timedelta

import pytest
import torch.distributed as dist

from rexplug import distributed
from rexplug.distributed import peers
from rexplug.distributed.rendezvous import compare_ranks
from rexplug.errors import DataError, RankLost

RESUMES = "the same command resumes from the last checkpoint"
LOST = f"rank 1 lost another rank and ends; {RESUMES}"
LATE = f"rank 1 of 4 waited too long for another rank, which is stuck or far behind, and ends; {RESUMES}"
NCCL = "NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:3356, "


@pytest.fixture
def rank_1(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            dist.DistBackendError(
                f"{NCCL}remote process exited or there was a network error, NCCL version 2.26.2\nncclRemoteError: A call "
                "failed possibly due to a network error or a remote process exiting prematurely.\nLast error:\n"
                "socketProgress: Connection closed by remote peer node-2<41234>"
            ),
            RankLost, LOST,
        ),
        (dist.DistBackendError("NCCL communicator was aborted on rank 1."), RankLost, LOST),
        (
            dist.DistBackendError(
                "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=41, OpType=ALLREDUCE, NumelIn=8, "
                "NumelOut=8, Timeout(ms)=1800000) ran for 1800043 milliseconds before timing out."
            ),
            RankLost, LATE,
        ),
        (
            dist.DistBackendError(
                f"{NCCL}invalid usage (run with NCCL_DEBUG=WARN for details), NCCL version 2.26.2\nncclInvalidUsage: This "
                "usually reflects invalid usage of NCCL library.\nLast error:\nDuplicate GPU detected : rank 1 and rank 0 both "
                "on CUDA device 1b000"
            ),
            DataError,
            "rank 1 of 4 has the same GPU as another rank; each needs a GPU of its own (LOCAL_RANK numbers the ranks of a machine, "
            "CUDA_VISIBLE_DEVICES names what they see)",
        ),
        (
            dist.DistBackendError(
                f"{NCCL}unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.26.2\nncclSystemError: "
                "System call (e.g. socket, malloc) or external library call failed or device error.\nLast error:\nError while "
                "creating shared memory segment /dev/shm/nccl-Zx2a (size 9637888), error: No space left on device (28)"
            ),
            DataError,
            "rank 1 of 4: NCCL cannot use this machine's network, /dev/shm or GPUs (Error while creating shared memory segment "
            "/dev/shm/nccl-Zx2a (size 9637888), error: No space left on device (28)); NCCL_SOCKET_IFNAME names the network "
            "interface, NCCL_DEBUG=INFO prints more",
        ),
        (
            dist.DistBackendError(
                f"{NCCL}unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.26.2\n"
                "ncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\nCuda failure 999 'unknown error'"
            ),
            DataError,
            "rank 1 of 4: a GPU failed under NCCL (Cuda failure 999 'unknown error'); NCCL_DEBUG=INFO prints more",
        ),
        (
            dist.DistBackendError(f"{NCCL}invalid argument, NCCL version 2.26.2\nncclInvalidArgument: Invalid value for an argument."),
            DataError,
            f"rank 1 of 4: NCCL does not accept its settings ({NCCL}invalid argument, NCCL version 2.26.2); do all ranks have the same "
            "NCCL_ variables and the same version of NCCL?",
        ),
        (
            dist.DistBackendError("ProcessGroupNCCL is only supported with GPUs, no GPUs found!"),
            DataError,
            "rank 1 of 4 and the others communicate by different libraries (ProcessGroupNCCL is only supported with GPUs, no "
            "GPUs found!); all need a GPU, or none",
        ),
        (
            dist.DistBackendError("NCCL error of a version to come"),
            DataError, "rank 1 of 4 cannot communicate with the other ranks: NCCL error of a version to come",
        ),
        (
            dist.DistNetworkError("failed to recv, got 0 bytes. Connection was likely closed. Did the remote server shutdown or crash?"),
            RankLost, LOST,
        ),
        (dist.DistStoreError("wait timeout after 1800000ms, keys: /default_pg/0//cuda//0"), RankLost, LATE),
        (
            RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:54612"),
            RankLost, LOST,
        ),
        (
            RuntimeError(
                "[../third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv operation to "
                "complete"
            ),
            RankLost, LATE,
        ),
    ],
)  # fmt: skip
def test_a_failure_of_communication_is_one_sentence(rank_1, error, kind, sentence):
    with pytest.raises(DataError) as raised, distributed.communication_explained():
        raise error
    assert type(raised.value) is kind
    assert str(raised.value) == sentence


@pytest.mark.parametrize("error", [RuntimeError("The size of tensor a (3) must match"), ValueError("NCCL")])
def test_other_errors_stay_what_they_are(rank_1, error):
    with pytest.raises(type(error)) as raised, distributed.communication_explained():
        raise error
    assert raised.value is error


def test_in_a_run_of_one_process_no_error_is_about_ranks(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(RuntimeError, match="gloo"), distributed.communication_explained():
        raise RuntimeError("gloo is missing")


@pytest.fixture
def store():
    return dist.HashStore()


@pytest.mark.parametrize(
    ("first", "theirs", "message"),
    [
        (
            {"device": "GPU"}, {"device": "CPU"},
            "rank 1 of 2 has no GPU that torch can use, and rank 0 has one; all need one, or none (CUDA_VISIBLE_DEVICES= hides them)",
        ),
        (
            {"device": "CPU"}, {"device": "GPU"},
            "rank 0 of 2 has no GPU that torch can use, and rank 1 has one; all need one, or none (CUDA_VISIBLE_DEVICES= hides them)",
        ),
        (
            {"device": "GPU", "torch": "2.7.0"}, {"device": "GPU", "torch": "2.11.0"},
            "rank 1 of 2 runs torch 2.11.0, and rank 0 2.7.0; install the same version for all",
        ),
    ],
)  # fmt: skip
def test_ranks_that_differ_are_refused_by_every_rank(store, monkeypatch, first, theirs, message):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for number, kind in enumerate((first, theirs)):
        store.set(f"rexplug/rank-{number}", json.dumps(kind))
    for number, kind in enumerate((first, theirs)):
        monkeypatch.setenv("RANK", str(number))
        with pytest.raises(DataError) as error:
            compare_ranks(store, kind, 5)
        assert str(error.value) == message


def test_a_rank_that_does_not_come_to_be_compared(store, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    store.set_timeout(timedelta(seconds=1))
    with pytest.raises(DataError, match=r"rank 0 of 2 waited 1 s for the other ranks at the store; were all 2 started"):
        compare_ranks(store, {"device": "CPU"}, 1)


@pytest.mark.slow
@pytest.mark.parametrize("dies", [0, 1])
def test_a_rank_that_hangs_where_no_error_reaches_it_ends_when_its_peer_is_gone(tmp_path, dies):
    """The other rank sleeps in C, like one that waits for a GPU; no signal and no collective wakes it."""
    code = (
        "import ctypes, os, signal, sys; from rexplug import distributed; from rexplug.distributed import peers\n"
        "peers.GRACE_SECONDS = 0.5\n"
        "distributed.connect(); distributed.barrier()\n"
        "if distributed.rank() == int(sys.argv[1]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "ctypes.CDLL(None).sleep(100)\n"
    )
    run = (
        "import sys; from pathlib import Path; from rexplug import distributed; from rexplug.errors import DataError\n"
        "try: distributed.launch(2, [sys.executable, '-c', *sys.argv[1:3]], Path(sys.argv[3]))\n"
        "except DataError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", run, code, str(dies), str(tmp_path / "logs")], capture_output=True, text=True, timeout=90
    )
    assert done.stdout.startswith(f"rank {dies} of 2 was ended by SIGKILL; the other ranks were stopped.")
    said = done.stderr if dies == 1 else (tmp_path / "logs" / "rank-1.log").read_text()
    assert f"rexplug: rank {dies} of 2 is gone, so rank {1 - dies} ends; {RESUMES}\n" in said


def test_a_watch_that_was_stopped_ends_no_process(store, monkeypatch):
    """Both ends in this process: rank 0's watch sees the other one go, and is stopped within its grace."""
    ended = []
    monkeypatch.setattr(peers, "_end", lambda lost, code: ended.append((lost, code)))
    monkeypatch.setattr(peers, "GRACE_SECONDS", 0.2)
    monkeypatch.setenv("WORLD_SIZE", "2")

    def watches():
        made = []
        for number in ("0", "1"):
            monkeypatch.setenv("RANK", number)
            made.append(peers.PeerWatch(store, "127.0.0.1", 3))
        return made

    first, second = watches()
    first.stop()
    second.stop()
    for watch in (first, second):
        watch.thread.join(10)
    assert ended == []
    first, second = watches()
    second.stop()
    first.thread.join(10)
    assert ended == [("rank 1", 3)]
