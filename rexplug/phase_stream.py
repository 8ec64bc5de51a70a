"""The batch stream of a recipe's phase, from the token stores of a run."""

from __future__ import annotations

from rexplug.batches import BatchStream
from rexplug.errors import DataError
from rexplug.plugins.calls import mixing_weights
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory, read_json, repair_hint
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore
from rexplug.tokens.tokenizer import tokenizer_hash

ROWS = "rows.json"
"""The file beside a phase's checkpoints with the row size that `microbatch_tokens: auto`, or a GPU, chose at its start."""


def chosen_row_tokens(phase: Phase, run: RunDirectory) -> int | None:
    """Tokens of a row, as chosen when the phase began; None if the recipe gives them or nothing was chosen yet.

    Raises:
        DataError: the file with the choice is damaged.
    """
    path = run.checkpoints / phase.name / ROWS
    if isinstance(phase.microbatch_tokens, int) or not path.exists():
        return None
    content = read_json(path)
    row_tokens = content.get("microbatch_tokens") if isinstance(content, dict) else None
    if not isinstance(row_tokens, int) or row_tokens < 1:
        raise DataError(f"{path} holds no microbatch_tokens; do the phase again (--from train.{phase.name})")
    return row_tokens if row_tokens >= phase.context else None  # `context` was raised since


def phase_stream(recipe: Recipe, phase: Phase, run: RunDirectory) -> BatchStream:
    """The batch stream of `phase`, the same for training, previews and lineage.

    Raises:
        DataError: a token store or the tokenizer is missing or damaged, a store was made with another tokenizer, or a source
            with a share has no document that is long enough.
    """
    sources = [name for name in recipe.sources if name in mixing_weights(phase.mixing, 0.0)]
    try:
        special = SpecialTokens.read(run.tokenizer)
    except DataError as error:
        raise DataError(f"{error}; {repair_hint(run.tokenizer / 'tokenizer.json')}") from None
    stores = {name: TokenStore.open(run.tokens / name) for name in sources}
    for store in stores.values():
        if store.description["tokenizer"] != tokenizer_hash(run.tokenizer):
            raise DataError(
                f"{run.tokenizer / 'tokenizer.json'} is not the tokenizer that {store.folder} was made with; restore that one, or "
                "make both again (--from tokenize)"
            )
    return BatchStream(
        stores=stores,
        special=special,
        context=phase.context,
        row_tokens=chosen_row_tokens(phase, run) or phase.row_tokens,
        batch_tokens=phase.batch_tokens_at,
        total_tokens=phase.tokens,
        min_tokens=phase.min_tokens,
        mixing=phase.mixing,
        masking=phase.masking,
        seed=recipe.seed_of_training,
        phase=phase.name,
    )
