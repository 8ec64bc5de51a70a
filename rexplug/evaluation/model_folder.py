"""Checks a model's folder of unknown origin before anything is loaded from it, and never runs its code.

Imports no torch, so that `rexplug check` can apply the same checks to baselines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rexplug.errors import DataError, RexplugError, brief, one_line
from rexplug.io.json_files import read_json_file, read_json_object, require_file
from rexplug.io.tokenizer_files import DEFINITION, load_fast, read_config, read_definition, require_tokenizer
from rexplug.model.checkpoint.inspection import evaluation_problem

MODULES = ("Pooling", "Dense", "Normalize", "LayerNorm", "Dropout")
"""Modules of sentence-transformers that may follow the encoder of a model."""


@dataclass(frozen=True)
class ModelFolder:
    """The content of a model's folder.

    Attributes:
        encoder: the folder or hub name of the encoder.
        modules: (class, folder) of the modules of a sentence-transformers model that follow its encoder.
        max_tokens: the longest input that a sentence-transformers model states.
        lower_case: whether it lower-cases its input.
    """

    encoder: Path | str
    modules: tuple[tuple[str, Path], ...] = ()
    max_tokens: int | None = None
    lower_case: bool = False


def inspect_folder(model: Path | str, tokenizer: Path | None = None, *, weights: bool = True) -> ModelFolder:
    """Check everything in a model's folder that can be checked without loading it.

    Args:
        model: a folder or a hub name.
        tokenizer: the tokenizer's folder, if it is not that of the weights.
        weights: whether the folder must hold weights.

    Returns:
        The content of the folder; a hub name is returned unchecked, as the encoder.

    Raises:
        DataError: a file is missing or damaged, or the model wants to run code of its own.
    """
    folder = Path(model)
    if folder.is_file():
        raise DataError(f"{model} is a file; a model is a folder with config.json and weights, or a hub name")
    if not folder.is_dir():
        return ModelFolder(model)
    content = _modules(folder)
    encoder = Path(content.encoder)
    _check_type(encoder / "config.json")
    problem = evaluation_problem(encoder, random=not weights)
    if problem is not None:
        raise not_evaluable(model, problem)
    _check_tokenizer(tokenizer or encoder)
    return content


def not_evaluable(model: Path | str, problem: object, how: str = "") -> DataError:
    """The error that refuses a model; `how` it would be evaluated where that matters, e.g. ` in bf16`."""
    return DataError(f"{model} is not a model that can be evaluated{how}: {problem}")


def load_tokenizer(place: Path | str, *, lower_case: bool = False) -> Any:
    """Load the tokenizer of a folder or a hub name, from tokenizer.json where there is one.

    Args:
        place: the folder or hub name.
        lower_case: whether every text is lower-cased first.

    Raises:
        DataError: it is damaged.
        OSError: there is none.
        ValueError: it wants to run code of its own.
    """
    from rexplug.tokens.tokenizer import fetch_tokenizer

    folder = fetch_tokenizer(str(place))
    if (folder / DEFINITION).exists():
        tokenizer = load_fast(folder)
    else:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    if lower_case:
        from tokenizers import normalizers

        inner = tokenizer.backend_tokenizer
        steps = [normalizers.Lowercase(), *([] if inner.normalizer is None else [inner.normalizer])]
        inner.normalizer = normalizers.Sequence(steps)
    return tokenizer


def load_modules(folder: ModelFolder) -> list[Any]:
    """The modules that a sentence-transformers model applies to its token vectors, in order; empty for other models."""
    if not folder.modules:
        return []
    from sentence_transformers.sentence_transformer import modules

    loaded = []
    for kind, path in folder.modules:
        module = getattr(modules, kind).load(str(path), local_files_only=True, trust_remote_code=False)
        loaded.append(module.eval())  # a Dropout is active otherwise
    return loaded


def check_vocabulary(model: Path | str, tokenizer: Any, num_embeddings: int) -> None:
    """Check that every id of the tokenizer has an embedding.

    Raises:
        DataError: an id has none.
    """
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= num_embeddings:
        raise DataError(
            f"{model} has {num_embeddings} embeddings, but its tokenizer has ids up to {largest}; is it that of another model?"
        )


@contextmanager
def translated_errors(model: Path | str, how: str = "") -> Iterator[None]:
    """Turn any exception that a library raises over a model into `not_evaluable`, on one line."""
    try:
        yield
    except (RexplugError, MemoryError):
        raise
    except BaseException as error:
        # A panic of the tokenizers library is a BaseException.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        message = one_line(error)
        kind = "" if isinstance(error, OSError | ValueError) and message else f"{type(error).__name__}: "
        raise not_evaluable(model, f"{kind}{message}".rstrip(": "), how) from error


def _modules(folder: Path) -> ModelFolder:
    """Read modules.json, if there is one; other classes than those of sentence-transformers are refused."""
    path = folder / "modules.json"
    if not path.exists() and not path.is_symlink():
        before_2_0 = folder / "0_Transformer"
        return ModelFolder(before_2_0 if before_2_0.is_dir() else folder)
    entries = read_json_file(path)
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} is not a list of modules")
    modules = []
    for number, entry in enumerate(entries):
        kind, place = (entry.get("type"), entry.get("path", "")) if isinstance(entry, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(place, str):
            raise DataError(f"{path}: module {number} needs a `type` and a `path`, both texts")
        package, _, name = kind.rpartition(".")
        allowed = ("Transformer",) if number == 0 else MODULES
        if package.partition(".")[0] != "sentence_transformers" or name not in allowed:
            raise DataError(
                f"{path}: module {number} is '{kind}', and only {' or '.join(allowed)} of sentence-transformers are allowed there: "
                "no other code is run"
            )
        if Path(place).is_absolute() or not _inside(folder, folder / place):
            raise DataError(f"{path}: module {number} is in '{place}', outside the model's folder")
        if name in ("Pooling", "Dense", "LayerNorm", "Dropout"):
            _check_module(name, folder / place)
        modules.append((name, folder / place))
    encoder = modules[0][1]
    max_tokens, lower_case = _input_options(encoder / "sentence_bert_config.json")
    return ModelFolder(encoder, tuple(modules[1:]), max_tokens, lower_case)


def _input_options(path: Path) -> tuple[int | None, bool]:
    """The longest input of a sentence-transformers model, and whether it lower-cases its input."""
    config = read_json_object(path) if path.exists() or path.is_symlink() else {}
    longest, lower_case = config.get("max_seq_length"), config.get("do_lower_case", False)
    if longest is not None and (not isinstance(longest, int) or isinstance(longest, bool) or longest < 1):
        raise DataError(f"{path}: max_seq_length is {brief(longest)}; write a positive whole number")
    if not isinstance(lower_case, bool):
        raise DataError(f"{path}: do_lower_case is {brief(lower_case)}; write true or false")
    return longest, lower_case


def _check_module(kind: str, folder: Path) -> None:
    config = read_json_object(folder / "config.json")
    activation = config.get("activation_function", "torch.nn.modules.linear.Identity")
    if kind == "Dense" and not str(activation).startswith(("torch.nn.modules.activation.", "torch.nn.modules.linear.")):
        raise DataError(f"{folder / 'config.json'}: the activation function '{activation}' is not one of torch.nn")


def _inside(folder: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links that form a circle
        return False


def _check_type(path: Path) -> None:
    """Check that transformers has a class for the model, so that no code of the folder is needed.

    Raises:
        DataError: it has none.
    """
    config = read_json_object(path)
    kind = config.get("model_type")
    if isinstance(kind, str) and f'"{kind}"' in _model_types():
        return
    if config.get("auto_map"):
        raise DataError(
            f"{path}: the model wants to run code of its own (auto_map); only classes of transformers are loaded"
        )
    if not isinstance(kind, str):
        raise DataError(f"{path} does not name a model type (model_type)")
    raise DataError(f"{path}: transformers has no model type '{kind}'")


@cache
def _model_types() -> str:
    """The files in which transformers lists its model types; read as text, since importing them imports torch."""
    spec = find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    auto = Path(spec.origin).parent / "models" / "auto"
    return "".join(
        path.read_text(encoding="utf-8")
        for path in sorted(auto.glob("*.py"))
        if "config" in path.name or "mapp" in path.name
    )


def _check_tokenizer(folder: Path) -> None:
    if not folder.is_dir():
        return
    if (folder / DEFINITION).is_symlink():
        require_file(folder / DEFINITION)
    if require_tokenizer(folder):
        require_file(folder / DEFINITION)
        read_definition(folder)
        read_config(folder)
