"""Whether the weights of a checkpoint are those of its config.json. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rexplug.errors import first_few, shorten
from rexplug.model.checkpoint.header import StoredWeights
from rexplug.model.config_file import ConfigFile

_FLOATS = ("F64", "F32", "F16", "BF16")

Misshapen = tuple[str, Sequence[int], Sequence[int]]
"""A weight's name, its stored shape, and the shape that it should have."""


@dataclass(frozen=True)
class Fit:
    """How stored weights fit: a problem, as a sentence about "its weights", or the weights of the head that are new."""

    problem: str | None
    new_weights: tuple[str, ...] = ()


def compare(config: ConfigFile, stored: StoredWeights, *, encoder_only: bool = False) -> Fit:
    """Whether stored weights are those of a config; names count with and without the prefix of the encoder.

    With `encoder_only` heads are ignored.
    """
    layout, expected = config.family.layout, config.expected_weights()
    tied = config[layout.tied]
    shapes = expected | ({layout.decoder_weight: expected[layout.embedding_weight]} if tied else {})
    stored_name_of: dict[str, str] = {}
    left_over = []
    for stored_name in stored.shapes:
        meanings = _possible_names(stored_name, layout.encoder)
        name = next((name for name in meanings if name in shapes and name not in stored_name_of), None)
        if name is not None:
            stored_name_of[name] = stored_name
        else:
            left_over.append(stored_name)
    missing = {name for name in expected if name not in stored_name_of}
    if tied and layout.decoder_weight in stored_name_of:
        missing.discard(layout.embedding_weight)  # tied: one of both is enough
    misshapen = [
        (name, stored.shapes[stored_name], shapes[name])
        for name, stored_name in stored_name_of.items()
        if stored.shapes[stored_name] != shapes[name]
    ]
    fit = judge(config, missing, left_over, misshapen, encoder_only=encoder_only)
    unusable = [name for name in stored_name_of.values() if stored.formats[name] not in _FLOATS]
    if fit.problem is None and unusable:
        return Fit(
            f"its weights are stored as {stored.formats[unusable[0]]} ({_first_names(unusable)}); "
            "floating-point numbers are needed"
        )
    return fit


def _possible_names(stored: str, prefix: str) -> Iterator[str]:
    """The names in a masked language model that transformers may give to a stored weight."""
    yield stored
    yield prefix + stored
    yield stored.removeprefix(prefix)


def judge(
    config: ConfigFile,
    missing: Iterable[str],
    left_over: Iterable[str],
    misshapen: Iterable[Misshapen],
    *,
    encoder_only: bool = False,
) -> Fit:
    """What does not fit, or which weights of the masked-LM head are new.

    Args:
        config: the checkpoint's.
        missing: names of weights of the masked language model that are not stored.
        left_over: stored names that it does not have.
        misshapen: weights of another shape.
        encoder_only: whether heads are ignored.
    """
    layout, expected = config.family.layout, config.expected_weights()
    encoder = {name for name in expected if name.startswith(layout.encoder)}
    lacking, over = {name for name in missing if name in expected}, sorted(left_over)
    head = {*expected} - encoder
    shapes = sorted(misshapen)
    if encoder_only and not lacking & encoder:
        over = [name for name in over if name.removeprefix(layout.encoder).partition(".")[0] in layout.encoder_parts]
        shapes = [weight for weight in shapes if weight[0] in encoder]
        lacking = set()
    problems = []
    if lacking & encoder:
        problems.append(lacking_problem(lacking & encoder, len(encoder)))
    elif lacking and lacking != head:
        problems.append(f"of the masked-LM head {_first_names(lacking)} {_are(lacking)} missing")
    names = {*expected, *(name.removeprefix(layout.encoder) for name in expected), layout.decoder_weight}
    problem = misfit_sentence(problems, over, shapes, names if lacking >= encoder else {layout.decoder_weight})
    return Fit(problem) if problem else Fit(None, tuple(sorted(lacking)))


def lacking_problem(names: Iterable[str], number: int) -> str:
    """Which of the encoder's weights are missing."""
    lacking = [*names]
    return f"{len(lacking)} of the encoder's {number} {_are(lacking)} missing ({_first_names(lacking)})"


def misfit_sentence(
    problems: Sequence[str], left_over: Sequence[str], misshapen: Sequence[Misshapen], names: Iterable[str]
) -> str | None:
    """One sentence of what is missing, what is left over and what has another shape; None if all fits.

    Args:
        problems: what is missing, in words.
        left_over: stored names that the model does not have.
        misshapen: weights of another shape.
        names: the model's names if none of them is stored, since a prefix may be the reason.
    """
    parts = [*problems]
    if left_over:
        parts.append(f"{len(left_over)} {_are(left_over)} left over ({_first_names(left_over)})")
    parts += [
        f"{name} is {' x '.join(map(str, stored))} and should be {' x '.join(map(str, right))}"
        for name, stored, right in misshapen[:3]
    ]
    if not parts:
        return None
    return f"its weights are not those of its config.json: {'; '.join(parts)}{_hint(names, left_over)}"


def _hint(names: Iterable[str], left_over: Sequence[str]) -> str:
    """What may be the reason, by the names that are left over."""
    if any(name.startswith("classifier.") for name in left_over):
        return (
            ". They belong to a classifier, whose head is not a masked-LM head; save only its encoder, with "
            "AutoModel.from_pretrained(...).save_pretrained(...)"
        )
    known = {*names}
    for name in sorted(known) if left_over else ():
        prefix = left_over[0].removesuffix(name)
        if prefix != left_over[0] and all(
            stored.startswith(prefix) and stored.removeprefix(prefix) in known for stored in left_over
        ):
            return f". Without '{prefix}' before each name they would fit: save the model that was wrapped"
    return ""


def _first_names(names: Iterable[str]) -> str:
    return first_few([shorten(name, 80) for name in sorted(names)])


def _are(names: Iterable[str]) -> str:
    return "is" if len([*names]) == 1 else "are"
