"""The work of each stage: calls the package that does it, with what the recipe says."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.checksums import FILE as CHECKSUMS
from rexplug.checksums import record_checksums, require_intact
from rexplug.components import Document, SalienceScorer
from rexplug.errors import RexplugError
from rexplug.evaluation.models import ModelSpec
from rexplug.io.atomic import remove, replacing, write_text
from rexplug.pipeline.stages import Incomplete
from rexplug.planning.hardware import processor_name
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory, metric_lines, truncate_metrics

if TYPE_CHECKING:
    from rexplug.evaluation import EvaluationData

REMAKE_TOKENIZER = "--from tokenize makes it, and all that depends on it, again"
COMPARED_TEXTS = 200
"""Kept documents of each source on which the tokenizer is compared with that of the checkpoint."""
HELD_OUT_LIMIT = 2000
"""Evaluators get at most this many held-out documents of a source."""


@dataclass(frozen=True)
class StageWork:
    """What the stages of a recipe do, one method per stage; what a method returns is kept in the manifest."""

    recipe: Recipe
    run: RunDirectory
    progress: Progress
    failed_evaluations: list[str] = field(default_factory=list, compare=False)
    """Evaluations in the middle of a phase that failed, as lines of a message."""

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
        from rexplug.corpus.compared import compared
        from rexplug.corpus.curate import curate
        from rexplug.corpus.filters_setup import finish_statistics, resolve_filters
        from rexplug.report import write_dataset_card

        recipe, run = self.recipe, self.run
        with_texts = compared(recipe)
        sources = resolve_filters(recipe, run, with_texts, self.progress)
        statistics = curate(
            sources, recipe.curation, seed=recipe.seed, corpus=run.corpus, fitted=run.fitted,
            progress=self.progress,
        )  # fmt: skip
        statistics = finish_statistics(statistics, recipe, run, with_texts)
        write_dataset_card(run, recipe)
        return statistics

    def tokenize(self) -> Any:
        """Write the tokenizer, fit the salience scorers, and turn the kept documents into token stores."""
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
        self._require_learnt_ids()
        return tokenize(
            run.corpus, sources, run.tokenizer, self._fitted_scorers(), tokens=run.tokens,
            executor=recipe.curation.executor, progress=self.progress,
        )  # fmt: skip

    def initialize(self) -> Any:
        """Write the model that the first phase starts from."""
        from rexplug.engine import initial_checkpoint
        from rexplug.phase_stream import phase_stream
        from rexplug.tokens.special import SpecialTokens

        self.progress.start("initial model")
        for phase in self.recipe.phases:
            # Refuses a source without documents for a phase now, not when the phase's turn comes.
            phase_stream(self.recipe, phase, self.run)
        self._require_learnt_ids()
        summary = initial_checkpoint(self.recipe, SpecialTokens.read(self.run.tokenizer), self.run)
        if summary["new_weights"]:
            self.progress.note(
                f"  '{self.recipe.model.from_}' has no masked-LM head; a new one starts from random weights"
            )
        return summary

    def _require_learnt_ids(self) -> None:
        """Refuse a tokenizer whose token ids are not those that the starting checkpoint was trained with."""
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
        """Train one phase from the checkpoint of the phase before, on all ranks."""
        from rexplug import distributed
        from rexplug.engine import train_phase
        from rexplug.phase_stream import phase_stream
        from rexplug.planning.memory import tokens_that_fit

        if distributed.rank() == 0:
            distributed.broadcast(phase.name)
        require_intact(self.run.tokenizer, REMAKE_TOKENIZER)
        moments = ["initial", *(other.name for other in self.recipe.phases)]
        return train_phase(
            recipe=self.recipe,
            phase=phase,
            stream=phase_stream(self.recipe, phase, self.run),
            start=self._checkpoint(moments[moments.index(phase.name) - 1]),
            run=self.run,
            progress=self.progress,
            evaluate=lambda folder, tokens: self._evaluate_within_phase(folder, f"{phase.name}-{tokens}"),
            tokens_that_fit=lambda room, gpu: tokens_that_fit(
                self.recipe, phase.name, self.run, room, gpu=gpu, processes=distributed.world_size()
            ),
        )

    def evaluate(self, moment: str) -> Any:
        """Run every evaluator on the model as it is after `moment`: `initial` or a phase."""
        return self._evaluate(self._checkpoint(moment), moment)

    def _evaluate_within_phase(self, checkpoint: Path, moment: str) -> None:
        """Evaluate without stopping the training where an evaluator fails."""
        try:
            self._evaluate(checkpoint, moment)
        except RexplugError as error:
            self.failed_evaluations.append(f"  {moment}: {error}")
            self.progress.note(f"  warning: the evaluation at {moment} failed, and training continues: {error}")

    def require_evaluations(self) -> None:
        """Called at the end of a run.

        Raises:
            Incomplete: evaluations in the middle of a phase failed.
        """
        if self.failed_evaluations:
            raise Incomplete(
                "everything else is done and kept, but evaluations on the way through a phase failed:\n"
                + "\n".join(self.failed_evaluations)
            )

    def _evaluate(self, checkpoint: Path, moment: str) -> Any:
        from rexplug.evaluation import EvaluatorsFailed, evaluate

        self._require_intact(checkpoint)
        try:
            results = evaluate(
                self.recipe.evaluators,
                ModelSpec(moment, str(checkpoint), self.recipe.evaluation.precision), self.evaluation_data(), name=moment,
                folder=self.run.evaluation / moment, progress=self.progress, tokenizer=self.run.tokenizer,
                budget=self.recipe.evaluation.budget, processor=processor_name(),
            )  # fmt: skip
        except EvaluatorsFailed as error:
            raise EvaluatorsFailed(str(error), _main_metrics(error.results)) from None
        return _main_metrics(results)

    def evaluate_baselines(self) -> Any:
        """Run every evaluator on the recipe's baselines."""
        from rexplug.evaluation import EvaluatorsFailed, distinct, evaluate

        metrics: dict[str, Any] = {}
        failed: list[str] = []
        data = self.evaluation_data()
        precision = self.recipe.evaluation.precision
        specs = [ModelSpec.of(baseline).by_default(precision) for baseline in self.recipe.baselines]
        for name in distinct(specs):
            try:
                results: Mapping[str, Mapping[str, Any]] = evaluate(
                    self.recipe.evaluators, name, data, name=name.label,
                    folder=self.run.baselines / name.label, progress=self.progress, budget=self.recipe.evaluation.budget,
                    processor=processor_name(),
                )  # fmt: skip
            except RexplugError as error:
                failed.append(f"{name.label}: {error}")
                results = error.results if isinstance(error, EvaluatorsFailed) else {}
            metrics[name.label] = _main_metrics(results)
        if failed:
            raise EvaluatorsFailed("; ".join(failed), metrics)
        return metrics

    def evaluation_data(self) -> EvaluationData:
        """What evaluators measure on: held-out documents, and the scorer that tells salient words from others."""
        from rexplug.evaluation import EvaluationData

        scorer = self.recipe.evaluation_scorer
        fitted = self._fitted_scorers()[scorer.channel] if scorer is not None else None
        return EvaluationData(self._held_out(), self.recipe.seed, fitted, self.run.tokenizer)

    def export(self) -> Any:
        """Write the Hugging Face model of the last phase and compare its logits with those of the checkpoint."""
        from rexplug.model.export import export

        texts = [document.text for documents in self._held_out().values() for document in documents[:4]]
        self.progress.start("export")
        checkpoint = self._checkpoint(self.recipe.phases[-1].name)
        self._require_intact(checkpoint)
        parity = export(checkpoint, self.run.tokenizer, self.run.model, sample_texts=texts[:8])
        record_checksums(self.run.model, leave_out=[self.run.card.name])
        return parity

    def report(self) -> Any:
        """Write the report and the model card, and copy the card beside the exported weights."""
        self.progress.start("report")
        write_documents(self.run, self.recipe)
        return None

    def _require_intact(self, checkpoint: Path) -> None:
        """Refuse weights or a tokenizer that were damaged or altered since they were written.

        Raises:
            DataError: a file differs from its checksum.
        """
        require_intact(self.run.tokenizer, REMAKE_TOKENIZER)
        phase = checkpoint.parent.name if checkpoint.name == "final" else checkpoint.name
        require_intact(checkpoint, f"--from train.{phase} trains it again")

    def _checkpoint(self, moment: str) -> Path:
        folder = self.run.checkpoints / moment
        return folder / "final" if (folder / "final").is_dir() else folder

    def _fitted_scorers(self) -> dict[str, SalienceScorer]:
        """Channel -> the fitted scorer that fills it."""
        from rexplug.tokens.tokenize import fit_scorers

        recipe, run = self.recipe, self.run
        fitted = fit_scorers(
            recipe.scorers, run.corpus, list(recipe.sources), folder=run.fitted, seed=recipe.seed
        )  # fmt: skip
        return dict(zip((scorer.channel for scorer in recipe.scorers), fitted, strict=True))

    def _held_out(self) -> dict[str, list[Document]]:
        from rexplug.document_files import read_documents

        return {
            name: list(islice(read_documents(self.run.corpus / name / "held_out"), HELD_OUT_LIMIT))
            for name in self.recipe.sources
        }

    def remove_fitted_scorers(self) -> None:
        """Remove what scorers learnt: it depends on their code and on the corpus that they saw."""
        for scorer in self.recipe.scorers:
            remove(self.run.fitted / f"{scorer.channel}.json")
            remove(self.run.fitted / scorer.channel)

    def remove_phase_records(self, phase: str) -> None:
        """Remove what a phase left besides its checkpoints: its metrics and the evaluations in the middle of it."""
        truncate_metrics(self.run.metrics, phase, 0)
        for folder in self.run.evaluation.glob(f"{phase}-*"):
            if folder.name.removeprefix(f"{phase}-").isdigit():
                shutil.rmtree(folder)

    def adopt_metrics(self, donor: RunDirectory, phase: str) -> None:
        """Append another run's metrics of a phase to our own, in place of those that are there."""
        own = metric_lines(self.run.metrics, lambda name, step: name != phase)
        adopted = metric_lines(donor.metrics, lambda name, step: name == phase)
        write_text(self.run.metrics, "".join([*own, *adopted]))


def write_documents(run: RunDirectory, recipe: Recipe) -> list[Path]:
    """Write the report and the model card, and copy the card with its figures beside the exported weights; returns the files."""
    from rexplug.report import Contents, write_card, write_report

    contents = Contents(run, recipe)  # both show the comparison, whose tests take a while
    written = [write_report(contents), write_card(contents)]
    if run.model.is_dir():
        with replacing(run.model / run.card.name) as temporary:
            shutil.copyfile(run.card, temporary)
        written.append(run.model / run.card.name)
        remove(run.model / run.card_figures.name)
        if run.card_figures.is_dir():
            with replacing(run.model / run.card_figures.name) as temporary:
                shutil.copytree(run.card_figures, temporary)
    return written


def _main_metrics(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Evaluator -> its main metric; those that do not apply to the model are left out."""
    return {
        name: {"main": result["main"], **result["metrics"][result["main"]]}
        for name, result in results.items()
        if "main" in result
    }
