"""The plugin of the tests is installed."""

import pytest

from rexplug.plugins.calls import call


@pytest.fixture
def installed(monkeypatch):
    """The plugin `legal` comes with a distribution of version 0.1.0."""
    monkeypatch.setattr(call, "_version", {"legal": "0.1.0"}.get)
