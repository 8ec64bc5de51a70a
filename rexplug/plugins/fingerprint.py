"""What the code of plugins is: a hash of their own files, so that a result is known to come from this code and no other."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from typing import Any

from rexplug.components import Component

_CORE = "rexplug"
_SHARED = ("site-packages", "dist-packages")
"""Folders whose modules do not belong to each other."""
_IGNORED = ("__pycache__", ".pyc", ".pyo", "~", ".egg-info", ".dist-info")
"""Ends of the names of files and folders that decide nothing."""


class PluginCode:
    """Identifies the code of plugins, each read once; a new object reads the files again.

    Args:
        versions: plugin -> version, which stands beside the hash of the files.
    """

    def __init__(self, versions: Mapping[str, str]) -> None:
        self._versions = versions
        self._hashes: dict[Path, str] = {}

    def of(self, components: Iterable[Component | None]) -> dict[str, str]:
        """Plugin -> version and hash of its files, for the plugins that the components, their options and their base
        classes come from.

        The core is left out: what its code makes has a format version per stage. The plugins that come with rexplug have
        no version of their own, and their hash stands alone.
        """
        roots: dict[str, dict[str, Path | type]] = {}
        for component in _walk(components):
            for found in type(component).__mro__:
                package = found.__module__.partition(".")[0]
                if issubclass(found, Component) and package != _CORE:
                    plugin = found.name.partition(".")[0] or package
                    for name, root in _roots(found):
                        roots.setdefault(plugin, {})[name] = root
        return {plugin: self._identity(plugin, roots[plugin]) for plugin in sorted(roots)}

    def _identity(self, plugin: str, roots: Mapping[str, Path | type]) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for name, root in sorted(roots.items()):
            digest.update(f"{name}\n{self._hash(root)}\n".encode())
        version = self._versions.get(plugin)
        return digest.hexdigest() if version is None or plugin in _shipped() else f"{version} {digest.hexdigest()}"

    def _hash(self, root: Path | type) -> str:
        if not isinstance(root, Path):
            return _text_hash(root)
        if root not in self._hashes:
            self._hashes[root] = _files_hash(root)
        return self._hashes[root]


def _walk(values: Iterable[Any]) -> Iterator[Component]:
    """Components and the components among their options, at any depth."""
    for value in values:
        if isinstance(value, Component):
            yield value
            yield from _walk(getattr(value, field) for field in type(value).model_fields)
        elif isinstance(value, Mapping):
            yield from _walk(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            yield from _walk(value)


def _roots(found: type) -> Iterator[tuple[str, Path | type]]:
    """What belongs to the plugin of a class: its package, or its module with those beside it that it imports.

    A class that was typed in, and not read from a file, stands for itself.
    """
    parts = found.__module__.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None:
            continue  # a namespace package, which many distributions share
        path = Path(file)
        if path.name == "__init__.py":
            yield name, path.parent
        else:
            yield from _beside(sys.modules[name], path.parent, {})
        return
    yield f"{found.__module__}.{found.__qualname__}", found


def _beside(module: ModuleType, folder: Path, seen: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    path = Path(str(module.__file__))
    if module.__name__ in seen:
        return
    seen[module.__name__] = path
    yield module.__name__, path
    if folder.name in _SHARED:
        return
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        other = sys.modules.get(name) if isinstance(name, str) else None
        file = getattr(other, "__file__", None)
        if other is not None and file is not None and Path(file).parent == folder:
            yield from _beside(other, folder, seen)


def _files_hash(root: Path) -> str:
    """Names and contents of a file, or of all files below a folder."""
    digest = hashlib.blake2b(digest_size=16)
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    for path in files:
        name = path.relative_to(root.parent)
        if any(part.startswith(".") or part.endswith(_IGNORED) for part in name.parts):
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
        digest.update(f"{name.as_posix()}\n".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _text_hash(found: type) -> str:
    try:
        text = inspect.getsource(found)
    except (OSError, TypeError):
        return "unknown"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def comes_with_rexplug(component: Component) -> bool:
    """Whether a component is one of rexplug's own, or of the plugins in the same distribution."""
    plugin, dot, _ = component.name.partition(".")
    return type(component).__module__.partition(".")[0] == _CORE or (bool(dot) and plugin in _shipped())


@cache
def _shipped() -> frozenset[str]:
    """The plugins of rexplug's own distribution."""
    try:
        points = distribution(_CORE).entry_points
    except PackageNotFoundError:
        return frozenset()
    return frozenset(point.name for point in points if point.group == _CORE)
