"""Reads the files that make a folder a sentence-transformers model, and refuses models that would run code of the folder.

Imports no torch, so that `rexplug check` can apply the same checks to baselines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.errors import DataError, brief
from rexplug.io.json_files import read_json_file, read_json_object, require_file
from rexplug.io.tokenizer_files import CONFIG, DEFINITION, read_config, read_definition
from rexplug.model.checkpoint.header import stored_weights

APPLIED = ("Pooling", "Dense", "Normalize", "LayerNorm", "Dropout")
"""Modules that rexplug applies itself to the token vectors of an encoder."""
_FIRST = ("Transformer", "StaticEmbedding", "Router", "Asym")
"""Modules that may be the first of a model."""
_LATER = (*APPLIED, "WeightedLayerPooling", "Router", "Asym")
"""Modules that may follow."""
_OF_TOKENS = ("Dense", "Normalize", "LayerNorm", "Dropout", "MultiVectorMask", "HierarchicalTokenPooling")
"""Modules that may follow the encoder of a late-interaction model."""
_PYLATE_DENSE = "pylate.models.Dense.Dense"
"""A module of PyLate that sentence-transformers reads as its own Dense; no code of PyLate is imported."""
_ROUTERS = ("Router", "Asym")
_INPUT_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""Where an encoder's folder describes its input: the first that exists counts, as in sentence-transformers."""
_NO_LIMIT = 1_000_000
"""A longest input above this means that there is no limit; transformers writes 10^30."""


@dataclass(frozen=True)
class Module:
    """A module of a sentence-transformers model: the name of its class, and its folder."""

    kind: str
    folder: Path


@dataclass(frozen=True)
class InputOptions:
    """The settings in an encoder's folder for its input texts.

    Attributes:
        max_tokens: longest input; None if none is stated.
        lower_case: whether texts are lower-cased first.
    """

    max_tokens: int | None = None
    lower_case: bool = False


def is_late_interaction(folder: Path) -> bool:
    """Whether a folder holds a late-interaction model: of sentence-transformers, of PyLate, or of Stanford's ColBERT.

    They embed every token of a text and are compared by MaxSim.
    """
    kind = _if_object(folder / "config_sentence_transformers.json").get("model_type")
    if isinstance(kind, str):
        return kind in ("MultiVectorEncoder", "ColBERT")
    modules = read_json_file(folder / "modules.json") if (folder / "modules.json").is_file() else None
    if isinstance(modules, list):
        return any(isinstance(entry, dict) and entry.get("type") == _PYLATE_DENSE for entry in modules)
    architectures = _if_object(folder / "config.json").get("architectures")
    return isinstance(architectures, list) and "HF_ColBERT" in architectures


def _if_object(path: Path) -> dict[str, Any]:
    return read_json_object(path) if path.is_file() else {}


def is_sentence_transformer(folder: Path) -> bool:
    """Whether a folder lists the modules of a sentence-transformers model."""
    path = folder / "modules.json"
    return path.exists() or path.is_symlink()


def read_modules(folder: Path, check_encoder: Callable[[Path], None], *, trusted: bool = False) -> tuple[Module, ...]:
    """The modules of a model in order, with those of a router in its place but not inside it.

    Args:
        folder: the model's folder.
        check_encoder: checks the folder of an encoder that is inside of a router.
        trusted: whether modules may be of any class, also of code in the folder.

    Raises:
        DataError: a file is missing or damaged, or a module is of another class than those of sentence-transformers.
    """
    path = folder / "modules.json"
    entries = read_json_file(path)
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} is not a list of modules")
    modules = []
    later = _OF_TOKENS if is_late_interaction(folder) else _LATER
    for number, entry in enumerate(entries):
        kind, place = (entry.get("type"), entry.get("path", "")) if isinstance(entry, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(place, str):
            raise DataError(f"{path}: module {number} needs a `type` and a `path`, both texts")
        if trusted:
            modules.append(Module(kind.rpartition(".")[2], folder / place))
            continue
        allowed = later if number else _FIRST
        modules.append(_module(path, f"module {number}", kind, folder / place, allowed, folder, place))
        for inner in _inside_of(modules[-1]):
            if inner.kind == "Transformer":
                check_encoder(inner.folder)
                input_options(inner.folder)
    return tuple(modules)


def _module(path: Path, what: str, kind: str, place: Path, allowed: Sequence[str], root: Path, written: str) -> Module:
    """Return a module after checks of its class, location and files."""
    package, _, name = kind.rpartition(".")
    of_pylate = kind == _PYLATE_DENSE and "MultiVectorMask" in allowed
    if not of_pylate and (package.partition(".")[0] != "sentence_transformers" or name not in allowed):
        raise DataError(
            f"{path}: {what} is '{kind}', and only {' or '.join(allowed)} of sentence-transformers are allowed there: "
            "no other code is run"
        )
    if Path(written).is_absolute() or not is_inside(root, place):
        raise DataError(f"{path}: {what} is in '{written}', outside the model's folder")
    if name in ("Pooling", "Dense", "LayerNorm", "Dropout", "WeightedLayerPooling"):
        _check_config(name, place)
    if name == "StaticEmbedding":
        require_file(place / DEFINITION)
        read_definition(place)
        stored_weights(place)
    return Module(name, place)


def _inside_of(module: Module) -> Iterator[Module]:
    """The modules of a router's routes; none of other modules."""
    if module.kind not in _ROUTERS:
        return
    own = module.folder / "router_config.json"
    path = own if own.exists() or own.is_symlink() else module.folder / "config.json"
    types = read_json_object(path).get("types")
    if not isinstance(types, dict) or not types or not all(isinstance(kind, str) for kind in types.values()):
        raise DataError(f"{path}: `types` needs the class of every module of the routes")
    allowed = tuple(dict.fromkeys(kind for kind in (*_FIRST, *_LATER) if kind not in _ROUTERS))
    for name, kind in types.items():
        yield _module(path, f"the module '{name}'", kind, module.folder / name, allowed, module.folder, str(name))


def input_options(folder: Path) -> InputOptions:
    """The settings in an encoder's folder for its input texts.

    Raises:
        DataError: a file is damaged, or wants to fetch code for the attention from the hub.
    """
    path = next((folder / name for name in _INPUT_FILES if (folder / name).exists()), folder / _INPUT_FILES[0])
    config = read_json_object(path) if path.exists() or path.is_symlink() else {}
    longest, lower_case = config.get("max_seq_length"), config.get("do_lower_case", False)
    if longest is not None and (not isinstance(longest, int) or isinstance(longest, bool) or longest < 1):
        raise DataError(f"{path}: max_seq_length is {brief(longest)}; write a positive whole number")
    if not isinstance(lower_case, bool):
        raise DataError(f"{path}: do_lower_case is {brief(lower_case)}; write true or false")
    arguments = {
        key: value
        for key, value in config.items()
        if key.endswith(("_args", "_kwargs")) and isinstance(value, dict) and value
    }
    for key, value in arguments.items():
        attention = value.get("attn_implementation", value.get("_attn_implementation"))
        if "/" in str(attention) or "use_kernels" in value or "kernel_config" in value:
            raise DataError(f"{path}: {key} asks for kernels from the hub, which are code that is not run")
    if longest is None and folder.is_dir():
        stated = read_config(folder).get("model_max_length") if (folder / CONFIG).exists() else None
        if isinstance(stated, int) and not isinstance(stated, bool) and 1 <= stated < _NO_LIMIT:
            longest = stated
    return InputOptions(longest, lower_case)


def _check_config(kind: str, folder: Path) -> None:
    config: dict[str, Any] = read_json_object(folder / "config.json")
    activation = config.get("activation_function", "torch.nn.modules.linear.Identity")
    if kind == "Dense" and not str(activation).startswith(("torch.nn.modules.activation.", "torch.nn.modules.linear.")):
        raise DataError(f"{folder / 'config.json'}: the activation function '{activation}' is not one of torch.nn")


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a path is inside a folder once links are resolved."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links that form a circle
        return False
