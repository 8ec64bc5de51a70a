"""Whether what a recipe names can be read, before anything is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rexplug.components import CorpusFilter, DocumentSource, Evaluator, Labeller
from rexplug.errors import DataError, RexplugError, brief
from rexplug.io.hub import HubName, HubUnreachable, ask_hub
from rexplug.pipeline.preflight.components import early_problems
from rexplug.pipeline.preflight.start import start_notes, start_problems
from rexplug.recipe import Recipe
from rexplug.recipe.notes import recipe_notes


@dataclass(frozen=True)
class PreflightReport:
    """What the checks before a run found.

    `problems` keep the recipe from running, one line each; `warnings` are remarks on what is allowed but unusual.
    `unchecked` maps a place in the recipe to a name on the Hugging Face Hub that was not asked for; `why_unchecked` says why.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    unchecked: Mapping[str, HubName]
    why_unchecked: str = ""

    @property
    def ok(self) -> bool:
        """Whether the recipe can run, as far as could be checked."""
        return not self.problems

    def lines(self) -> list[str]:
        """Warnings and unchecked names for the terminal."""
        found = [f"  note: {warning}" for warning in self.warnings]
        if self.unchecked:
            found.append(f"  not checked, since it is on the Hugging Face Hub ({self.why_unchecked}):")
            found += [f"    {place}: {name}" for place, name in self.unchecked.items()]
        return found


def check_inputs(recipe: Recipe, *, hub: bool = False) -> PreflightReport:
    """The same as `preflight`, for work that cannot begin where there are problems.

    Raises:
        DataError: with one line per problem.
    """
    report = preflight(recipe, hub=hub)
    if report.problems:
        raise DataError("\n".join(report.problems))
    return report


def preflight(recipe: Recipe, *, hub: bool = False) -> PreflightReport:
    """Check whether everything that a recipe reads is there and fits together.

    Args:
        recipe: the recipe.
        hub: ask the Hugging Face Hub for the datasets and models there. Without it nothing but object stores is asked over
            a network. A Hub that does not answer is not a problem of the recipe.
    """
    problems = []
    for place, component in _components(recipe):
        try:
            component.check()
        except RexplugError as error:
            problems.append(f"{place}: {error}")
        except OSError as error:  # a name that is too long, a folder that we may not read
            problems.append(f"{place}: {_said(error)}")
    problems += _relevance_problems(recipe)
    problems += early_problems(recipe)
    unchecked: dict[str, HubName] = {
        place: name for place, component in _components(recipe) for name in component.hub_names()
    }
    try:
        problems += start_problems(recipe, unchecked)
    except OSError as error:
        problems.append(f"tokenizer, model or baselines: {_said(error)}")
    why = "--hub asks for it"
    if hub:
        unchecked, why = _asked(unchecked, problems)
    # Remarks on a checkpoint are made only where it can be read.
    warnings = (*(() if problems else start_notes(recipe)), *recipe_notes(recipe))
    return PreflightReport(tuple(problems), warnings, unchecked, why if unchecked else "")


def _said(error: OSError) -> str:
    return f"{brief(error.filename)} cannot be looked at: {error.strerror}"


def _components(recipe: Recipe) -> Iterator[tuple[str, DocumentSource | CorpusFilter | Evaluator | Labeller]]:
    """Every component that reads something before training, with its place in the recipe."""
    for name, source in recipe.sources.items():
        yield f"sources.{name}", source
        for index, each in enumerate(source.filters):
            yield f"sources.{name}.filters.{index} ({each.name})", each
    for index, evaluator in enumerate(recipe.evaluators):
        yield f"evaluators.{index} ({evaluator.name})", evaluator
    if recipe.relevance is not None:
        yield "relevance.labels", recipe.relevance.labels
        if recipe.relevance.audit is not None:
            yield "relevance.audit.labels", recipe.relevance.audit.labels


def _asked(unchecked: dict[str, HubName], problems: list[str]) -> tuple[dict[str, HubName], str]:
    """Ask the hub for each name once; faults go to `problems`. Returns what got no answer, and why."""
    answers: dict[HubName, str | None] = {}
    for place, name in unchecked.items():
        if name not in answers:
            try:
                answers[name] = ask_hub(name)
            except HubUnreachable as error:
                # One silence is enough: every further question would wait as long.
                left = {place: name for place, name in unchecked.items() if name not in answers}
                return left, f"the hub does not answer: {error}"
        if answers[name] is not None:
            problems.append(f"{place}: {answers[name]}")
    return {}, ""


def _relevance_problems(recipe: Recipe) -> list[str]:
    """Whether the `relevance` block and the filters that need it belong together."""
    from rexplug.corpus.relevance.filter import sources_to_classify

    needing = sources_to_classify(recipe.sources)
    if recipe.relevance is None:
        return [
            f"sources.{name}: the filter 'relevance' has no classifier; write a `relevance` block, or give the filter a `model`"
            for name in needing
        ]
    if not needing:
        return ["relevance: no source uses the filter `relevance`, so that the classifier would decide nothing"]
    return []
