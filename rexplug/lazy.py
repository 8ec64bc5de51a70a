"""Packages whose names are imported when they are first used, so that importing a package costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from rexplug.renamed import Renamed, warn_renamed


def lazy_names(
    package: str, names: Mapping[str, Iterable[str]], renamed: Mapping[str, Renamed] | None = None
) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package: it imports a name from its module and keeps it in the package.

    Args:
        package: the package's `__name__`.
        names: full name of a module -> the names of the package that it defines.
        renamed: former name -> what replaces it; its use is warned of.
    """
    module_of = {name: module for module, defined in names.items() for name in defined}

    def load(name: str) -> Any:
        if renamed is not None and name in renamed:
            warn_renamed(f"{package}.{name}", Renamed(f"{package}.{renamed[name].new}", renamed[name].until))
            return getattr(sys.modules[package], renamed[name].new)
        if name not in module_of:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value = getattr(import_module(module_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
