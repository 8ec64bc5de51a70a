"""The batches that a recipe's phase asks for, from the token stores of a run."""

from __future__ import annotations

from rexplug.batches import BatchStream
from rexplug.errors import DataError
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory, mend
from rexplug.schedules import batch_size
from rexplug.tokens import SpecialTokens, TokenStore
from rexplug.tokens.tokenizer import tokenizer_hash


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
        raise DataError(f"{error}; {mend(run.tokenizer / 'tokenizer.json')}") from None
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
        row_tokens=phase.row_tokens,
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
