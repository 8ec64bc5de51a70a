"""Whether the weights of a checkpoint are those of its config.json; everything that loads a checkpoint asks here.

transformers draws at random what a file lacks and passes over what it does not know. Here a checkpoint is refused then,
with one exception: a masked-LM head may be missing as a whole.

What the headers of safetensors files tell is seen without torch, so that `check` finds it before anything is spent.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rexplug.checksums import require_as_written
from rexplug.errors import DataError, RexplugError, first_few, shorten
from rexplug.io.json_files import require_file
from rexplug.model.config_file import MODEL_TYPE, ConfigFile

_SAFETENSORS, _PICKLE = "model.safetensors", "pytorch_model.bin"
_MAX_HEADER = 100_000_000
"""safetensors itself reads no longer headers."""
_FLOATS = ("F64", "F32", "F16", "BF16")
_LFS = b"version https://git-lfs"
_PARTS = ("embeddings", "layers", "final_norm")
"""What the inner model of a ModernBERT consists of."""
_INNER, _EMBEDDING, _DECODER = "model.", "model.embeddings.tok_embeddings.weight", "decoder.weight"

_NOT_READ = ("optimizer.pt", "state.json", "parity.json")
_POOLER = "pooler."

Shape = tuple[int, ...]


class SpecialIds(Protocol):
    """What a model needs to know of its tokenizer."""

    @property
    def cls(self) -> int:
        """Id of [CLS]."""
        ...

    @property
    def sep(self) -> int:
        """Id of [SEP]."""
        ...

    @property
    def pad(self) -> int:
        """Id of [PAD]."""
        ...

    @property
    def vocabulary_size(self) -> int:
        """Highest id plus one."""
        ...


@dataclass(frozen=True)
class Fit:
    """How the weights of a ModernBERT fit: what is wrong, as a sentence about "its weights", or the head to be drawn anew."""

    problem: str | None
    new_weights: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """What the files of a checkpoint tell before it is loaded: problems, and weights that would be drawn anew."""

    problems: Sequence[str]
    new_weights: tuple[str, ...] = ()
    config: ConfigFile | None = None


def look_at(folder: Path, *, weights: bool = True, encoder_only: bool = False) -> Look:
    """Judge config.json and the headers of the weights of a ModernBERT in a folder; no torch is imported.

    Pickled weights (pytorch_model.bin) have no header: they are judged when they are loaded.

    Args:
        folder: where they lie.
        weights: look at the weights too.
        encoder_only: whether heads of any kind may lie beside the encoder, since nobody uses them.
    """
    try:
        config = ConfigFile.read(folder / "config.json")
    except DataError as error:
        return Look([str(error)])
    if config.model_type != MODEL_TYPE:
        return Look([f"is a {config.model_type} model"], config=config)
    problems = config.problems()
    if problems or not weights:
        return Look(problems, config=config)
    try:
        stored = stored_weights(folder)
    except DataError as error:
        return Look([str(error)], config=config)
    if stored is None:
        return Look([], config=config)
    fit = compare(config, stored, encoder_only=encoder_only)
    return Look([] if fit.problem is None else [fit.problem], fit.new_weights, config)


def evaluation_problem(folder: Path, *, random: bool = False) -> str | None:
    """Why a model in a folder cannot be evaluated, as far as its files tell; with `random` its weights are not read.

    Of a ModernBERT that is all that `look_at` sees, of other families whether the files are whole.
    """
    if not (folder / "config.json").is_file():
        return "the folder holds no config.json"
    look = look_at(folder, weights=not random, encoder_only=True)
    if look.config is None or look.config.model_type == MODEL_TYPE:
        return look.problems[0] if look.problems else None
    try:
        if not random:
            stored_weights(folder)
    except DataError as error:
        return str(error)
    return None


def expected_weights(config: ConfigFile) -> dict[str, Shape]:
    """Names and shapes of the weights of a `ModernBertForMaskedLM`; a tied decoder has none of its own."""
    width, inner, rows = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    found: dict[str, Shape] = {_EMBEDDING: (rows, width)}

    def norm(name: str) -> None:
        found[f"{name}.weight"] = (width,)
        if config["norm_bias"]:
            found[f"{name}.bias"] = (width,)

    def linear(name: str, out: int, into: int, bias: bool) -> None:
        found[f"{name}.weight"] = (out, into)
        if bias:
            found[f"{name}.bias"] = (out,)

    norm("model.embeddings.norm")
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        if number:
            norm(f"{layer}.attn_norm")
        linear(f"{layer}.attn.Wqkv", 3 * width, width, config["attention_bias"])
        linear(f"{layer}.attn.Wo", width, width, config["attention_bias"])
        norm(f"{layer}.mlp_norm")
        linear(f"{layer}.mlp.Wi", 2 * inner, width, config["mlp_bias"])
        linear(f"{layer}.mlp.Wo", width, inner, config["mlp_bias"])
    norm("model.final_norm")
    linear("head.dense", width, width, config["classifier_bias"])
    norm("head.norm")
    linear("decoder", rows, width, config["decoder_bias"])
    if config["tie_word_embeddings"]:
        del found[_DECODER]
    return found


def has_weights(folder: Path) -> bool:
    """Whether there is a file that `look_at` would judge."""
    return any((folder / name).exists() for name in (_SAFETENSORS, f"{_SAFETENSORS}.index.json"))


@dataclass(frozen=True)
class Stored:
    """Name -> shape and number format of each weight of safetensors files."""

    shapes: Mapping[str, Shape]
    formats: Mapping[str, str]


def stored_weights(folder: Path) -> Stored | None:
    """The weights that transformers would take from a folder, by the headers of their files; None for pickled ones.

    Raises:
        DataError: there are none, or a file is damaged.
    """
    if (folder / _SAFETENSORS).exists():
        return read_header(folder / _SAFETENSORS)
    index = folder / f"{_SAFETENSORS}.index.json"
    if index.exists():
        return _shards(index)
    if (folder / _PICKLE).exists() or (folder / f"{_PICKLE}.index.json").exists():
        return None
    more = " and none of their parts' index" if any(folder.glob("model-*.safetensors")) else ""
    raise DataError(f"the folder holds no weights ({_SAFETENSORS} or {_PICKLE}){more}")


def _shards(index: Path) -> Stored:
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = sorted({str(file) for file in places.values()})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{index} is not an index of weights (a JSON object with a 'weight_map')") from None
    shapes: dict[str, Shape] = {}
    formats: dict[str, str] = {}
    for file in files:
        if Path(file).name != file:
            raise DataError(f"{index} names the file '{file}', which is not a file of its folder")
        part = read_header(index.parent / file)
        shapes |= part.shapes
        formats |= part.formats
    return Stored(shapes, formats)


def read_header(path: Path) -> Stored:
    """Shapes and number formats of a safetensors file; no tensor is read.

    Raises:
        DataError: it is no whole safetensors file.
    """
    require_file(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if (start + file.read(len(_LFS))).startswith(_LFS):
                raise DataError(f"{path} is a Git LFS pointer and not the weights; fetch them (git lfs pull)")
            length = int.from_bytes(start, "little")
            if len(start) < 8 or not 2 <= length <= min(size - 8, _MAX_HEADER):
                raise DataError(f"{path} is no safetensors file, or is cut short")
            file.seek(8)
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        shapes = {name: tuple(int(n) for n in each["shape"]) for name, each in header.items()}
        formats = {name: str(each["dtype"]) for name, each in header.items()}
        end = 8 + length + max((int(each["data_offsets"][1]) for each in header.values()), default=0)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path} is no safetensors file, or is damaged") from None
    if end != size:
        raise DataError(f"{path} has {size:,} bytes, where its header says {end:,}; it is cut short or damaged")
    return Stored(shapes, formats)


def compare(config: ConfigFile, stored: Stored, *, encoder_only: bool = False) -> Fit:
    """Whether stored weights are those of a config; names count with and without the `model.` of a whole model."""
    expected = expected_weights(config)
    tied = config["tie_word_embeddings"]
    shapes = expected | ({_DECODER: expected[_EMBEDDING]} if tied else {})
    placed: dict[str, str] = {}
    left_over = []
    for name in stored.shapes:
        place = next((each for each in _places(name) if each in shapes and each not in placed), None)
        if place is not None:
            placed[place] = name
        else:
            left_over.append(name)
    missing = {name for name in expected if name not in placed}
    if tied and _DECODER in placed:
        missing.discard(_EMBEDDING)  # tied: one of both is enough
    misshapen = [
        (place, stored.shapes[name], shapes[place])
        for place, name in placed.items()
        if stored.shapes[name] != shapes[place]
    ]
    fit = judge(config, missing, left_over, misshapen, encoder_only=encoder_only)
    odd = [name for name in placed.values() if stored.formats[name] not in _FLOATS]
    if fit.problem is None and odd:
        return Fit(
            f"its weights are stored as {stored.formats[odd[0]]} ({_few(odd)}); floating-point numbers are needed"
        )
    return fit


def _places(name: str) -> Iterator[str]:
    """What a stored name may mean to transformers: a whole model's, the inner model's own, or one level further out."""
    yield name
    yield _INNER + name
    yield name.removeprefix(_INNER)


def judge(
    config: ConfigFile,
    missing: Iterable[str],
    left_over: Iterable[str],
    misshapen: Iterable[tuple[str, Sequence[int], Sequence[int]]],
    *,
    encoder_only: bool = False,
) -> Fit:
    """Say what does not fit, or which weights of a masked-LM head are new.

    Args:
        config: the checkpoint's.
        missing: names of a `ModernBertForMaskedLM` that are not there.
        left_over: names that are there and that it does not have, as the file says them.
        misshapen: a name with the stored and the right shape.
        encoder_only: nothing is said of heads.
    """
    expected = expected_weights(config)
    inner = {name for name in expected if name.startswith(_INNER)}
    lacking, over = {name for name in missing if name in expected}, sorted(left_over)
    head = {*expected} - inner
    shapes = sorted(misshapen)
    if encoder_only and not lacking & inner:
        over = [name for name in over if name.removeprefix(_INNER).partition(".")[0] in _PARTS]
        shapes = [each for each in shapes if each[0] in inner]
        lacking = set()
    parts = []
    if lacking & inner:
        parts.append(_lacking(lacking & inner, len(inner)))
    elif lacking and lacking != head:
        parts.append(f"of the masked-LM head {_few(lacking)} {_are(lacking)} missing")
    problem = _unfit(parts, over, shapes, expected if lacking >= inner else ())
    return Fit(problem) if problem else Fit(None, tuple(sorted(lacking)))


def _lacking(names: Iterable[str], number: int) -> str:
    lacking = [*names]
    return f"{len(lacking)} of the encoder's {number} {_are(lacking)} missing ({_few(lacking)})"


def _unfit(
    parts: Sequence[str],
    left_over: Sequence[str],
    misshapen: Sequence[tuple[str, Sequence[int], Sequence[int]]],
    expected: Iterable[str],
) -> str | None:
    """One sentence of what is missing, what is left over and what has another shape; None if all fits.

    `expected` are the right names if none of them was there, which may be for what stands before each.
    """
    found = [*parts]
    if left_over:
        found.append(f"{len(left_over)} {_are(left_over)} left over ({_few(left_over)})")
    found += [
        f"{name} is {' x '.join(map(str, stored))} and should be {' x '.join(map(str, right))}"
        for name, stored, right in misshapen[:3]
    ]
    if not found:
        return None
    return f"its weights are not those of its config.json: {'; '.join(found)}{_hint(expected, left_over)}"


def _hint(expected: Iterable[str], left_over: Sequence[str]) -> str:
    """What would help, where names tell."""
    if any(name.startswith("classifier.") for name in left_over):
        return (
            ". They are a classifier's, whose head is not a masked-LM head; keep its encoder alone, with "
            "AutoModel.from_pretrained(...).save_pretrained(...)"
        )
    names = {*expected, *(name.removeprefix(_INNER) for name in expected), _DECODER}
    for name in sorted(names) if left_over else ():
        before = left_over[0].removesuffix(name)
        if before != left_over[0] and all(
            each.startswith(before) and each.removeprefix(before) in names for each in left_over
        ):
            return f". Without '{before}' before each name they would fit: save the model that was wrapped"
    return ""


def _few(names: Iterable[str]) -> str:
    return first_few([shorten(name, 80) for name in sorted(names)])


def _are(names: Iterable[str]) -> str:
    return "is" if len([*names]) == 1 else "are"


def tokenizer_problems(name: str, config: ConfigFile, special: SpecialIds, *, resize: bool) -> list[str]:
    """Whether a checkpoint has embeddings for a tokenizer and knows its special tokens by the same ids."""
    rows, tokens = config["vocab_size"], special.vocabulary_size
    if rows < tokens and not resize:
        return [
            f"model.from: '{name}' has {rows} embeddings, but the tokenizer has {tokens} "
            f"tokens; go on with the checkpoint's own tokenizer (tokenizer: {{from: {name}}}), or add rows for new tokens "
            "with model.resize_vocabulary: true"
        ]
    if resize and rows >= tokens:
        return [
            f"model.resize_vocabulary: '{name}' has {rows} embeddings already and the tokenizer {tokens} tokens; leave it out"
        ]
    return [
        f"model.from: '{name}' knows [{role.upper()}] as {config[key]}, but the tokenizer as {getattr(special, role)}; "
        f"go on with the checkpoint's own tokenizer (tokenizer: {{from: {name}}})"
        for role, key in (("cls", "cls_token_id"), ("sep", "sep_token_id"), ("pad", "pad_token_id"))
        if config.stated.get(key) is not None and config.stated[key] != getattr(special, role)
    ]


def start_problems(name: str, look: Look) -> list[str]:
    """Why training cannot start from what was seen of a checkpoint."""
    config = look.config
    if config is not None and config.model_type != MODEL_TYPE:
        return [f"model.from: '{name}' is a {config.model_type} model; only the ModernBERT family can be gone on from"]
    problems = look.problems or (config.not_honoured() if config is not None else ())
    return [f"model.from: '{name}': {problem}" for problem in problems]


@dataclass(frozen=True)
class Loaded:
    """A model as transformers loaded it, and what it says of that.

    `missing` are names of the model, `left_over` names of the file, `misshapen` names with their stored and their right
    shapes; what was missing or of another shape holds random numbers.
    """

    model: Any
    missing: frozenset[str]
    left_over: frozenset[str]
    misshapen: Sequence[tuple[str, Shape, Shape]] = field(default=())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers and torch from telling on the terminal what the caller tells in its own words."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.set_verbosity(before)


def require_unaltered(folder: Path) -> None:
    """Refuse a checkpoint or an exported model of a run that was altered since; other folders have no record.

    Raises:
        DataError: a file differs from its record.
    """
    # The optimizer is not read, is larger than the weights, and is left out of most copies.
    require_as_written(folder, lambda name: name in _NOT_READ)


def load(kind: Any, source: str | Path, **options: Any) -> Loaded:
    """Load a model in fp32 by one of transformers' classes, in silence: the caller judges what is missing or left over.

    Nothing is unpickled but tensors, and no code of the folder's runs.

    Raises:
        DataError: it cannot be loaded, a weight that was stored is not finite, or a run wrote it and it was altered since.
    """
    import torch

    require_unaltered(Path(source))

    try:
        with quiet():
            model, info = kind.from_pretrained(
                source, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
                trust_remote_code=False, **options,
            )  # fmt: skip
    except (MemoryError, torch.OutOfMemoryError, RexplugError):
        raise
    except Exception as error:  # whatever transformers raises on files that we did not write
        # torch's own words for it recommend to unpickle the file all the same.
        if "Weights only load failed" in str(error):
            raise DataError(
                f"its weights could not be loaded: {_PICKLE} is damaged, or holds other things than tensors, which are not "
                "read since that can run code; save them as safetensors"
            ) from None
        raise DataError(f"its weights could not be loaded: {first_line(error)}") from None
    new = {*info["missing_keys"], *(each[0] for each in info["mismatched_keys"])}
    for name, values in model.named_parameters():
        if name not in new and not bool(torch.isfinite(values).all()):
            raise DataError(f"its weight {name} holds values that are not finite numbers")
    return Loaded(
        model, frozenset(info["missing_keys"]), frozenset(info["unexpected_keys"]),
        tuple((name, tuple(found), tuple(right)) for name, found, right in sorted(info["mismatched_keys"])),
    )  # fmt: skip


def load_masked_lm(source: str | Path, says: ConfigFile, **options: Any) -> tuple[Any, tuple[str, ...]]:
    """A `ModernBertForMaskedLM` whose weights fit its config, and the names of those of its head that had to be drawn.

    Args:
        source: a folder or hub name.
        says: its config.json.
        options: for transformers' `from_pretrained`.

    Raises:
        DataError: it cannot be loaded, or the weights do not fit.
    """
    from transformers import ModernBertForMaskedLM

    loaded = load(ModernBertForMaskedLM, source, **options)
    fit = judge(says, loaded.missing, loaded.left_over, loaded.misshapen)
    if fit.problem is not None:
        raise DataError(fit.problem)
    model = loaded.model
    if says["tie_word_embeddings"] and model.decoder.weight is not model.get_input_embeddings().weight:
        raise DataError(
            f"its {_DECODER} differs from its embedding, but config.json ties them; write tie_word_embeddings: false if it "
            "was trained so"
        )
    return model, fit.new_weights


def encoder_problem(loaded: Loaded) -> str | None:
    """Whether the inner model of any family has all of its weights and none is left over; heads and pooler are not used."""
    model, base = loaded.model, loaded.model.base_model
    prefix = "" if base is model else f"{model.base_model_prefix}."
    names = [name for name, _ in base.named_parameters() if not name.startswith(_POOLER)]
    inner = {prefix + name for name in names}
    lacking = {name for name in loaded.missing if name in inner}
    children = {name for name, _ in base.named_children()} - {_POOLER.rstrip(".")}
    over = sorted(
        name
        for name in loaded.left_over
        if lacking or name.removeprefix(f"{model.base_model_prefix}.").partition(".")[0] in children
    )
    shapes = [each for each in loaded.misshapen if each[0] in inner]
    known = {*inner, *names, *(name for name, _ in model.named_parameters())}
    parts = [_lacking(lacking, len(inner))] if lacking else []
    return _unfit(parts, over, shapes, known if lacking == inner else ())


def lacks_head(loaded: Loaded) -> bool:
    """Whether weights outside the inner model had to be drawn at random."""
    new = {*loaded.missing, *(each[0] for each in loaded.misshapen)}
    prefix = f"{loaded.model.base_model_prefix}."
    return loaded.model.base_model is not loaded.model and any(not name.startswith(prefix) for name in new)


def first_line(error: BaseException) -> str:
    """What an error says in its first line, or its name."""
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
