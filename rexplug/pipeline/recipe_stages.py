"""The stages of a recipe: what decides each one's result, and what it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rexplug.components import Component, Evaluator
from rexplug.evaluation.identity import evaluation_code, library_versions, model_files
from rexplug.evaluation.models import ModelSpec
from rexplug.pipeline.stage_work import StageWork
from rexplug.pipeline.stages import Stage
from rexplug.pipeline.stamps import (
    FORMATS,
    MODEL_FILES,
    TOKENIZER_FILES,
    file_stamps,
    folder_stamps,
    source_stamps,
)
from rexplug.plugins.calls import all_input_files, file_versions, input_files, option_files
from rexplug.plugins.fingerprint import PluginCode
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory


class RecipeStages:
    """Builds the stages of a recipe, in the order in which they run.

    Args:
        recipe: the resolved recipe.
        run: the run's directory.
        progress: receives the notes and progress.
        plugins: plugin -> version; part of the fingerprints, together with the hash of the plugin's code.
    """

    def __init__(self, recipe: Recipe, run: RunDirectory, progress: Progress, plugins: Mapping[str, str]) -> None:
        self.recipe, self.run = recipe, run
        self.work = StageWork(recipe, run, progress)
        self._plugins = plugins
        self._code = PluginCode(plugins)

    def build(self) -> list[Stage]:
        """Every stage, each after those it depends on."""
        stages = [*self._relevance(), self._curate(), self._tokenize(), self._initial_model()]
        stages.append(self._evaluation("initial", "train.initial"))
        before = "train.initial"
        for phase in self.recipe.phases:
            trained = self._phase(phase, before)
            stages += [trained, self._evaluation(phase.name, trained.name)]
            before = trained.name
        # Before the baselines: models of other people may fail to load, and this one is finished.
        stages.append(self._stage("export", self.work.export, {}, after=(before,), outputs=(self.run.model,)))
        stages += self._baselines()
        stages.append(
            self._stage(
                "report",
                self.work.report,
                {"description": self.recipe.description},
                after=tuple(stage.name for stage in stages),
                outputs=(self.run.report, self.run.card),
            )
        )
        return stages

    def _stage(
        self,
        name: str,
        work: Callable[[], Any],
        inputs: Mapping[str, Any],
        components: Iterable[Component | None] = (),
        *,
        core: bool = False,
        elsewhere: Sequence[Path] = (),
        **options: Any,
    ) -> Stage:
        """A stage whose result is decided by `inputs`, by the code of `components` and by the files that their options name.

        Args:
            name: of the stage.
            work: does it.
            inputs: everything that changes the result.
            components: the components that take part.
            core: whether the core's code of evaluations decides the result too.
            elsewhere: files that a stage before this one depends on already.
            options: fields of the stage.
        """
        used = list(components)

        def code(plugins: PluginCode) -> dict[str, str]:
            return {**plugins.of(used), **(evaluation_code() if core else {})}

        decisive = {
            **inputs,
            "plugins": code(self._code),
            "format": FORMATS.get(name) or FORMATS[name.partition(".")[0]],
        }
        # Left out where there are none, so that finished stages of earlier versions, which did not record them, stay valid.
        if files := [path for path in option_files(used) if path not in elsewhere]:
            decisive["option_files"] = file_stamps(files)
        return Stage(name, decisive, work, code=lambda: code(PluginCode(self._plugins)), **options)

    def _relevance(self) -> list[Stage]:
        """The stage that trains the relevance classifier, if the recipe has one."""
        recipe, run = self.recipe, self.run
        if recipe.relevance is None:
            return []
        labellers = [recipe.relevance.labels, *([recipe.relevance.audit.labels] if recipe.relevance.audit else [])]
        inputs = {
            "seed": recipe.seed,
            "sources": {name: source.dump() for name, source in recipe.sources.items()},
            "relevance": recipe.relevance.model_dump(mode="json"),
            "files": {name: source_stamps(source) for name, source in recipe.sources.items()},
            "labels": file_stamps(all_input_files(labellers)),
        }
        stage = self._stage(
            "relevance", self.work.train_relevance, inputs, [*recipe.sources.values(), *labellers],
            outputs=(run.relevance,), recorded=(run.relevance,),
        )  # fmt: skip
        return [stage]

    def _curate(self) -> Stage:
        recipe, run = self.recipe, self.run
        from rexplug.corpus.compared import compared

        with_texts = compared(recipe).evaluators
        return self._stage(
            "curate",
            self.work.curate,
            {
                "seed": recipe.seed,
                "sources": {name: source.dump() for name, source in recipe.sources.items()},
                "curation": recipe.curation.fingerprint_options(),
                "files": {name: file_versions(source) for name, source in recipe.sources.items()},
                "decontaminate": self._evaluator_texts(with_texts),
            },
            [*recipe.sources.values(), *with_texts.values()],
            after=("relevance",) if recipe.relevance else (),
            outputs=(run.corpus, run.fitted),
            recorded=(run.corpus / "statistics.json",),
        )

    @staticmethod
    def _evaluator_texts(evaluators: Mapping[str, Evaluator]) -> dict[str, Any]:
        """Evaluator -> what decides the texts that the corpus must not contain."""
        from rexplug.corpus.compared import text_options

        return {
            name: {
                "options": text_options(evaluator),
                "files": file_stamps(input_files(evaluator)),
            }
            for name, evaluator in evaluators.items()
        }

    def _tokenize(self) -> Stage:
        recipe, run = self.recipe, self.run
        return self._stage(
            "tokenize",
            self.work.tokenize,
            {
                "tokenizer": recipe.tokenizer.model_dump(mode="json", by_alias=True),
                "files": folder_stamps(recipe.tokenizer.from_, TOKENIZER_FILES),
                "scorers": {scorer.channel: scorer.dump() for scorer in recipe.scorers},
            },
            recipe.scorers,
            after=("curate",),
            outputs=(run.tokenizer, run.tokens),
            clear=self.work.remove_fitted_scorers,
            recorded=(run.fitted,),
        )

    def _initial_model(self) -> Stage:
        recipe, run = self.recipe, self.run
        # How processes share the model, and what is compiled, changes rounding only: a run may continue with another setting.
        model = recipe.model.fingerprint_options(by_alias=True)
        return self._stage(
            "train.initial",
            self.work.initialize,
            {
                "model": model,
                "files": folder_stamps(recipe.model.from_, MODEL_FILES),
                "seed": recipe.seed_of_training,
            },
            after=("tokenize",),
            outputs=(run.checkpoints / "initial",),
        )

    def _phase(self, phase: Phase, before: str) -> Stage:
        folder = self.run.checkpoints / phase.name
        return self._stage(
            f"train.{phase.name}",
            partial(self.work.train, phase),
            # When training saves, evaluates or gives up does not change its result.
            {"phase": phase.fingerprint_options()},
            (phase.mixing, phase.masking),
            elsewhere=option_files(self.recipe.scorers),
            after=(before,),
            outputs=(folder,),
            recorded=(folder / "positions.log",),
            clear=partial(self.work.remove_phase_records, phase.name),
            adopt=partial(self.work.adopt_metrics, phase=phase.name),
            precious=True,
        )

    def _evaluation(self, moment: str, after: str) -> Stage:
        folder = self.run.evaluation / moment
        return self._stage(
            f"evaluate.{moment}",
            partial(self.work.evaluate, moment),
            self._evaluation_inputs(),
            [*self.recipe.evaluators, self.recipe.evaluation_scorer],
            core=True,
            after=(after,),
            outputs=(folder,),
            recorded=(folder,),
            optional=True,
        )

    def _baselines(self) -> list[Stage]:
        """The stage that evaluates other models, if the recipe names some."""
        recipe, run = self.recipe, self.run
        if not recipe.baselines:
            return []
        specs = [ModelSpec.of(baseline) for baseline in recipe.baselines]
        # A model of the hub may be on this machine only after the stage.
        models = [
            file_stamps([path for _, path in model_files(spec)]) if isinstance(spec.place, Path) else {}
            for spec in specs
        ]
        written = [baseline.model_dump(mode="json") for baseline in recipe.baselines]
        stage = self._stage(
            "evaluate.baselines",
            self.work.evaluate_baselines,
            {"baselines": written, "models": models, **self._evaluation_inputs()},
            [*recipe.evaluators, recipe.evaluation_scorer],
            core=True,
            after=("tokenize",),
            outputs=(run.baselines,),
            recorded=(run.baselines,),
            optional=True,
        )
        return [stage]

    def _evaluation_inputs(self) -> dict[str, Any]:
        """What decides the result of an evaluation besides the model."""
        evaluators, scorer = self.recipe.evaluators, self.recipe.evaluation_scorer
        inputs: dict[str, Any] = {
            "evaluators": [evaluator.dump() for evaluator in evaluators],
            "files": [file_stamps(input_files(evaluator)) for evaluator in evaluators],
            "salience": scorer.dump() if scorer is not None else None,
            "libraries": library_versions(),
        }
        # Left out where they are the defaults, so that evaluations from before there was a choice stay done.
        if self.recipe.evaluation.precision != "fp32":
            inputs["precision"] = self.recipe.evaluation.precision
        if self.recipe.evaluation.budget != "standard":
            inputs["budget"] = self.recipe.evaluation.budget
        return inputs
