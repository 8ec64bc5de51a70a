"""Ranks that cannot connect to each other report why, and stop on a signal."""

import signal
import socket
import threading
import time

import pytest

from rexplug import distributed
from rexplug.distributed import process_group
from rexplug.errors import DataError


@pytest.fixture
def second(monkeypatch):
    """Makes this process rank 1 of 2; keywords change its environment. A wait that a signal interrupts ends with the test."""
    monkeypatch.setattr(process_group, "_leaked_groups", [])
    monkeypatch.setattr(process_group, "_collective_lock", threading.Lock())

    def become(**changes):
        usual = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
        monkeypatch.setenv("REXPLUG_RENDEZVOUS_SECONDS", "1")
        monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
        for name, value in (usual | changes).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)

    return become


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"RANK": "two"},
            "the environment has RANK='two', which is not a number; torchrun, srun and --processes set it",
        ),
        (
            {"WORLD_SIZE": "-2"},
            "the environment has WORLD_SIZE='-2', which is not a number; torchrun, srun and --processes",
        ),
        ({"WORLD_SIZE": "0"}, "the environment has WORLD_SIZE=0; at least one process trains"),
        ({"RANK": "2"}, "the environment has RANK=2 and WORLD_SIZE=2; ranks are 0 to 1"),
        ({"MASTER_PORT": "70000"}, "the environment has MASTER_PORT=70000; ports are 1 to 65535"),
        (
            {"MASTER_ADDR": None, "MASTER_PORT": ""},
            "the environment has WORLD_SIZE=2, but no MASTER_ADDR and no MASTER_PORT; torchrun, srun and --processes set",
        ),
        (
            {"MASTER_ADDR": "no-such-host.invalid"},
            "rank 1 of 2 cannot find the machine of rank 0: MASTER_ADDR 'no-such-host.invalid' has no address (",
        ),
        (
            {},
            "rank 1 of 2 waited 1 s for the other ranks at 127.0.0.1:29511; were all 2 started, with the same MASTER_ADDR "
            "and MASTER_PORT, and can they reach each other? (REXPLUG_RENDEZVOUS_SECONDS sets how long they wait)",
        ),
    ],
)
def test_ranks_that_do_not_meet_report_the_cause(second, changes, message):
    second(**changes)
    with pytest.raises(DataError) as error:
        distributed.connect()
    assert str(error.value).startswith(message)


def test_a_port_in_use_is_named(second):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        second(RANK="0", MASTER_PORT=str(port))
        with pytest.raises(DataError) as error:
            distributed.connect()
    assert str(error.value) == (
        f"MASTER_PORT {port} cannot be opened on this machine (Address already in use), so the ranks cannot meet there; give "
        "all ranks another one"
    )


def test_a_rank_that_waits_for_the_others_hears_signals(second):
    second(REXPLUG_RENDEZVOUS_SECONDS="20", MASTER_PORT="29512")

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    began = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            distributed.connect()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 10
