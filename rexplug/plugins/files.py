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
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from rexplug.errors import PluginError, error_text
from rexplug.plugins.fingerprint import files_hash

_PREFIX = "rexplug_file_"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_paths: dict[str, str] = {}
"""Name of an imported module -> where a file of that content was seen last."""


@dataclass(frozen=True)
class PluginFile:
    """A plugin in a file: a module `legal.py`, or a folder `legal` with an `__init__.py`. Its components begin with `legal.`"""

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
            raise PluginError("this is no Python file; name legal.py, or a folder legal with an __init__.py")
        if not _NAME.fullmatch(self.name):
            raise PluginError(
                f"a plugin is called as its file, and '{self.name}' is no name of a plugin (small letters, digits and "
                "underscores, a letter first); rename the file"
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


class _FreshLoader(SourceFileLoader):
    """Compiles the file itself: the bytecode beside it may be of an edit in the same second, which Python does not tell apart."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


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
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        for loaded in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(f"{name}.")]:
            del sys.modules[loaded]
        if isinstance(error, PluginError):
            raise
        raise PluginError(f"{type(error).__name__}: {error_text(error)}{_line(error, path)}") from error


def _line(error: BaseException, path: Path) -> str:
    """The plugin's own line at which an exception left it, in brackets; empty for a syntax error, whose text has the line."""
    if isinstance(error, SyntaxError):
        return ""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(path)]
    return f" ({own[-1].filename}:{own[-1].lineno})" if own else ""


def loaded_files() -> dict[str, str]:
    """Name of the module -> path, of the plugin files that this process imported."""
    return dict(_paths)


def unpickle(data: bytes, files: Mapping[str, str]) -> Any:
    """Unpickle in this process what may hold components of plugin files.

    Args:
        data: the pickled value.
        files: what `loaded_files` returned in the process that pickled it.

    Raises:
        PluginError: a file that is needed is gone, or its content is another one now.
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
