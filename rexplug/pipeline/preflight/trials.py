"""Tries the components of plugins on made-up data, so that mistakes in their code are found before a run reads or trains anything.

Components that ship with rexplug are not tried: the contract tests do that, and `check` need not load numpy. A trial ends without a
problem where a component would open a network connection, import a slow package or need a model (`TrialOver`), and where a
labeller or an evaluator refuses the data with a `DataError`: it need not accept made-up data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from rexplug.components import (
    Candidate,
    Component,
    CorpusFilter,
    CorpusSample,
    Document,
    DocumentSource,
    Evaluator,
    Labeller,
    LabellingContext,
    MaskingPolicy,
    MixingSchedule,
    SalienceScorer,
    TokenizedDocument,
)
from rexplug.components.masking_policy import ROW_CHANNELS
from rexplug.errors import PluginError, RexplugError
from rexplug.io.current_directory import same_directory
from rexplug.io.file_content import files_below
from rexplug.pipeline.preflight.trial_texts import TEXTS, made_up_documents
from rexplug.plugins.calls import (
    count_shards,
    evaluate_model,
    evaluator_at_budget,
    explain_salience,
    fit_component,
    input_files,
    judge_documents,
    label_candidates,
    labelled_ids,
    labeller_instruction,
    mixing_weights,
    own_documents,
    owner,
    plugin_at_fault,
    require_picklable,
    score_document,
    test_texts,
    why_no_test_texts,
)
from rexplug.plugins.calls.components import FittedT
from rexplug.plugins.fingerprint import comes_with_rexplug
from rexplug.plugins.trial_limits import TrialLimits, TrialOver, trial_limits
from rexplug.progress import Silent
from rexplug.recipe import Recipe

LARGEST_INPUT = 16 * 2**20
"""Bytes of the files of an evaluator or labeller; one with more is not tried, since reading them may take seconds."""


def trial_problems(recipe: Recipe) -> Iterator[str]:
    """The mistakes of plugins' components that trials find, one text each, with their place in the recipe."""
    for place, component, trial, may_refuse in _trials(recipe):
        if not comes_with_rexplug(component):
            yield from (f"{place}: {problem}" for problem in _tried(trial, may_refuse=may_refuse))


def _trials(recipe: Recipe) -> Iterator[tuple[str, Component, Callable[[TrialLimits], None], bool]]:
    """Place, component, function that tries it, and whether it may refuse made-up data."""
    for name, source in recipe.sources.items():
        yield f"sources.{name}", source, partial(_try_source, source), True
        for number, corpus_filter in enumerate(source.filters):
            place = f"sources.{name}.filters.{number}"
            yield place, corpus_filter, partial(_try_filter, corpus_filter, recipe), False
    for place, labeller in _labellers(recipe):
        yield place, labeller, partial(_try_labeller, labeller, recipe), True
    for place, scorer in _scorers(recipe):
        yield place, scorer, partial(_try_scorer, scorer, recipe), False
    for phase in recipe.phases:
        yield f"phases.{phase.name}.mixing", phase.mixing, partial(_try_schedule, phase.mixing, recipe), False
        yield f"phases.{phase.name}.masking", phase.masking, partial(_try_policy, phase.masking), False
    for number, evaluator in enumerate(recipe.evaluators):
        yield f"evaluators.{number} ({evaluator.name})", evaluator, partial(_try_evaluator, evaluator, recipe), True


def _labellers(recipe: Recipe) -> Iterator[tuple[str, Labeller]]:
    if recipe.relevance is not None:
        yield "relevance.labels", recipe.relevance.labels
        if recipe.relevance.audit is not None:
            yield "relevance.audit.labels", recipe.relevance.audit.labels


def _scorers(recipe: Recipe) -> Collection[tuple[str, SalienceScorer]]:
    """The distinct scorers, each with where the recipe names it first."""
    named = [(f"salience.{number}", scorer) for number, scorer in enumerate(recipe.salience)]
    named += [(f"phases.{phase.name}.masking", scorer) for phase in recipe.phases for scorer in phase.masking.scorers]
    first: dict[str, tuple[str, SalienceScorer]] = {}
    for place, scorer in named:
        first.setdefault(scorer.channel, (place, scorer))
    return first.values()


def _tried(trial: Callable[[TrialLimits], None], *, may_refuse: bool) -> Iterator[str]:
    """The error that the trial of a component raises, as one text; nothing if it raises none."""
    try:
        with same_directory(), trial_limits() as limits:
            trial(limits)
    except (RexplugError, OSError, TrialOver) as error:
        refused = may_refuse and not isinstance(error, PluginError | OSError)
        if limits.reached is None and not refused:
            yield str(plugin_at_fault(error) or error)


def _try_source(source: DocumentSource, limits: TrialLimits) -> None:
    """Ask for the files and shards; documents are not read, since curation begins with that."""
    input_files(source)
    count_shards(source)
    require_picklable(source)


def _try_filter(corpus_filter: CorpusFilter, recipe: Recipe, limits: TrialLimits) -> None:
    documents = [Document(f"made-up-{number}", text) for number, text in enumerate(TEXTS, 1)]
    if type(corpus_filter).fit is CorpusFilter.fit:
        judge_documents(corpus_filter, documents)
        require_picklable(corpus_filter)
    else:
        _try_fitted(corpus_filter, recipe, lambda fitted: judge_documents(fitted, documents))


def _try_scorer(scorer: SalienceScorer, recipe: Recipe, limits: TrialLimits) -> None:
    if type(scorer).fit is SalienceScorer.fit:
        _score_texts(scorer)
        require_picklable(scorer)
    else:
        _try_fitted(scorer, recipe, _score_texts)


def _score_texts(scorer: SalienceScorer) -> None:
    import numpy as np

    from rexplug.text.words import word_bounds

    for number, text in enumerate(TEXTS, 1):
        starts, ends = word_bounds(text)
        spans = np.stack([starts, ends], 1).astype(np.uint32)
        ids = np.arange(len(spans), dtype=np.uint32)
        document = TokenizedDocument(f"made-up-{number}", text, ids, spans, np.ones(len(spans), np.bool_))
        score_document(scorer, document)
        explain_salience(scorer, document)


def _try_fitted(component: FittedT, recipe: Recipe, use: Callable[[FittedT], object]) -> None:
    """Fit a component on made-up documents of every source, and use it.

    Exceptions of the component are not reported: a few made-up documents may be too few to learn from. Wrong return values are.
    """
    with TemporaryDirectory(prefix="rexplug-") as folder:
        sample = CorpusSample(made_up_documents(recipe.sources), Path(folder), recipe.seed)
        try:
            use(fit_component(component, sample)[0])
        except RexplugError as error:
            if isinstance(error, PluginError) and error.__cause__ is None:
                raise


def _try_labeller(labeller: Labeller, recipe: Recipe, limits: TrialLimits) -> None:
    """Label two documents: the labeller's own, or made-up ones with ids that it can label."""
    labeller_instruction(labeller)
    if _is_large(labeller):
        return
    ids = labelled_ids(labeller)
    own = own_documents(labeller)
    if own is not None:
        documents = list(islice(own, 2))
    elif ids is not None:
        documents = [Document(id, text) for id, text in zip(sorted(ids), TEXTS[:2], strict=False)]
    else:
        documents = [Document(f"made-up-{number}", text) for number, text in enumerate(TEXTS[:2], 1)]
    candidates = [Candidate(next(iter(recipe.sources)), document) for document in documents]
    if candidates:
        with TemporaryDirectory(prefix="rexplug-") as folder:
            label_candidates(labeller, candidates, LabellingContext(Path(folder), recipe.seed, Silent()))


def _try_evaluator(evaluator: Evaluator, recipe: Recipe, limits: TrialLimits) -> None:
    """Ask for the test texts, and measure a made-up encoder up to where a model is needed."""
    why_no_test_texts(evaluator)
    small = evaluator_at_budget(evaluator, "quick")
    if _is_large(evaluator):
        return
    test_texts(evaluator)
    from rexplug.evaluation.statistics import resamples_of
    from rexplug.evaluation.trial_context import TrialContext

    held_out = made_up_documents(recipe.sources) if recipe.curation.held_out else {}
    with TemporaryDirectory(prefix="rexplug-") as folder, resamples_of("quick"):
        context = TrialContext(held_out, Path(folder), recipe.seed, recipe.evaluation_scorer is not None, limits)
        evaluate_model(small, context, "on a made-up encoder")


def _is_large(component: Labeller | Evaluator) -> bool:
    """Whether the files that a component reads are too large for a trial."""
    paths = input_files(component)
    files = chain.from_iterable(files_below(path) if path.is_dir() else [path] for path in paths if path.exists())
    return sum(path.stat().st_size for path in files) > LARGEST_INPUT


def _try_schedule(schedule: MixingSchedule, recipe: Recipe, limits: TrialLimits) -> None:
    """Ask for the weights at 21 points: training opens the sources that have one at the start, and no others later."""
    at_start = mixing_weights(schedule, 0.0, recipe.sources).keys()
    for step in range(1, 21):
        progress = step / 20
        names = mixing_weights(schedule, progress, recipe.sources).keys()
        if names != at_start:
            raise PluginError(
                f"{owner(schedule)}{schedule.name}.weights({progress:g}) names {', '.join(names)}, but weights(0) "
                f"{', '.join(at_start)}; name the same sources at any progress"
            )


def _try_policy(policy: MaskingPolicy, limits: TrialLimits) -> None:
    """Mask a row of random tokens; a policy that names channels which do not exist is not tried."""
    if not set(policy.row_channels) <= set(ROW_CHANNELS) or policy.retired:
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
        if isinstance(missing, KeyError) and missing.args[0] in ROW_CHANNELS:
            raise PluginError(
                f"{policy.name} reads the channel {missing}, which its `channels` does not name"
            ) from None
        raise
