"""The batches that a recipe's phase asks for, from the token stores of a run."""

from __future__ import annotations

from rexplug.batches import BatchStream
from rexplug.errors import DataError
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory, read_json, repair_hint
from rexplug.schedules import batch_size
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore
from rexplug.tokens.tokenizer import tokenizer_hash

ROWS = "rows.json"
"""What `microbatch_tokens: auto` found, or a GPU chose where the recipe names no rows, beside a phase's checkpoints."""


def remembered_rows(phase: Phase, run: RunDirectory) -> int | None:
    """The tokens of a row that were chosen for a phase where it began; None if the recipe names them or nothing was chosen.

    Raises:
        DataError: what was remembered is damaged.
    """
    path = run.checkpoints / phase.name / ROWS
    if isinstance(phase.microbatch_tokens, int) or not path.exists():
        return None
    content = read_json(path)
    found = content.get("microbatch_tokens") if isinstance(content, dict) else None
    if not isinstance(found, int) or found < 1:
        raise DataError(f"{path} holds no microbatch_tokens; do the phase again (--from train.{phase.name})")
    return found if found >= phase.context else None  # `context` was changed since


def phase_stream(recipe: Recipe, phase: Phase, run: RunDirectory) -> BatchStream:
    """The stream of `phase`; training, previews and lineage all read the same one.

    Raises:
        DataError: a store is missing or damaged, or a source with a share has no document that is long enough.
    """
    warmup = phase.batch_warmup
    mixed = [name for name in recipe.sources if name in phase.mixing.weights(0.0)]
    try:
        special = SpecialTokens.read(run.tokenizer)
    except DataError as error:
        raise DataError(f"{error}; {repair_hint(run.tokenizer / 'tokenizer.json')}") from None
    stores = {name: TokenStore.open(run.tokens / name) for name in mixed}
    for store in stores.values():
        if store.description["tokenizer"] != tokenizer_hash(run.tokenizer):
            raise DataError(
                f"{run.tokenizer / 'tokenizer.json'} is not the tokenizer that {store.folder} was made with; put that back, or "
                "make both again (--from tokenize)"
            )
    return BatchStream(
        stores=stores,
        special=special,
        context=phase.context,
        row_tokens=remembered_rows(phase, run) or phase.row_tokens,
        batch_tokens=lambda tokens: batch_size(
            tokens,
            full=phase.batch_tokens,
            start=warmup.start if warmup else None,
            warmup=warmup.tokens if warmup else 0,
        ),
        total_tokens=phase.tokens,
        min_tokens=phase.min_tokens,
        mixing=phase.mixing,
        masking=phase.masking,
        seed=recipe.seed_of_training,
        phase=phase.name,
    )
