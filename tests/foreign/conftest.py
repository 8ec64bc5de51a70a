"""What the tests over foreign things share."""

import functools

import pytest

from rexplug import plugins
from rexplug.recipe import load


@pytest.fixture(scope="session", autouse=True)
def _plugins_are_loaded_once():
    """Hundreds of recipes are read here, and loading the plugins takes ten times as long as reading one."""
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(plugins.load_plugins)
        for module in (plugins, load):
            if hasattr(module, "load_plugins"):
                patch.setattr(module, "load_plugins", once)
        yield
