"""Checks a model's folder of unknown origin before anything is loaded from it, and never runs its code.

Imports no torch, so that `rexplug check` can apply the same checks to baselines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rexplug.errors import DataError, RexplugError, one_line
from rexplug.evaluation.model_usage import ModelUsage, read_usage
from rexplug.evaluation.sentence_transformer_files import (
    APPLIED,
    InputOptions,
    Module,
    input_options,
    is_late_interaction,
    is_sentence_transformer,
    read_modules,
)
from rexplug.io.json_files import read_json_object, require_file
from rexplug.io.tokenizer_files import DEFINITION, load_fast, read_config, read_definition, require_tokenizer
from rexplug.model.checkpoint.inspection import evaluation_problem


@dataclass(frozen=True)
class ModelFolder:
    """The content of a model's folder.

    Attributes:
        folder: the folder itself.
        encoder: the folder of the encoder.
        modules: all modules of a sentence-transformers model; empty for other models.
        input: how a sentence-transformers model says that its texts are read.
        usage: its prompts and similarity.
        is_late_interaction: whether it embeds every token of a text, to be compared by MaxSim.
        trusted: whether code in the folder may be run.
    """

    folder: Path
    encoder: Path
    modules: tuple[Module, ...] = ()
    input: InputOptions = field(default_factory=InputOptions)
    usage: ModelUsage = field(default_factory=ModelUsage)
    is_late_interaction: bool = False
    trusted: bool = False

    @property
    def is_sentence_transformer(self) -> bool:
        """Whether sentence-transformers wrote it."""
        return bool(self.modules)

    @property
    def is_one_encoder(self) -> bool:
        """Whether it is a transformers encoder, followed only by modules that rexplug applies itself."""
        if not self.modules:
            return True
        first, *later = self.modules
        return first.kind == "Transformer" and all(module.kind in APPLIED for module in later)


def folder_of(model: Path | str, *, graph: str | None = None, trusted: bool = False) -> Path:
    """The folder of a model: itself, or the copy of a hub name on this machine, which is fetched if there is none.

    Args:
        model: a folder or a hub name.
        graph: an ONNX graph that is needed in place of the weights; empty for the usual place.
        trusted: whether Python code is fetched too.

    Raises:
        DataError: it is a file.
        OSError: the hub does not have it, or does not answer.
        ValueError: it is not a valid name on the hub.
    """
    from rexplug.io.hub import fetch_model

    folder = Path(model)
    if folder.is_file():
        raise DataError(f"{model} is a file; a model is a folder with config.json and weights, or a hub name")
    if folder.is_dir():
        return folder
    from rexplug.evaluation.onnx_files import hub_patterns

    more = [*([] if graph is None else hub_patterns(graph)), *(["*.py"] if trusted else [])]
    return fetch_model(str(model), more=more, weights=graph is None)


def inspect_folder(
    model: Path, tokenizer: Path | None = None, *, weights: bool = True, trusted: bool = False
) -> ModelFolder:
    """Check everything in a model's folder that can be checked without loading it.

    Args:
        model: a folder.
        tokenizer: the tokenizer's folder, if it is not that of the weights.
        weights: whether the folder must hold weights.
        trusted: whether code in the folder may be run, so that classes are not checked.

    Returns:
        The content of the folder.

    Raises:
        DataError: a file is missing or damaged, or the model wants to run code of its own.
    """
    late = is_late_interaction(model)

    def check(encoder: Path, tokenizer: Path) -> None:
        _check_encoder(model, encoder, tokenizer, weights=weights, trusted=trusted)

    if not is_sentence_transformer(model):
        before_2_0 = model / "0_Transformer"
        encoder = before_2_0 if before_2_0.is_dir() else model
        content = ModelFolder(model, encoder, usage=read_usage(model), is_late_interaction=late, trusted=trusted)
    else:
        modules = read_modules(model, lambda encoder: check(encoder, encoder), trusted=trusted)
        encoder = modules[0].folder
        content = ModelFolder(model, encoder, modules, input_options(encoder), read_usage(model), late, trusted)
    if not content.modules or content.modules[0].kind == "Transformer":
        check(content.encoder, tokenizer or content.encoder)
    return content


def _check_encoder(model: Path, encoder: Path, tokenizer: Path, *, weights: bool, trusted: bool) -> None:
    """Check the files of a transformers encoder; `model` is the folder that a message names."""
    if not trusted:
        _check_type(encoder / "config.json")
    problem = evaluation_problem(encoder, random=not weights)
    if problem is not None:
        raise not_evaluable(model, problem)
    _check_tokenizer(tokenizer)


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
    for module in folder.modules[1:]:
        applied = getattr(modules, module.kind).load(str(module.folder), local_files_only=True, trust_remote_code=False)
        loaded.append(applied.eval())  # a Dropout is active otherwise
    return loaded


def check_vocabulary(model: Path | str, tokenizer: Any, num_embeddings: int) -> None:
    """Check that every id of the tokenizer has an embedding.

    Raises:
        DataError: an id has none.
    """
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= num_embeddings:
        raise DataError(
            f"{model} has {num_embeddings} embeddings, but its tokenizer has ids up to {largest}; does it belong to another model?"
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
            f"{path}: the model wants to run code of its own (auto_map); only classes of transformers are loaded, unless "
            "trust_remote_code allows it"
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
