"""Plugins in files that a recipe names (`plugins: [./legal.py]`), without packaging or installation.

The module of such a plugin has a name made from its content, so that a file that was edited is another module: in a notebook the
next run has the new code, and objects of an earlier one keep theirs. Worker processes load the same modules under the same names
before they receive components (`loaded_files`, `unpickle`).
"""

from __future__ import annotations

import importlib.util
import pickle
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from rexplug.errors import PluginError, error_text
from rexplug.plugins.fingerprint import files_hash

_PREFIX = "rexplug_file_"
PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""The names that a plugin may have."""
_paths: dict[str, str] = {}
"""Name of an imported module -> the file from which it was last loaded."""


@dataclass(frozen=True)
class PluginFile:
    """A plugin in a file: a module `legal.py`, or a folder `legal` with an `__init__.py`; its components are `legal.NAME`."""

    path: Path

    @property
    def name(self) -> str:
        """The plugin's name, that of the file."""
        return self.path.stem if self.path.suffix == ".py" else self.path.name

    def require(self) -> None:
        """Check that the file is there and can be a plugin.

        Raises:
            PluginError: it cannot; the message says what would be right.
        """
        if not self.path.exists():
            raise PluginError("there is no such file")
        if self.path.is_dir() and not (self.path / "__init__.py").is_file():
            raise PluginError("the folder has no __init__.py; name a Python file, or a folder with one")
        if self.path.is_file() and self.path.suffix != ".py":
            raise PluginError("this is not a Python file; name legal.py, or a folder legal with an __init__.py")
        if not PLUGIN_NAME.fullmatch(self.name):
            raise PluginError(
                f"a plugin has the name of its file, and '{self.name}' cannot be the name of a plugin (lower-case letters, "
                "digits and underscores, a letter first); rename the file"
            )

    def load(self) -> ModuleType:
        """Import the file, or return the module of the same content that this process imported before.

        Raises:
            PluginError: its code raised; the message has the line.
        """
        name = f"{_PREFIX}{self.name}_{files_hash(self.path)[:12]}"
        if name not in sys.modules:
            _execute(name, self.path)
        _paths[name] = str(self.path)
        return sys.modules[name]

    def line_of(self, error: BaseException) -> str:
        """The last line of the plugin's own code in a traceback, in brackets; empty if there is none."""
        return _line(error, self.path)


class _FreshLoader(SourceFileLoader):
    """Compiles the source at each import: Python cannot tell whether cached bytecode is older than an edit in the same second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _SubmoduleFinder:
    """Finds the other modules of a plugin that is a folder, which are compiled at each import, too."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The specification of a module below a plugin's package; None for all other modules."""
        if path is None or not name.startswith(_PREFIX):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _FreshLoader(name, spec.loader.path)
        return spec


sys.meta_path.insert(0, _SubmoduleFinder)


def _execute(name: str, path: Path) -> None:
    folder = [str(path)] if path.is_dir() else None
    file = path / "__init__.py" if path.is_dir() else path
    spec = importlib.util.spec_from_file_location(
        name, file, loader=_FreshLoader(name, str(file)), submodule_search_locations=folder
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    importlib.invalidate_caches()  # a module that was just added to the folder must be found
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # after Ctrl-C in a notebook, too, no module is left that is half imported
        for loaded in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(f"{name}.")]:
            del sys.modules[loaded]
        if isinstance(error, PluginError) or not isinstance(error, Exception | SystemExit):
            raise
        raise PluginError(f"{type(error).__name__}: {error_text(error)}{_line(error, path)}") from error


def _line(error: BaseException, path: Path) -> str:
    """The last line of the plugin's own code in a traceback, in brackets; empty for a syntax error, whose text has the line."""
    if isinstance(error, SyntaxError):
        return ""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(path)]
    return f" ({own[-1].filename}:{own[-1].lineno})" if own else ""


def loaded_files() -> dict[str, str]:
    """Name of the module -> path, of the plugin files that this process imported."""
    return dict(_paths)


def unpickle(data: bytes, files: Mapping[str, str]) -> Any:
    """Unpickle a value that may contain components of plugin files.

    Args:
        data: the pickled value.
        files: what `loaded_files` returned in the process that pickled it.

    Raises:
        PluginError: a file that is needed was removed or changed.
    """
    for name, path in files.items():
        if name not in sys.modules:
            with suppress(PluginError, OSError):  # it may be of an earlier run in that process, and not needed
                PluginFile(Path(path)).load()
    try:
        return pickle.loads(data)
    except ModuleNotFoundError as error:
        if error.name is None or error.name not in files:
            raise
        raise PluginError(
            f"{files[error.name]} was changed or removed while a run was using it; start the command again"
        ) from None
