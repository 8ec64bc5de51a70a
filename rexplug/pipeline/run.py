"""A run as a story: from a recipe to a model, a report and everything in between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug import __version__
from rexplug.components import Document, SalienceScorer
from rexplug.pipeline.inputs import check_inputs
from rexplug.pipeline.manifest import Manifest, host, locked, now, versions
from rexplug.pipeline.stages import Stage, run_stages
from rexplug.progress import Progress
from rexplug.recipe import Recipe, dump_recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory, replacing, write_text
from rexplug.schedules import batch_size

if TYPE_CHECKING:
    from rexplug.batches import BatchStream

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

    Raises:
        RexplugError: something the user can mend.
        RunInterrupted: training was asked to stop and saved itself.
    """
    run = RunDirectory(root)
    check_inputs(recipe)
    with locked(run):
        if fresh:
            _remove_all(run)
        manifest = Manifest.open(run)
        write_text(run.recipe, dump_recipe(recipe))
        manifest.update(
            rexplug=__version__, recipe=recipe.name, description=recipe.description, seed=recipe.seed,
            command=command, versions=versions(), plugins=dict(plugins), host=host(), started=now(), status="running",
        )  # fmt: skip
        story = Story(recipe, run, progress)
        try:
            run_stages(story.stages(plugins), manifest, progress, until=until, from_=from_)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt) or type(error).__name__ == "RunInterrupted"
            manifest.update(status="interrupted" if stopped else "failed", finished=now())
            raise
        # Stages that were done before belong to the run, but not to this process.
        peak = max(float(stage.get("peak_memory_gib", 0)) for stage in manifest.values["stages"].values())
        manifest.update(status="done", finished=now(), peak_memory_gib=peak)
        return manifest


@dataclass(frozen=True)
class Story:
    """The stages of a recipe, in the order in which they run."""

    recipe: Recipe
    run: RunDirectory
    progress: Progress

    def stages(self, plugins: Mapping[str, str]) -> list[Stage]:
        """Every stage with what decides its outcome."""
        recipe, run = self.recipe, self.run
        common = {"plugins": dict(plugins), "seed": recipe.seed}
        curation = recipe.curation.model_dump(mode="json", exclude={"executor"})
        stages = [
            *self._relevance(common),
            Stage(
                "curate",
                {
                    **common,
                    "sources": {name: source.dump() for name, source in recipe.sources.items()},
                    "curation": curation,
                    "files": {name: _files(source.inputs()) for name, source in recipe.sources.items()},
                    "decontaminate": self._compared(),
                },
                self.curate,
                after=("relevance",) if recipe.relevance else (),
                outputs=(run.corpus, run.fitted),
            ),
            Stage(
                "tokenize",
                {
                    "tokenizer": recipe.tokenizer.model_dump(mode="json", by_alias=True),
                    "scorers": {scorer.channel: scorer.dump() for scorer in recipe.scorers},
                },
                self.tokenize,
                after=("curate",),
                outputs=(run.tokenizer, run.tokens),
            ),
            Stage(
                "train.initial",
                {"model": recipe.model.model_dump(mode="json", by_alias=True), "seed": recipe.seed},
                self.initialize,
                after=("tokenize",),
                outputs=(run.checkpoints / "initial",),
            ),
            self._evaluation("initial", "train.initial"),
        ]
        before = "train.initial"
        for phase in recipe.phases:
            options = phase.model_dump(mode="json", exclude={"checkpoints"})
            stage = Stage(
                f"train.{phase.name}",
                {"phase": options},
                lambda phase=phase: self.train(phase),  # type: ignore[misc]
                after=(before,),
                outputs=(run.checkpoints / phase.name,),
                clear=lambda phase=phase: self._forget_metrics(phase.name),  # type: ignore[misc]
            )
            stages += [stage, self._evaluation(phase.name, stage.name)]
            before = stage.name
        stages.append(Stage("export", {}, self.export, after=(before,), outputs=(run.model,)))
        everything = tuple(stage.name for stage in stages)
        stages.append(
            Stage(
                "report",
                {"description": recipe.description},
                self.report,
                after=everything,
                outputs=(run.report, run.card),
            )
        )
        return stages

    def _evaluation(self, moment: str, after: str) -> Stage:
        evaluators = self.recipe.evaluators
        return Stage(
            f"evaluate.{moment}",
            {
                "evaluators": [evaluator.dump() for evaluator in evaluators],
                "files": [_files(evaluator.inputs()) for evaluator in evaluators],
            },
            lambda: self.evaluate(moment),
            after=(after,),
            outputs=(self.run.evaluation / moment,),
        )

    def _relevance(self, common: Mapping[str, Any]) -> list[Stage]:
        """The stage that trains the relevance classifier, if the recipe asks for one."""
        recipe, run = self.recipe, self.run
        if recipe.relevance is None:
            return []
        judges = [recipe.relevance.labels, *([recipe.relevance.audit.labels] if recipe.relevance.audit else [])]
        inputs = {
            **common,
            "sources": {name: source.dump() for name, source in recipe.sources.items()},
            "relevance": recipe.relevance.model_dump(mode="json"),
            "files": {name: _files(source.inputs()) for name, source in recipe.sources.items()},
            "labels": _files([path for judge in judges for path in judge.inputs()]),
        }
        return [Stage("relevance", inputs, self.train_relevance, outputs=(run.relevance,))]

    def _compared(self) -> dict[str, Any]:
        """The evaluators whose texts are kept out of the corpus, with what decides those texts."""
        from rexplug.corpus.decontaminate import compared

        found = compared(self.recipe.evaluators, self.recipe.curation.decontaminate)
        return {each.name: {"options": each.dump(), "files": _files(each.inputs())} for each in found}

    def train_relevance(self) -> Any:
        """Label a sample, train the relevance classifier and choose its threshold."""
        from rexplug.corpus.relevance import train_relevance

        recipe, run = self.recipe, self.run
        assert recipe.relevance is not None
        report = train_relevance(
            recipe.sources, recipe.relevance, seed=recipe.seed, folder=run.relevance, answers=run.labels,
            progress=self.progress,
        )  # fmt: skip
        return {name: report[name] for name in ("model", "threshold", "labels", "test")}

    def curate(self) -> Any:
        """Read, filter, deduplicate and split the documents of every source."""
        from rexplug.corpus import curate
        from rexplug.corpus.prepare import complete, prepared
        from rexplug.report import write_dataset_card

        recipe, run = self.recipe, self.run
        sources = prepared(recipe, run)
        statistics = curate(
            sources, recipe.curation, seed=recipe.seed, corpus=run.corpus, fitted=run.fitted,
            progress=self.progress,
        )  # fmt: skip
        statistics = complete(statistics, recipe, run)
        write_dataset_card(run, recipe)
        return statistics

    def tokenize(self) -> Any:
        """Make the tokenizer, fit the salience scorers, and turn kept documents into token stores."""
        from rexplug.tokens import make_tokenizer, tokenize

        recipe, run = self.recipe, self.run
        sources = list(recipe.sources)
        make_tokenizer(
            recipe.tokenizer, run.corpus, sources, seed=recipe.seed, folder=run.tokenizer, progress=self.progress
        )
        scorers = dict(zip((scorer.channel for scorer in recipe.scorers), self._scorers(), strict=True))
        return tokenize(
            run.corpus, sources, run.tokenizer, scorers, tokens=run.tokens, executor=recipe.curation.executor,
            progress=self.progress,
        )  # fmt: skip

    def initialize(self) -> Any:
        """Write the model that the first phase starts from."""
        from rexplug.engine import initial_checkpoint
        from rexplug.tokens import SpecialTokens

        self.progress.start("initial model")
        for phase in self.recipe.phases:
            self._stream(phase)  # refuses a source without documents for it: better now than when its turn comes
        return initial_checkpoint(self.recipe, SpecialTokens.read(self.run.tokenizer), self.run)

    def train(self, phase: Phase) -> Any:
        """Train one phase from the checkpoint of the one before."""
        from rexplug.engine import train_phase

        names = ["initial", *(each.name for each in self.recipe.phases)]
        start = self._checkpoint(names[names.index(phase.name) - 1])
        return train_phase(
            recipe=self.recipe,
            phase=phase,
            stream=self._stream(phase),
            start=start,
            run=self.run,
            progress=self.progress,
        )

    def _stream(self, phase: Phase) -> BatchStream:
        from rexplug.batches import BatchStream
        from rexplug.tokens import SpecialTokens, TokenStore

        warmup = phase.batch_warmup
        mixed = [name for name in self.recipe.sources if name in phase.mixing.weights(0.0)]
        return BatchStream(
            stores={name: TokenStore.open(self.run.tokens / name) for name in mixed},
            special=SpecialTokens.read(self.run.tokenizer),
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
            seed=self.recipe.seed,
            phase=phase.name,
        )

    def evaluate(self, moment: str) -> Any:
        """Run every evaluator on the model as it is after `moment`."""
        from rexplug.evaluation import evaluate

        results = evaluate(
            self.recipe.evaluators, self._checkpoint(moment), held_out=self._held_out(), scorer=self._scorer(),
            seed=self.recipe.seed, tokenizer=self.run.tokenizer, moment=moment, folder=self.run.evaluation / moment,
            progress=self.progress,
        )  # fmt: skip
        return {name: {"main": result["main"], **result["metrics"][result["main"]]} for name, result in results.items()}

    def export(self) -> Any:
        """Write the Hugging Face model of the last phase and prove its logits."""
        from rexplug.model import export

        texts = [document.text for documents in self._held_out().values() for document in documents[:4]]
        self.progress.start("export")
        return export(
            self._checkpoint(self.recipe.phases[-1].name), self.run.tokenizer, self.run.model, sample_texts=texts[:8]
        )

    def report(self) -> Any:
        """Write the report and the model card, and put the card beside the exported weights too."""
        from rexplug.report import write_card, write_report

        self.progress.start("report")
        write_report(self.run, self.recipe)
        card = write_card(self.run, self.recipe)
        with replacing(self.run.model / "README.md") as temporary:
            shutil.copyfile(card, temporary)
        return None

    def _checkpoint(self, moment: str) -> Path:
        folder = self.run.checkpoints / moment
        return folder / "final" if (folder / "final").is_dir() else folder

    def _scorers(self) -> tuple[SalienceScorer, ...]:
        from rexplug.tokens import fit_scorers

        return fit_scorers(
            self.recipe.scorers,
            self.run.corpus,
            list(self.recipe.sources),
            folder=self.run.fitted,
            seed=self.recipe.seed,
        )

    def _scorer(self) -> SalienceScorer | None:
        """The scorer of the last phase that has one; evaluators tell salient from plain words with it."""
        fitted = dict(zip((scorer.channel for scorer in self.recipe.scorers), self._scorers(), strict=True))
        for phase in reversed(self.recipe.phases):
            for scorer in phase.masking.scorers:
                return fitted[scorer.channel]
        return None

    def _held_out(self) -> dict[str, list[Document]]:
        from rexplug.corpus import read_documents

        return {
            name: list(islice(read_documents(self.run.corpus / name / "held_out"), HELD_OUT_LIMIT))
            for name in self.recipe.sources
        }

    def _forget_metrics(self, phase: str) -> None:
        """Take the lines of a phase that is redone out of `metrics.jsonl`."""
        if not self.run.metrics.exists():
            return
        lines = self.run.metrics.read_text(encoding="utf-8").splitlines()
        kept = []
        for line in lines:
            try:
                if json.loads(line)["phase"] != phase:
                    kept.append(line)
            except (ValueError, KeyError):
                continue  # a line that a killed run did not finish
        write_text(self.run.metrics, "".join(line + "\n" for line in kept))


def _files(paths: Sequence[Path]) -> dict[str, list[int]]:
    """Size and time of change of each file: enough to notice that a corpus changed without reading it."""
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def _remove_all(run: RunDirectory) -> None:
    for path in run.root.iterdir():
        if path.name == ".lock":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
