"""Whether what a recipe names can be read, before anything is done."""

from __future__ import annotations

from collections.abc import Iterator
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
    """What a look at the inputs leaves to say.

    `unchecked` are names of the hub that nobody was asked for, by their place in the recipe; `why` says why not; `notes` are
    remarks on what is there.
    """

    unchecked: dict[str, HubName]
    why: str
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The same for the terminal."""
        found = [f"  note: {note}" for note in self.notes]
        if self.unchecked:
            found.append(f"  not looked at, since it lies on the Hugging Face hub ({self.why}):")
            found += [f"    {place}: {name}" for place, name in self.unchecked.items()]
        return found


def check_inputs(recipe: Recipe, *, hub: bool = False) -> PreflightReport:
    """Look whether everything that a recipe reads is there; `rexplug check` and `run` both call this first.

    Args:
        recipe: the recipe.
        hub: ask the Hugging Face hub for what lies there. Without it nothing goes over a network but what object stores
            are asked for. A hub that does not answer is no fault of the recipe.

    Raises:
        DataError: with one line per problem.
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
    if problems:
        raise DataError("\n".join(problems))
    return PreflightReport(unchecked, why, (*start_notes(recipe), *recipe_notes(recipe)))


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
    from rexplug.corpus.relevance.sample import sources_to_classify

    needing = sources_to_classify(recipe.sources)
    if recipe.relevance is None:
        return [
            f"sources.{name}: the filter 'relevance' has no classifier; write a `relevance` block, or give the filter a `model`"
            for name in needing
        ]
    if not needing:
        return ["relevance: no source uses the filter `relevance`, so that the classifier would decide nothing"]
    return []
