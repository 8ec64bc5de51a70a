"""Fixtures of the tests with files that rexplug did not write."""

import functools

import pytest

from rexplug.plugins import discovery
from rexplug.recipe import load

_ONCE = functools.cache(discovery.load_plugins)


@pytest.fixture(scope="module", autouse=True)
def _plugins_are_loaded_once():
    """Hundreds of recipes are read here, and loading the plugins takes ten times as long as reading one.

    Module by module: tests of other folders, which load plugins of their own, run between in the same process.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (discovery, load):
            if hasattr(module, "load_plugins"):
                patch.setattr(module, "load_plugins", _ONCE)
        yield
