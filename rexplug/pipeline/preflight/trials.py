"""Tries the components of plugins on made-up data: what their code gets wrong shows before a run reads or trains anything.

Components that ship with rexplug are not tried: the contract tests do that, and `check` need not load numpy. Components that learn
from the corpus first are not tried either, nor are labellers (they may ask a service that costs money), sources and evaluators.
"""

from __future__ import annotations

from collections.abc import Iterator

from rexplug.components import CorpusFilter, Document, MaskingPolicy, SalienceScorer, TokenizedDocument
from rexplug.errors import RexplugError
from rexplug.plugins.calls import explain_salience, judge_documents, score_document
from rexplug.plugins.fingerprint import comes_with_rexplug
from rexplug.recipe import Recipe

_TEXTS = (
    "The committee met on 12 March 2024 and read the report. It found three errors, and asked for a new draft by Friday.\n\n"
    "Section 4.2 says who may vote: every member who has paid the fee of $25.00 in time. Nobody objected.",
    "Short.",
    "Ein zweiter Text, größer als der erste, mit Umlauten und der Zahl 1.234,50 €.\nUnd einer zweiten Zeile.",
)


def trial_problems(recipe: Recipe) -> Iterator[str]:
    """What filters, scorers and masking policies get wrong, one text for each, with their place in the recipe."""
    for name, source in recipe.sources.items():
        for number, corpus_filter in enumerate(source.filters):
            if not comes_with_rexplug(corpus_filter):
                yield from (
                    f"sources.{name}.filters.{number}: {problem}" for problem in _filter_problems(corpus_filter)
                )
    for scorer in recipe.scorers:
        if not comes_with_rexplug(scorer):
            yield from _scorer_problems(scorer)
    for phase in recipe.phases:
        if not comes_with_rexplug(phase.masking):
            yield from (f"phases.{phase.name}.masking: {problem}" for problem in _policy_problems(phase.masking))


def _filter_problems(corpus_filter: CorpusFilter) -> Iterator[str]:
    if type(corpus_filter).fit is not CorpusFilter.fit:
        return
    try:
        judge_documents(corpus_filter, [Document(f"made-up-{number}", text) for number, text in enumerate(_TEXTS, 1)])
    except RexplugError as error:
        yield str(error)


def _scorer_problems(scorer: SalienceScorer) -> Iterator[str]:
    if type(scorer).fit is not SalienceScorer.fit:
        return
    import numpy as np

    from rexplug.text.words import word_bounds

    for number, text in enumerate(_TEXTS, 1):
        starts, ends = word_bounds(text)
        spans = np.stack([starts, ends], 1).astype(np.uint32)
        ids = np.arange(len(spans), dtype=np.uint32)
        document = TokenizedDocument(f"made-up-{number}", text, ids, spans, np.ones(len(spans), np.bool_))
        try:
            score_document(scorer, document)
            explain_salience(scorer, document)
        except RexplugError as error:
            yield str(error)
            return


def _policy_problems(policy: MaskingPolicy) -> Iterator[str]:
    """Whether a policy masks a row of random tokens; one that names channels which do not exist is not tried."""
    known = {"word_start", "salience"}
    if not set(policy.row_channels) <= known or policy.retired:
        return
    import numpy as np

    from rexplug.batches.masking import Masker
    from rexplug.batches.trial_rows import random_row
    from rexplug.tokens.special import SpecialTokens

    row = random_row(policy, 96, np.random.default_rng(0))
    masker = Masker(policy, SpecialTokens(1, 2, 0, 3, 1000, frozenset(range(4))))
    try:
        for progress in (0.0, 1.0):
            masker.choose(row, progress, np.random.default_rng(0))
    except RexplugError as error:
        missing = error.__cause__
        if isinstance(missing, KeyError) and missing.args[0] in known:
            yield f"{policy.name} reads the channel {missing}, which its `channels` does not name"
        else:
            yield str(error)
