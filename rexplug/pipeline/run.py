"""A run as a story: from a recipe to a model, a report and everything in between."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.checksums import FILE as CHECKSUMS
from rexplug.checksums import record_checksums, require_intact
from rexplug.components import Component, Document, Evaluator, SalienceScorer
from rexplug.errors import DataError, RexplugError
from rexplug.evaluation.models import ModelSpec
from rexplug.io.atomic import remove, replacing, write_text
from rexplug.pipeline.damage import explain_damage
from rexplug.pipeline.forecast_log import ForecastRecorder
from rexplug.pipeline.manifest import Manifest, host, locked, now, versions
from rexplug.pipeline.preflight.inputs import check_inputs
from rexplug.pipeline.run_folder import metric_lines, remove_run_outputs, require_inputs_elsewhere, require_run_folder
from rexplug.pipeline.stages import Incomplete, Stage, run_stages
from rexplug.pipeline.stamps import FORMATS, MODEL_FILES, TOKENIZER_FILES, file_stamps, folder_stamps
from rexplug.plugins.fingerprint import PluginCode
from rexplug.plugins.registry import Registry
from rexplug.progress import Progress, Silent
from rexplug.recipe import Recipe, dump_recipe, load_recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory, repair_hint
from rexplug.version import __version__

if TYPE_CHECKING:
    from rexplug.evaluation import EvaluationData

REMAKE_TOKENIZER = "--from tokenize makes it, and all that depends on it, again"
COMPARED_TEXTS = 200
"""Kept documents of each source on which the tokenizer is compared with that of the checkpoint."""
HELD_OUT_LIMIT = 2000
"""Evaluators get at most this many held-out documents of a source."""


def run_recipe(
    recipe: Recipe,
    root: Path,
    progress: Progress,
    *,
    plugins: Mapping[str, str],
    command: str,
    until: str | None = None,
    from_: str | None = None,
    fresh: bool = False,
    siblings: Sequence[RunDirectory] = (),
    allow: Sequence[str] = (),
) -> Manifest:
    """Do what a recipe says in the folder `root`, skipping what was done before.

    Args:
        recipe: the resolved recipe.
        root: the run's folder, `runs/<name>`.
        progress: told what happens.
        plugins: plugin name -> version, for the manifest.
        command: the command line that makes this run again.
        until: stop after this stage.
        from_: do this stage and what depends on it again.
        fresh: remove what an earlier run left first.
        siblings: runs whose finished stages are taken over where nothing that decides them differs.
        allow: keys of the recipe that may have changed although a phase is under way, e.g. `phases.anneal.tokens`.

    Raises:
        RexplugError: something the user can mend.
        RunInterrupted: training was asked to stop and saved itself.
        Incomplete: everything was done but some evaluations, which failed.
    """
    run = RunDirectory(root)
    for line in check_inputs(recipe, hub=True).lines():
        progress.note(line)
    require_run_folder(run, fresh=fresh)
    require_inputs_elsewhere(recipe, run)
    with locked(run):
        if fresh:
            remove_run_outputs(run)
        manifest = Manifest.open(run)
        started = False

        def begin() -> None:
            nonlocal started
            started = True
            write_text(run.recipe, dump_recipe(recipe))
            manifest.update(
                rexplug=__version__, recipe=recipe.name, description=recipe.description, seed=recipe.seed,
                command=command, versions=versions(), plugins=dict(plugins), host=host(), started=now(), status="running",
            )  # fmt: skip

        story = RecipeStages(recipe, run, progress)
        try:
            with explain_damage(root):
                run_stages(
                    story.stages(plugins), manifest, progress, until=until, from_=from_, siblings=siblings, allow=allow,
                    watch=ForecastRecorder(recipe, run, progress), begin=begin,
                )  # fmt: skip
            story.require_measured()
        except BaseException as error:
            if started:  # what is refused before it begins leaves the folder as it was
                stopped = isinstance(error, KeyboardInterrupt) or type(error).__name__ == "RunInterrupted"
                status = "interrupted" if stopped else "incomplete" if isinstance(error, Incomplete) else "failed"
                manifest.update(status=status, finished=now(), peak_memory_gib=_peak(manifest))
            raise
        manifest.update(status="done", finished=now(), peak_memory_gib=_peak(manifest))
        return manifest


def rewrite_report(root: Path, registry: Registry) -> list[Path]:
    """Write the report and the model card of a run again from what lies in its folder; returns their paths.

    Raises:
        DataError: the folder is no run.
        RecipeError: its recipe names components that are not installed.
    """
    from rexplug.report import write_card, write_report

    run = RunDirectory(root)
    Manifest.existing(run)
    if not run.recipe.is_file():
        raise DataError(f"{run.recipe} is missing; {repair_hint(run.recipe)}")
    recipe = load_recipe(run.recipe, (), registry)
    written = [write_report(run, recipe), write_card(run, recipe)]
    if run.model.is_dir():
        with replacing(run.model / "README.md") as temporary:
            shutil.copyfile(run.card, temporary)
        written.append(run.model / "README.md")
    return written


@dataclass(frozen=True)
class RecipeStages:
    """The stages of a recipe, in the order in which they run."""

    recipe: Recipe
    run: RunDirectory
    progress: Progress
    missed: list[str] = field(default_factory=list, compare=False)
    """Evaluations on the way through a phase that failed."""

    def stages(self, plugins: Mapping[str, str]) -> list[Stage]:
        """Every stage with what decides its outcome."""
        recipe, run = self.recipe, self.run
        curation = recipe.curation.model_dump(mode="json", exclude={"executor"})
        kept_out = self._kept_out()
        known = PluginCode(plugins)

        def made(
            name: str,
            work: Callable[[], Any],
            inputs: Mapping[str, Any],
            components: Iterable[Component | None],
            **options: Any,
        ) -> Stage:
            """A stage whose outcome is decided by `inputs`, and by the code of `components`."""
            entering = list(components)
            decisive = {
                **inputs,
                "plugins": known.of(entering),
                "format": FORMATS.get(name) or FORMATS[name.partition(".")[0]],
            }
            return Stage(name, decisive, work, code=lambda: PluginCode(plugins).of(entering), **options)

        stages = [
            *self._relevance(made),
            made(
                "curate",
                self.curate,
                {
                    "seed": recipe.seed,
                    "sources": {name: source.dump() for name, source in recipe.sources.items()},
                    "curation": curation,
                    "files": {name: source.stamps() for name, source in recipe.sources.items()},
                    "decontaminate": self._compared(kept_out),
                },
                [*recipe.sources.values(), *kept_out],
                after=("relevance",) if recipe.relevance else (),
                outputs=(run.corpus, run.fitted),
                recorded=(run.corpus / "statistics.json",),
            ),
            made(
                "tokenize",
                self.tokenize,
                {
                    "tokenizer": recipe.tokenizer.model_dump(mode="json", by_alias=True),
                    "files": folder_stamps(recipe.tokenizer.from_, TOKENIZER_FILES),
                    "scorers": {scorer.channel: scorer.dump() for scorer in recipe.scorers},
                },
                recipe.scorers,
                after=("curate",),
                outputs=(run.tokenizer, run.tokens),
                clear=self._forget_scorers,
                recorded=(run.fitted,),
            ),
            made(
                "train.initial",
                self.initialize,
                # How processes share the model, and what is compiled, changes nothing but rounding: a run may go on the other
                # way.
                {
                    "model": recipe.model.model_dump(mode="json", by_alias=True, exclude={"parallel", "compile"}),
                    "files": folder_stamps(recipe.model.from_, MODEL_FILES),
                    "seed": recipe.seed_of_training,
                },
                (),
                after=("tokenize",),
                outputs=(run.checkpoints / "initial",),
            ),
            self._evaluation("initial", "train.initial", made),
        ]
        before = "train.initial"
        for phase in recipe.phases:
            # When training saves, measures or gives up does not change what comes out of it.
            options = phase.model_dump(mode="json", exclude={"checkpoints", "evaluate_every"})
            stage = made(
                f"train.{phase.name}",
                partial(self.train, phase),
                {"phase": options},
                (phase.mixing, phase.masking),
                after=(before,),
                outputs=(run.checkpoints / phase.name,),
                recorded=(run.checkpoints / phase.name / "positions.log",),
                clear=partial(self._forget, phase.name),
                adopt=partial(self._adopt_metrics, phase=phase.name),
                precious=True,
            )
            stages += [stage, self._evaluation(phase.name, stage.name, made)]
            before = stage.name
        # Before the baselines: other people's models fail in ways of their own, and this one is finished.
        stages.append(made("export", self.export, {}, (), after=(before,), outputs=(run.model,)))
        if recipe.baselines:
            stages.append(
                made(
                    "evaluate.baselines",
                    self.evaluate_baselines,
                    {
                        "baselines": list(recipe.baselines),
                        "models": [folder_stamps(ModelSpec.parse(each).what, MODEL_FILES) for each in recipe.baselines],
                        **self._measured(),
                    },
                    [*recipe.evaluators, recipe.evaluation_scorer],
                    after=("tokenize",),
                    outputs=(run.baselines,),
                    recorded=(run.baselines,),
                    optional=True,
                )
            )
        everything = tuple(stage.name for stage in stages)
        stages.append(
            made(
                "report",
                self.report,
                {"description": recipe.description},
                (),
                after=everything,
                outputs=(run.report, run.card),
            )
        )
        return stages

    def _evaluation(self, moment: str, after: str, made: Callable[..., Stage]) -> Stage:
        return made(
            f"evaluate.{moment}",
            lambda: self.evaluate(moment),
            self._measured(),
            [*self.recipe.evaluators, self.recipe.evaluation_scorer],
            after=(after,),
            outputs=(self.run.evaluation / moment,),
            recorded=(self.run.evaluation / moment,),
            optional=True,
        )

    def _measured(self) -> dict[str, Any]:
        """What decides the outcome of an evaluation besides the model."""
        evaluators = self.recipe.evaluators
        scorer = self.recipe.evaluation_scorer
        return {
            "evaluators": [evaluator.dump() for evaluator in evaluators],
            "files": [file_stamps(evaluator.inputs()) for evaluator in evaluators],
            "salience": scorer.dump() if scorer is not None else None,
        }

    def _relevance(self, made: Callable[..., Stage]) -> list[Stage]:
        """The stage that trains the relevance classifier, if the recipe asks for one."""
        recipe, run = self.recipe, self.run
        if recipe.relevance is None:
            return []
        judges = [recipe.relevance.labels, *([recipe.relevance.audit.labels] if recipe.relevance.audit else [])]
        inputs = {
            "seed": recipe.seed,
            "sources": {name: source.dump() for name, source in recipe.sources.items()},
            "relevance": recipe.relevance.model_dump(mode="json"),
            "files": {name: file_stamps(source.inputs()) for name, source in recipe.sources.items()},
            "labels": file_stamps([path for judge in judges for path in judge.inputs()]),
        }
        entering = [*recipe.sources.values(), *judges]
        return [
            made(
                "relevance", self.train_relevance, inputs, entering, outputs=(run.relevance,), recorded=(run.relevance,)
            )
        ]

    def _kept_out(self) -> Sequence[Evaluator]:
        """The evaluators whose texts are kept out of the corpus."""
        from rexplug.corpus.decontaminate import evaluators_with_texts

        return evaluators_with_texts(self.recipe.evaluators, self.recipe.curation.decontaminate)

    def _compared(self, evaluators: Sequence[Evaluator]) -> dict[str, Any]:
        """What decides the texts of evaluators."""
        from rexplug.corpus.decontaminate import text_options

        return {each.label: {"options": text_options(each), "files": file_stamps(each.inputs())} for each in evaluators}

    def train_relevance(self) -> Any:
        """Label a sample, train the relevance classifier and choose its threshold."""
        from rexplug.corpus.relevance.train import train_relevance

        recipe, run = self.recipe, self.run
        assert recipe.relevance is not None
        report = train_relevance(
            recipe.sources, recipe.relevance, seed=recipe.seed, folder=run.relevance, answers=run.labels,
            progress=self.progress,
        )  # fmt: skip
        return {name: report[name] for name in ("model", "threshold", "labels", "test")}

    def curate(self) -> Any:
        """Read, filter, deduplicate and split the documents of every source."""
        from rexplug.corpus.curate import curate
        from rexplug.corpus.filters_setup import finish_statistics, resolve_filters
        from rexplug.report import write_dataset_card

        recipe, run = self.recipe, self.run
        sources = resolve_filters(recipe, run, self.progress)
        statistics = curate(
            sources, recipe.curation, seed=recipe.seed, corpus=run.corpus, fitted=run.fitted,
            progress=self.progress,
        )  # fmt: skip
        statistics = finish_statistics(statistics, recipe, run)
        write_dataset_card(run, recipe)
        return statistics

    def tokenize(self) -> Any:
        """Make the tokenizer, fit the salience scorers, and turn kept documents into token stores."""
        from rexplug.tokens.tokenize import tokenize
        from rexplug.tokens.tokenizer import make_tokenizer

        recipe, run = self.recipe, self.run
        sources = list(recipe.sources)
        make_tokenizer(
            recipe.tokenizer, run.corpus, sources, seed=recipe.seed, folder=run.tokenizer, progress=self.progress,
            max_length=max(phase.context for phase in recipe.phases),
        )  # fmt: skip
        if not (run.tokenizer / CHECKSUMS).exists():
            record_checksums(run.tokenizer)
        require_intact(run.tokenizer, REMAKE_TOKENIZER)
        self._compare_ids()
        scorers = dict(zip((scorer.channel for scorer in recipe.scorers), self._scorers(), strict=True))
        return tokenize(
            run.corpus, sources, run.tokenizer, scorers, tokens=run.tokens, executor=recipe.curation.executor,
            progress=self.progress,
        )  # fmt: skip

    def initialize(self) -> Any:
        """Write the model that the first phase starts from."""
        from rexplug.engine import initial_checkpoint
        from rexplug.phase_stream import phase_stream
        from rexplug.tokens.special import SpecialTokens

        self.progress.start("initial model")
        for phase in self.recipe.phases:
            # Refuses a source without documents for it: better now than when its turn comes.
            phase_stream(self.recipe, phase, self.run)
        self._compare_ids()
        made = initial_checkpoint(self.recipe, SpecialTokens.read(self.run.tokenizer), self.run)
        if made["new_weights"]:
            self.progress.note(
                f"  '{self.recipe.model.from_}' has no masked-LM head; a new one starts from random weights"
            )
        return made

    def _compare_ids(self) -> None:
        """Refuse a tokenizer whose ids are not those that the checkpoint to go on from has learnt."""
        if self.recipe.model.from_ is None:
            return
        from rexplug.document_files import read_documents
        from rexplug.pipeline.preflight.checkpoint_ids import require_learnt_ids

        texts = [
            document.text
            for name in self.recipe.sources
            for document in islice(read_documents(self.run.corpus / name / "kept"), COMPARED_TEXTS)
        ]
        remark = require_learnt_ids(self.recipe.model, self.run.tokenizer, texts)
        if remark is not None:
            self.progress.note(f"  note: {remark}")

    def train(self, phase: Phase) -> Any:
        """Train one phase from the checkpoint of the one before, on all ranks."""
        from rexplug import distributed
        from rexplug.engine import train_phase
        from rexplug.phase_stream import phase_stream
        from rexplug.planning.memory import tokens_that_fit

        if distributed.rank() == 0:
            distributed.broadcast(phase.name)
        require_intact(self.run.tokenizer, REMAKE_TOKENIZER)
        names = ["initial", *(each.name for each in self.recipe.phases)]
        start = self._checkpoint(names[names.index(phase.name) - 1])
        return train_phase(
            recipe=self.recipe,
            phase=phase,
            stream=phase_stream(self.recipe, phase, self.run),
            start=start,
            run=self.run,
            progress=self.progress,
            evaluate=lambda folder, tokens: self._evaluate_on_the_way(folder, f"{phase.name}-{tokens}"),
            tokens_that_fit=lambda room, gpu: tokens_that_fit(
                self.recipe, phase.name, self.run, room, gpu=gpu, processes=distributed.world_size()
            ),
        )

    def evaluate(self, moment: str) -> Any:
        """Run every evaluator on the model as it is after `moment`."""
        return self._evaluate(self._checkpoint(moment), moment)

    def _evaluate_on_the_way(self, checkpoint: Path, moment: str) -> None:
        """Evaluators that fail do not stop the training that they look at."""
        try:
            self._evaluate(checkpoint, moment)
        except RexplugError as error:
            self.missed.append(f"  {moment}: {error}")
            self.progress.note(f"  warning: the evaluation at {moment} failed, and training goes on: {error}")

    def require_measured(self) -> None:
        """Say at the end that evaluations on the way failed.

        Raises:
            Incomplete: some did.
        """
        if self.missed:
            raise Incomplete(
                "everything else is done and kept, but evaluations on the way through a phase failed:\n"
                + "\n".join(self.missed)
            )

    def _evaluate(self, checkpoint: Path, moment: str) -> Any:
        from rexplug.evaluation import EvaluatorsFailed, evaluate

        self._require_whole(checkpoint)
        try:
            results = evaluate(
                self.recipe.evaluators, lambda: ModelSpec(moment, str(checkpoint)).load(self.run.tokenizer),
                self.evaluation_data(), name=moment, folder=self.run.evaluation / moment, progress=self.progress,
            )  # fmt: skip
        except EvaluatorsFailed as error:
            raise EvaluatorsFailed(str(error), _mains(error.results)) from None
        return _mains(results)

    def evaluate_baselines(self) -> Any:
        """Run every evaluator on the recipe's baselines."""
        from rexplug.evaluation import EvaluatorsFailed, distinct, evaluate

        found: dict[str, Any] = {}
        failed: list[str] = []
        for name in distinct([ModelSpec.parse(each) for each in self.recipe.baselines]):
            try:
                results: Mapping[str, Mapping[str, Any]] = evaluate(
                    self.recipe.evaluators, name.load, self.evaluation_data(), name=name.label,
                    folder=self.run.baselines / name.label, progress=self.progress,
                )  # fmt: skip
            except RexplugError as error:
                failed.append(f"{name.label}: {error}")
                results = error.results if isinstance(error, EvaluatorsFailed) else {}
            found[name.label] = _mains(results)
        if failed:
            raise EvaluatorsFailed("; ".join(failed), found)
        return found

    def evaluation_data(self) -> EvaluationData:
        """What evaluators measure on: held-out documents, and the scorer that tells salient words from plain ones."""
        from rexplug.evaluation import EvaluationData

        return EvaluationData(self._held_out(), self.recipe.seed, self._scorer(), self.run.tokenizer)

    def export(self) -> Any:
        """Write the Hugging Face model of the last phase and prove its logits."""
        from rexplug.model.export import export

        texts = [document.text for documents in self._held_out().values() for document in documents[:4]]
        self.progress.start("export")
        checkpoint = self._checkpoint(self.recipe.phases[-1].name)
        self._require_whole(checkpoint)
        parity = export(checkpoint, self.run.tokenizer, self.run.model, sample_texts=texts[:8])
        record_checksums(self.run.model, leave_out=[self.run.card.name])
        return parity

    def report(self) -> Any:
        """Write the report and the model card, and put the card beside the exported weights too."""
        from rexplug.report import write_card, write_report

        self.progress.start("report")
        write_report(self.run, self.recipe)
        card = write_card(self.run, self.recipe)
        with replacing(self.run.model / "README.md") as temporary:
            shutil.copyfile(card, temporary)
        return None

    def _require_whole(self, checkpoint: Path) -> None:
        """Refuse weights or a tokenizer that are not what was written.

        Raises:
            DataError: a file differs from its checksum.
        """
        require_intact(self.run.tokenizer, REMAKE_TOKENIZER)
        stage = checkpoint.parent.name if checkpoint.name == "final" else checkpoint.name
        require_intact(checkpoint, f"--from train.{stage} trains it again")

    def _checkpoint(self, moment: str) -> Path:
        folder = self.run.checkpoints / moment
        return folder / "final" if (folder / "final").is_dir() else folder

    def _scorers(self) -> tuple[SalienceScorer, ...]:
        from rexplug.tokens.tokenize import fit_scorers

        return fit_scorers(
            self.recipe.scorers,
            self.run.corpus,
            list(self.recipe.sources),
            folder=self.run.fitted,
            seed=self.recipe.seed,
        )

    def _scorer(self) -> SalienceScorer | None:
        """The fitted scorer that evaluators tell salient from plain words by."""
        fitted = dict(zip((scorer.channel for scorer in self.recipe.scorers), self._scorers(), strict=True))
        scorer = self.recipe.evaluation_scorer
        return fitted[scorer.channel] if scorer is not None else None

    def _held_out(self) -> dict[str, list[Document]]:
        from rexplug.document_files import read_documents

        return {
            name: list(islice(read_documents(self.run.corpus / name / "held_out"), HELD_OUT_LIMIT))
            for name in self.recipe.sources
        }

    def _forget_scorers(self) -> None:
        """What scorers learnt belongs to their code, and to the corpus that they saw."""
        for scorer in self.recipe.scorers:
            remove(self.run.fitted / f"{scorer.channel}.json")
            remove(self.run.fitted / scorer.channel)

    def _forget(self, phase: str) -> None:
        """Take what a phase that is redone left besides its checkpoints: its figures and evaluations on the way."""
        from rexplug.engine import remove_phase_metrics

        remove_phase_metrics(self.run, phase)
        for folder in self.run.evaluation.glob(f"{phase}-*"):
            if folder.name.removeprefix(f"{phase}-").isdigit():
                shutil.rmtree(folder)

    def _adopt_metrics(self, donor: RunDirectory, phase: str) -> None:
        """Put another run's lines of a phase behind our own."""
        own = metric_lines(self.run, lambda name: name != phase)
        write_text(self.run.metrics, "".join([*own, *metric_lines(donor, lambda name: name == phase)]))


def _peak(manifest: Manifest) -> float:
    """The most memory that a stage took, in this process or in one before it."""
    return max(
        (float(stage.get("peak_memory_gib") or 0) for stage in manifest.values.get("stages", {}).values()), default=0.0
    )


def _mains(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Evaluator -> its main metric; those that do not apply to the model are left out."""
    return {
        name: {"main": result["main"], **result["metrics"][result["main"]]}
        for name, result in results.items()
        if "main" in result
    }


def train_with_main_rank(recipe: Recipe, root: Path) -> None:
    """Be one of the ranks that only train: wait for a phase, train it with the others, until the run is over."""
    from rexplug import distributed

    story = RecipeStages(recipe, RunDirectory(root), Silent())
    phases = {phase.name: phase for phase in recipe.phases}
    while (name := distributed.broadcast(None)) is not None:
        story.train(phases[name])
    distributed.disconnect()
