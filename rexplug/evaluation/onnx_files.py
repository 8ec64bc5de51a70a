"""Finds the ONNX graph of a model among its files; imports neither torch nor ONNX Runtime, so that `rexplug check` can too."""

from __future__ import annotations

from pathlib import Path

from rexplug.errors import DataError
from rexplug.io.json_files import require_file

_USUAL = ("onnx/model.onnx", "model.onnx")
"""Where optimum, sentence-transformers and `rexplug export --onnx` write graphs, in the order in which they are looked for."""


def find_graph(folder: Path, file: str) -> Path:
    """The ONNX graph of a model.

    Args:
        folder: the model's folder.
        file: the graph below it; if it is empty, the usual place, or the only graph that there is.

    Raises:
        DataError: there is none, or several and none of them at the usual place.
    """
    if file:
        path = folder / file
        if not path.exists():
            raise DataError(f"{folder} has no ONNX graph {file}; {_there_are(folder)}")
        require_file(path)
        return path
    for name in _USUAL:
        if (folder / name).exists():
            return folder / name
    graphs = sorted(folder.rglob("*.onnx"))
    if len(graphs) == 1:
        return graphs[0]
    raise DataError(f"{folder} has no {_USUAL[0]}; {_there_are(folder)}")


def graph_files(graph: Path) -> list[Path]:
    """The files of a graph: itself, and its weights where they are in a file beside it."""
    return sorted(path for path in graph.parent.iterdir() if path.is_file() and path.name.startswith(graph.name))


def hub_patterns(file: str) -> list[str]:
    """Patterns of the files of a graph on the hub."""
    return [f"{name}*" for name in ((file,) if file else _USUAL)]


def _there_are(folder: Path) -> str:
    graphs = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.onnx"))]
    return f"there are {', '.join(graphs)} (option `file`)" if graphs else "there is no .onnx file in it"
