"""Fingerprints of plugin code: a hash of a plugin's own files, so that changed code redoes the stages that used it."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

from rexplug.components import Component
from rexplug.components.base import components_in
from rexplug.plugins.calls import foreign_classes

_CORE = "rexplug"
_SHARED = ("site-packages", "dist-packages")
"""Folders that hold modules of many distributions."""
_IGNORED = ("__pycache__", ".pyc", ".pyo", "~", ".egg-info", ".dist-info")
"""Endings of file and folder names that do not enter the hash."""
_SETTINGS = ("recipe.yaml", "recipes", "suite.yaml")
"""Files and folders beside a plugin's module that hold no code: what a run takes from them has fingerprints of its own."""


class PluginCode:
    """Identifies the code of plugins. The files of a plugin are read once; a new object reads them again.

    Args:
        versions: plugin -> version, which is put before the hash of the files.
    """

    def __init__(self, versions: Mapping[str, str]) -> None:
        self._versions = versions
        self._hashes: dict[Path, str] = {}

    def of(self, components: Iterable[Component | None]) -> dict[str, str]:
        """Plugin -> version and hash of its files, for the plugins that components, their options and base classes come from.

        Packages of the classes that an option names (`Component.foreign_classes`) count as plugins.

        The core is left out: its stages have format versions instead. The plugins that ship with rexplug have no version of
        their own, only the hash.
        """
        roots: dict[str, dict[str, Path | type]] = {}
        for component in components_in(components):
            for base in type(component).__mro__:
                package = base.__module__.partition(".")[0]
                if issubclass(base, Component) and package != _CORE:
                    plugin = base.name.partition(".")[0] or package
                    for name, root in _roots(base):
                        roots.setdefault(plugin, {})[name] = root
            for foreign in foreign_classes(component):
                roots.setdefault(foreign.__module__.partition(".")[0], {}).update(_roots(foreign))
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
            self._hashes[root] = files_hash(root)
        return self._hashes[root]


@cache
def core_code(packages: tuple[str, ...]) -> str:
    """Hash of the files of some packages of the core, such as `evaluation`; read once, since this process has their code loaded."""
    folder = Path(__file__).parents[1]
    digest = hashlib.blake2b(digest_size=8)
    for package in packages:
        digest.update(files_hash(folder / package).encode())
    return digest.hexdigest()


def _roots(component: type) -> Iterator[tuple[str, Path | type]]:
    """The code of a class's plugin: its package, or its module and the modules in the same folder that it imports.

    A class that was typed into a session, not read from a file, is hashed by its source text.
    """
    parts = component.__module__.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None:
            continue  # a namespace package, which many distributions share
        path = Path(file)
        if path.name == "__init__.py":
            yield name, path.parent
        else:
            yield from _modules_in(path.parent, sys.modules[name], {})
        return
    yield f"{component.__module__}.{component.__qualname__}", component


def _modules_in(folder: Path, module: ModuleType, seen: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """A module and those in the same folder that it imports, directly or not."""
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
            yield from _modules_in(folder, other, seen)


def files_hash(root: Path) -> str:
    """A hash of the name and content of a file, or of all files below a folder but its recipes and suite."""
    digest = hashlib.blake2b(digest_size=16)
    for path in code_files(root):
        if path != root and path.relative_to(root).parts[0] in _SETTINGS:
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
        digest.update(f"{path.relative_to(root.parent).as_posix()}\n".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def code_files(root: Path) -> Iterator[Path]:
    """The file, or the files below a folder in order, that belong to a plugin's code: neither hidden nor compiled ones."""
    for path in [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file()):
        parts = path.relative_to(root.parent).parts
        if not any(part.startswith(".") or part.endswith(_IGNORED) for part in parts):
            yield path


def _text_hash(component: type) -> str:
    try:
        text = inspect.getsource(component)
    except (OSError, TypeError):
        return "unknown"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def comes_with_rexplug(component: Component) -> bool:
    """Whether a component is one of rexplug's own, or of the plugins in the same distribution."""
    plugin, dot, _ = component.name.partition(".")
    return type(component).__module__.partition(".")[0] == _CORE or (bool(dot) and plugin in _shipped())


@cache
def _shipped() -> frozenset[str]:
    """The plugins that ship with rexplug."""
    try:
        points = distribution(_CORE).entry_points
    except PackageNotFoundError:
        return frozenset()
    return frozenset(point.name for point in points if point.group == _CORE)
