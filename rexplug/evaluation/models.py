"""Models under evaluation, as users name them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from rexplug.errors import DataError, brief
from rexplug.evaluation.lexical import LEXICAL_KINDS, LexicalModel
from rexplug.recipe.evaluation import Baseline, ModelOptions, ModelPrecision

if TYPE_CHECKING:
    from rexplug.evaluation.model_folder import ModelFolder
    from rexplug.evaluation.text_encoder import TextEncoder

    Model = TextEncoder | LexicalModel

_PREFIXES = ("random:", "onnx:", "embeddings:")
"""Prefixes that say how a folder or hub name is used."""
_KINDS = "a folder, a hub name, bm25, tfidf, random:FOLDER, onnx:FOLDER or embeddings:FOLDER"
_OPTIONS_OF_EMBEDDINGS = ("dimensions", "similarity")
_HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
"""Pattern of the names of models on the hub."""
_LONGEST_LABEL = 200
"""In bytes: the name of a folder has at most 255, and the number format and a number may follow."""


@dataclass(frozen=True)
class ModelSpec:
    """A model as the command line names it: `[LABEL=]WHAT`.

    WHAT is a folder, a hub name, `bm25`, `tfidf`, or one of these: `random:` before a folder or hub name for the same architecture
    with random weights, `onnx:` before a folder, hub name or `.onnx` file for its ONNX graph, `embeddings:` before a folder with
    embeddings that were computed elsewhere. Encoders are run in `precision`, and as `options` say.
    """

    label: str
    what: str
    precision: ModelPrecision = "fp32"
    options: ModelOptions = field(default_factory=ModelOptions)

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Parse `[LABEL=]WHAT`; without a label, one is derived from the path.

        Raises:
            DataError: there is nothing after the label, or the label cannot be a folder's name.
        """
        label, equals, what = text.partition("=")
        if not equals or "/" in label:
            label, what = "", text
        if not _without_prefix(what).strip():
            raise DataError(f"'{text}' does not name a model; write {_KINDS}")
        label = label or _label(what)
        if not _names_a_folder(label):
            raise DataError(
                f"{brief(text)}: {brief(label)} is not a label: the model's results get a folder of that name; write "
                f"LABEL=MODEL with another, of at most {_LONGEST_LABEL} bytes"
            )
        return cls(label, what)

    @classmethod
    def of(cls, model: Baseline) -> ModelSpec:
        """A model as a recipe writes it, with its options.

        Raises:
            DataError: as `parse`, or a lexical baseline has options.
        """
        spec, options = cls.parse(model.model), model.given
        if options and spec.what in LEXICAL_KINDS:
            raise DataError(f"{spec.what} is not an encoder and has no option {next(iter(options))}; leave it out")
        for option in options:
            if spec.is_embeddings and option not in _OPTIONS_OF_EMBEDDINGS:
                raise DataError(
                    f"{spec.what} holds embeddings that are computed already, so {option} changes nothing; leave it out"
                )
            if option == "precision" and (spec.is_onnx or "file" in options):
                raise DataError(
                    f"{spec.what}: an ONNX graph has the number format that it was written in; leave precision out"
                )
        label = spec.label
        if not model.model.startswith(f"{label}="):
            if model.file is not None and not spec.is_onnx:
                label += f"-{Path(model.file).stem}"
            if model.dimensions is not None:
                label += f"@{model.dimensions}"
        return replace(spec, label=label, precision=model.precision or spec.precision, options=ModelOptions(**options))

    def by_default(self, precision: ModelPrecision) -> ModelSpec:
        """The model in this number format, unless its options name one."""
        return self if self.has_own_format else replace(self, precision=self.options.precision or precision)

    def with_options(self, options: ModelOptions) -> ModelSpec:
        """The model with `options` for those that it does not set itself; a lexical baseline is returned unchanged."""
        if self.what in LEXICAL_KINDS:
            return self
        given = {
            name: value
            for name, value in options.given.items()
            if not self.is_embeddings or name in _OPTIONS_OF_EMBEDDINGS
        }
        return replace(self, options=ModelOptions(**{**given, **self.options.given}))

    def load(self, tokenizer: Path | None = None) -> Model:
        """Load the model under evaluation.

        Args:
            tokenizer: a folder with its tokenizer; by default the model's own, or that of the run it belongs to.

        Raises:
            DataError: it cannot be loaded.
        """
        for kind in LEXICAL_KINDS:
            if self.what == kind:
                return LexicalModel(kind)
        place = self.place
        if self.is_embeddings:
            from rexplug.evaluation.saved_embeddings import SavedEmbeddings

            return SavedEmbeddings(Path(place), self.options)
        from rexplug.evaluation.load_encoder import load_encoder

        self._require_model(place)
        of_run = tokenizer_beside(place) if isinstance(place, Path) else None
        try:
            return load_encoder(
                place, tokenizer or of_run, random=self.random, precision=self.precision, options=self.options,
                graph=self.graph,
            )  # fmt: skip
        except DataError as error:
            if Path(place).exists():
                raise
            raise DataError(f"there is no folder {place} here, and on the hub: {error}") from error

    @staticmethod
    def _require_model(place: Path | str) -> None:
        if isinstance(place, Path) and (place / "run.json").exists():
            raise DataError(
                f"the run {place} has no exported model yet; run its recipe to the end, or name the model after a phase "
                f"({place}@PHASE)"
            )
        if isinstance(place, str) and not _HUB_NAME.fullmatch(place) and not Path(place).exists():
            if (checkpoint := _checkpoint_of_run(place)) is not None:
                moments = {path.parent.name for path in checkpoint.parent.glob("*/config.json")}
                moments |= {path.parents[1].name for path in checkpoint.parent.glob("*/final/config.json")}
                raise DataError(
                    f"{place}: the run has no such checkpoint; it has {', '.join(sorted(moments)) or 'none yet'}"
                )
            raise DataError(f"{place}: there is no such folder")

    @property
    def random(self) -> bool:
        """Whether the model is to have random weights."""
        return self.what.startswith("random:")

    @property
    def trained_here(self) -> bool:
        """Whether the model is that of a run, which could be trained with another seed; all others are taken as they are."""
        if self.what in LEXICAL_KINDS or self.random or not isinstance(self.place, Path):
            return False
        folder = self.place.resolve()
        return any((parent / "run.json").exists() for parent in (folder, *folder.parents))

    @property
    def is_embeddings(self) -> bool:
        """Whether it is a folder with embeddings."""
        return self.what.startswith("embeddings:")

    @property
    def is_onnx(self) -> bool:
        """Whether ONNX Runtime runs a graph in the model's folder."""
        return self.what.startswith("onnx:") or self.options.file is not None

    @property
    def has_own_format(self) -> bool:
        """Whether the number format cannot be chosen: for lexical baselines, ONNX graphs and saved embeddings."""
        return self.what in LEXICAL_KINDS or self.is_onnx or self.is_embeddings

    @property
    def graph(self) -> str | None:
        """The ONNX graph below the model's folder; empty for the usual place; None if the model is not an ONNX graph."""
        if not self.is_onnx:
            return None
        return self.options.file or _graph_in_folder(self.what.removeprefix("onnx:"))[1]

    @property
    def place(self) -> Path | str:
        """The folder of the model (that inside a run or a phase, if one of these is named), or the hub name as written."""
        name = _without_prefix(self.what)
        if self.what.startswith("onnx:"):
            name = _graph_in_folder(name)[0]
        folder = _checkpoint_of_run(name) or Path(name)
        if not folder.is_dir():
            return name
        if not (folder / "config.json").exists() and not (folder / "modules.json").exists():
            for inner in ("model", "final"):
                if (folder / inner / "config.json").exists():
                    return folder / inner
        return folder

    def check(self) -> ModelFolder | None:
        """Check that a model in a folder can be loaded, without loading it.

        Returns:
            The content of the folder; None for hub names and lexical baselines.

        Raises:
            DataError: a file is missing or damaged, or the model wants to run code of its own.
        """
        from rexplug.evaluation.model_folder import inspect_folder, not_evaluable
        from rexplug.model.checkpoint.inspection import require_unaltered

        place = self.place
        if self.is_embeddings:
            from rexplug.evaluation.embedding_files import embedding_files

            embedding_files(Path(place))
            return None
        if self.what in LEXICAL_KINDS or not isinstance(place, Path):
            return None
        trusted = bool(self.options.trust_remote_code)
        weights = not self.random and not self.is_onnx
        folder = inspect_folder(place, tokenizer_beside(place), weights=weights, trusted=trusted)
        if self.graph is not None:
            from rexplug.evaluation.onnx_files import find_graph

            find_graph(place, self.graph)
        if weights and not trusted:
            try:
                require_unaltered(Path(folder.encoder))
            except DataError as error:
                raise not_evaluable(place, error) from None
        return folder


def _checkpoint_of_run(name: str) -> Path | None:
    """The folder of the checkpoint that `RUN@PHASE` or `RUN@initial` names; None if `name` is not of that form."""
    run, _, moment = name.rpartition("@")
    if not moment or Path(name).exists() or not (Path(run) / "run.json").exists():
        return None
    return Path(run) / "checkpoints" / moment


def tokenizer_beside(folder: Path) -> Path | None:
    """The tokenizer of the run that a checkpoint belongs to; None if the checkpoint has its own, or does not belong to a run."""
    if not folder.is_dir() or (folder / "tokenizer.json").exists() or (folder / "tokenizer_config.json").exists():
        return None
    for parent in folder.resolve().parents:
        if (parent / "run.json").exists() and (parent / "tokenizer").is_dir():
            return parent / "tokenizer"
    return None


def distinct(names: list[ModelSpec]) -> list[ModelSpec]:
    """The same models with distinct labels: the second of a label gets `-2` at its end, and so on.

    Raises:
        DataError: a model is named twice in the same number format and with the same options.
    """
    taken: set[str] = set()
    specs: list[ModelSpec] = []
    for name in names:
        if any(replace(name, label=other.label) == other for other in specs):
            raise DataError(f"the model {name.what} is named twice")
        numbered = (f"{name.label}-{number}" for number in count(2))
        label = next(label for label in chain([name.label], numbered) if label not in taken)
        taken.add(label)
        specs.append(replace(name, label=label))
    return specs


def in_dimensions(names: Sequence[ModelSpec], dimensions: Sequence[int]) -> list[ModelSpec]:
    """Every model with its embeddings cut after each number of dimensions, which ends its label: `minilm@256`.

    A lexical baseline has no embeddings, and a model whose options say how many dimensions it has stays as it is.
    """
    specs: list[ModelSpec] = []
    for name in names:
        if name.what in LEXICAL_KINDS or name.options.dimensions is not None or not dimensions:
            specs.append(name)
            continue
        for number in dimensions:
            cut = ModelOptions(**{**name.options.given, "dimensions": number})
            specs.append(replace(name, label=f"{name.label}@{number}", options=cut))
    return specs


def in_precisions(names: Sequence[ModelSpec], precisions: Sequence[ModelPrecision]) -> list[ModelSpec]:
    """Every model in each number format; labels of those in bf16 and int8 end with `-bf16` and `-int8`.

    The number format of lexical baselines, ONNX graphs and saved embeddings cannot be chosen, and a model whose options name one
    is in that alone.
    """
    specs: list[ModelSpec] = []
    for name in names:
        if name.has_own_format or name.options.precision is not None:
            specs.append(name if name.options.precision is None else replace(name, precision=name.options.precision))
            continue
        for precision in precisions:
            label = name.label if precision == "fp32" else f"{name.label}-{precision}"
            specs.append(replace(name, label=label, precision=precision))
    return specs


def _names_a_folder(label: str) -> bool:
    try:
        size = len(os.fsencode(label))
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return label not in (".", "..") and not {"/", "\0"} & set(label) and size <= _LONGEST_LABEL


def _without_prefix(what: str) -> str:
    return next((what.removeprefix(prefix) for prefix in _PREFIXES if what.startswith(prefix)), what)


def _graph_in_folder(name: str) -> tuple[str, str]:
    """Split the path of an ONNX graph into its model's folder and the file below it; another name has an empty file."""
    path = Path(name)
    if path.suffix != ".onnx" or path.is_dir():
        return name, ""
    folder = path.parent if (path.parent / "config.json").exists() else path.parent.parent
    return str(folder), path.relative_to(folder).as_posix()


def _label(what: str) -> str:
    prefix = "random-" if what.startswith("random:") else ""
    name, suffix = _without_prefix(what), ""
    if what.startswith("onnx:"):
        name, graph = _graph_in_folder(name)
        suffix = f"-{Path(graph).stem}" if graph else "-onnx"
    parts = [part for part in Path(name).parts if part not in ("/", ".", "..")]
    if what in LEXICAL_KINDS or not parts:
        return what
    # `runs/shop/model` and `runs/shop/checkpoints/anneal/final` are named by the run.
    telling = [part for part in parts if part not in ("model", "final", "checkpoints", "runs")]
    in_run = "checkpoints" in parts and len(telling) >= 2
    name = "-".join(telling[-2:]) if in_run else (telling or parts)[-1]
    return prefix + re.sub(r"[^A-Za-z0-9._-]+", "-", name).removeprefix("sentence-transformers__") + suffix
