"""Everything that affects the result of an evaluator on a model: content of files, options, code and versions of libraries.

A stored result is used again only under the same key. A change of something that is not in the key goes unnoticed, so that the
key covers too much rather than too little: files of a model's folder count unless they are known not to matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from rexplug.components import Budget, Evaluator
from rexplug.errors import DataError
from rexplug.evaluation.lexical import LEXICAL_KINDS
from rexplug.evaluation.models import tokenizer_beside
from rexplug.evaluation.onnx_files import find_graph, graph_files
from rexplug.io.file_content import content_hashes, files_below
from rexplug.io.hub import cached_model
from rexplug.plugins.calls import input_files, option_files
from rexplug.plugins.fingerprint import PluginCode, core_code

if TYPE_CHECKING:
    from rexplug.evaluation.models import ModelSpec

FORMAT = 2
"""Version of how results are written; stored results of another version are not used."""
CODE = ("components", "corpus", "evaluation", "io", "model", "text", "tokens")
"""Packages of the core whose code affects results: the harness, the evaluators, and the code that reads and runs models."""
_LIBRARIES = (
    "bm25s", "datasets", "mteb", "numpy", "onnxruntime", "pytrec-eval-terrier", "safetensors", "scikit-learn", "scipy",
    "sentence-transformers", "tokenizers", "torch", "transformers",
)  # fmt: skip
_WEIGHTS = (".safetensors", ".bin")
_IGNORED_FILES = (
    ".md", ".py", ".pyc", ".html", ".svg", ".png", ".jpg", ".gif", ".pdf", ".log",
    ".h5", ".msgpack", ".ot", ".tflite", ".gguf",  # weights of other frameworks
    ".pt", ".pth", ".distcp",  # states of an optimizer or trainer
)  # fmt: skip
_IGNORED_FOLDERS = ("onnx", "openvino", "coreml", "gguf", "runs", "logs", "checkpoint-", "__pycache__")
"""Beginnings of names of folders with other formats, logs or other models."""


def evaluation_code() -> dict[str, str]:
    """`rexplug` -> hash of the code of the core that affects results, as `PluginCode.of` gives it for plugins."""
    return {"rexplug": core_code(CODE)}


def library_versions() -> dict[str, str]:
    """Package -> version of the libraries that compute results."""
    return {name: found for name in _LIBRARIES if (found := _version(name)) is not None}


def model_files(spec: ModelSpec) -> list[tuple[Path, Path]]:
    """The files that affect a model's output, each after its folder; of a hub name those in the cache of this machine.

    They are configs, weights (unless they are drawn at random), tokenizer, modules with their own configs and weights, and
    all other files of the folder except descriptions, training states and weights of other frameworks; of an ONNX model also its
    graph, of a model that may run code of its own also its code.
    """
    if spec.what in LEXICAL_KINDS:
        return []
    place = spec.place
    if not isinstance(place, Path):
        cached = cached_model(place)
        folders = [] if cached is None else [cached.parent]
    else:
        beside = tokenizer_beside(place)
        folders = [place] if beside is None else [place, beside]
    if spec.is_embeddings:
        return [(folder, path) for folder in folders for path in files_below(folder)]
    ignored = {*_IGNORED_FILES, *(_WEIGHTS if spec.random else ())} - (
        {".py"} if spec.options.trust_remote_code else set()
    )
    files = [
        (folder, path)
        for folder in folders
        for path in files_below(folder)
        if path.suffix.lower() not in ignored
        and not any(part.lower().startswith(_IGNORED_FOLDERS) for part in path.relative_to(folder).parts[:-1])
    ]
    if spec.graph is not None and folders:
        with suppress(DataError):  # loading the model reports it
            files += [(folders[0], path) for path in graph_files(find_graph(folders[0], spec.graph))]
    return list(dict.fromkeys(files))


def model_identity(spec: ModelSpec, tokenizer: Path | None = None, device: str = "") -> dict[str, Any]:
    """Everything that affects a model's embeddings and predictions: how it is used, and the content of its files.

    Every field of `spec` except the label counts, so that an option that is added to it counts too. A model at another place
    with the same files is the same model.

    Args:
        spec: the model; one of the hub must be on this machine, or its name alone identifies it.
        tokenizer: the folder of the tokenizer that it is loaded with, if it is not its own.
        device: the kind of device that it runs on (`cpu`, `cuda`), whose arithmetic differs; empty where it does not matter.
    """
    use = {
        field.name: _plain(getattr(spec, field.name)) for field in fields(spec) if field.name not in ("label", "what")
    }
    files = model_files(spec)
    return {
        **use,
        "random": spec.random,
        "device": device,
        "name": "" if files else spec.what,
        "files": [entry for folder, path in files for entry in content_hashes([path], folder)],
        "tokenizer": [] if tokenizer is None else content_hashes(files_below(tokenizer), tokenizer),
    }


def result_key(identity: Mapping[str, Any], evaluator: Evaluator, data_hash: str, budget: Budget = "standard") -> str:
    """Hash of all that affects a result: model, evaluator with its options, code and files, budget, data, core and libraries."""
    content = [
        FORMAT, identity, budget, evaluator.dump(), computed_by(evaluator), data_hash,
        content_hashes([*input_files(evaluator), *option_files([evaluator])]),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def computed_by(evaluator: Evaluator) -> dict[str, str]:
    """Hashes of the code that computes a result (the core's and the plugins'), and versions of libraries."""
    return {**evaluation_code(), **PluginCode({}).of([evaluator]), **library_versions()}


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
