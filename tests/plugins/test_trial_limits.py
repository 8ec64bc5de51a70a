"""Inside `trial_limits` no connection is opened and no slow package is imported; outside everything is as before."""

import socket
import sys
import threading
from importlib.util import find_spec

import pytest

from rexplug.plugins.trial_limits import TrialOver, trial_limits


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def test_connections_are_refused_inside_and_open_outside(server):
    with trial_limits():
        with pytest.raises(TrialOver, match=r"^it opens a network connection$"):
            socket.create_connection(server)
        with socket.socket() as connection, pytest.raises(TrialOver):
            connection.connect_ex(server)
        with pytest.raises(TrialOver):
            socket.getaddrinfo("localhost", 80)
    socket.create_connection(server).close()
    assert "connect" not in vars(socket.socket)


def test_what_another_library_replaced_is_put_back(monkeypatch):
    def connect(self, address):
        raise AssertionError("not part of the test")

    monkeypatch.setattr(socket.socket, "connect", connect, raising=False)
    with trial_limits():
        assert socket.socket.connect is not connect
    assert socket.socket.connect is connect


def test_threads_that_ran_before_may_connect(server):
    inside, connected = threading.Event(), []

    def connect():
        inside.wait()
        socket.create_connection(server).close()
        connected.append(True)

    thread = threading.Thread(target=connect)
    thread.start()
    with trial_limits():
        inside.set()
        thread.join()
    assert connected == [True]


def test_pairs_of_sockets_and_unix_sockets_are_allowed(tmp_path):
    with trial_limits():
        one, other = socket.socketpair()
        one.close()
        other.close()
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as connection:
            listening.bind(str(tmp_path / "s"))
            listening.listen()
            connection.connect(str(tmp_path / "s"))


def test_slow_packages_are_found_but_not_imported(tmp_path, monkeypatch):
    (tmp_path / "jax.py").write_text("VALUE = 7")
    (tmp_path / "asks.py").write_text("from importlib.util import find_spec\nhas_jax = find_spec('jax') is not None")
    (tmp_path / "needs.py").write_text("try:\n    import jax\nexcept ImportError:\n    jax = None")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("jax", "asks", "needs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    before = list(sys.meta_path)
    with trial_limits():
        import asks

        assert asks.has_jax
        assert find_spec("mteb_without_this_name") is None
        with pytest.raises(TrialOver, match=r"^it imports jax$"):
            import needs
    assert sys.meta_path == before
    import jax
    import needs

    assert needs.jax is jax
    assert jax.VALUE == 7
    with trial_limits():
        import jax
    for name in ("jax", "asks", "needs"):
        del sys.modules[name]
