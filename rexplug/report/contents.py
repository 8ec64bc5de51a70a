"""The content of the report and of the model card, read from the files of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rexplug.evaluation import read_result
from rexplug.phase_stream import phase_stream
from rexplug.plugins.calls import evaluator_label
from rexplug.recipe import Recipe
from rexplug.report.compare import Comparison, compare_models
from rexplug.report.costs import cost_of_result
from rexplug.report.plan_vs_actual import PlanVsActual, plan_vs_actual
from rexplug.report.results import ModelResults, headlines, load_results
from rexplug.run_directory import RunDirectory, read_json, read_metrics


@dataclass(frozen=True)
class Contents:
    """A run as the report and the model card show it; what the run does not have is empty."""

    run: RunDirectory
    recipe: Recipe

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The content of run.json."""
        manifest: Mapping[str, Any] = read_json(self.run.manifest)
        return manifest

    def result(self, stage: str) -> Any:
        """The result of a stage; None if it did not run, or is to run again."""
        entry = self.manifest["stages"].get(stage) or {}
        return None if entry.get("stale") else entry.get("result")

    @cached_property
    def steps(self) -> Sequence[Mapping[str, Any]]:
        """The lines of metrics.jsonl."""
        return list(read_metrics(self.run.metrics))

    @cached_property
    def synthetic(self) -> list[str]:
        """Sources whose text was written by a program."""
        return self.recipe.synthetic_sources

    @cached_property
    def corpus(self) -> Mapping[str, Any]:
        """Source -> its entry in the corpus's statistics.json."""
        sources: Mapping[str, Any] = self._statistics.get("sources", {})
        return sources

    @property
    def decontamination(self) -> Any:
        """The documents dropped because they hold evaluators' texts; None if nothing was compared."""
        return self._statistics.get("decontamination")

    @cached_property
    def _statistics(self) -> Mapping[str, Any]:
        path = self.run.corpus / "statistics.json"
        statistics: Mapping[str, Any] = read_json(path) if path.exists() else {}
        return statistics

    @cached_property
    def relevance(self) -> Mapping[str, Any]:
        """The content of relevance.json, if the recipe has a relevance block; empty otherwise."""
        path = self.run.relevance / "relevance.json"
        report: Mapping[str, Any] = read_json(path) if self.recipe.relevance is not None and path.exists() else {}
        return report

    @property
    def tokens(self) -> Mapping[str, Any]:
        """Source -> the counts of tokenization."""
        return self.result("tokenize") or {}

    @cached_property
    def phases(self) -> list[tuple[Any, Mapping[str, Any]]]:
        """The phases of the recipe that were trained, with their results."""
        pairs = [(phase, self.result(f"train.{phase.name}")) for phase in self.recipe.phases]
        return [(phase, result) for phase, result in pairs if result]

    @cached_property
    def moments(self) -> list[str]:
        """The moments that were evaluated: `initial` and names of phases, in their order."""
        names = ["initial", *(phase.name for phase in self.recipe.phases)]
        stages = self.manifest["stages"]
        # Results of weights that were trained again since then say nothing about the present ones.
        current = [name for name in names if not (stages.get(f"evaluate.{name}") or {}).get("stale")]
        return [name for name in current if (self.run.evaluation / name).is_dir()]

    @cached_property
    def evaluations(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Evaluator -> moment -> the content of its file."""
        evaluations: dict[str, dict[str, Mapping[str, Any]]] = {}
        for evaluator in self.recipe.evaluators:
            for moment in self.moments:
                path = self.run.evaluation / moment / f"{evaluator_label(evaluator)}.json"
                if path.exists() and "metrics" in (content := read_result(path)):
                    evaluations.setdefault(evaluator_label(evaluator), {})[moment] = content
        return evaluations

    @property
    def evaluated_in_bf16(self) -> bool:
        """Whether an evaluation's matrix products were in bf16."""
        return any(
            result.get("precision") == "bf16" for results in self.evaluations.values() for result in results.values()
        )

    def metric_rows(self, evaluator: str) -> list[tuple[str, list[Mapping[str, Any] | None]]]:
        """Each metric of an evaluator with its values at the moments; None where it was not measured."""
        results = self.evaluations[evaluator]
        names = list(dict.fromkeys(name for result in results.values() for name in result["metrics"]))
        return [(name, [results.get(m, {}).get("metrics", {}).get(name) for m in self.moments]) for name in names]

    def cost(self, evaluator: str, moment: str) -> str:
        """Seconds of an evaluation, and the texts that the model read in a second; empty where it was not measured."""
        cost = cost_of_result(self.evaluations[evaluator].get(moment, {}))
        return cost.shown if cost is not None else ""

    @cached_property
    def plan_vs_actual(self) -> PlanVsActual:
        """The plan beside the measurements."""
        return plan_vs_actual(self.run, self.manifest, self._epochs())

    def _epochs(self) -> dict[str, dict[str, float]]:
        """Phase -> source -> how often its tokens were seen; empty where steps or token stores are missing."""
        if self.run.missing_stores(self.recipe.sources):
            return {}
        epochs: dict[str, dict[str, float]] = {}
        for phase, _ in self.phases:
            steps = [step for step in self.steps if step["phase"] == phase.name]
            sizes = phase_stream(self.recipe, phase, self.run).epoch_tokens()
            epochs[phase.name] = {
                name: sum(step["shares"].get(name, 0.0) * step["batch_tokens"] for step in steps) / size
                for name, size in sizes.items()
                if size and steps
            }
        return epochs

    @cached_property
    def lineage(self) -> list[dict[str, Any]]:
        """For each stage: its product, the fingerprint of its inputs, when it finished, and which run it was taken from."""
        rows = []
        for name, stage in self.manifest["stages"].items():
            if name.partition(".")[0] == "report":
                continue
            product = ""
            result = stage.get("result") or {}
            if name == "curate":
                kept = sum(source["kept"]["documents"] for source in self.corpus.values())
                product = f"{kept:,} documents from {len(self.corpus)} sources"
            elif name == "tokenize":
                product = f"{sum(counts.get('tokens', 0) for counts in self.tokens.values()):,} tokens"
            elif name.startswith("train.") and "tokens" in result:
                product = f"{result['steps']:,} steps, {result['tokens']:,} tokens"
            elif name.startswith("evaluate."):
                moment = name.partition(".")[2]
                revisions = {results[moment]["revision"] for results in self.evaluations.values() if moment in results}
                product = f"weights {', '.join(sorted(revisions))}" if revisions else ""
            rows.append(
                {
                    "stage": name, "product": product, "fingerprint": stage.get("fingerprint", ""),
                    "finished": stage.get("finished", ""), "from": stage.get("taken_over_from", ""),
                }
            )  # fmt: skip
        return rows

    @cached_property
    def compared_models(self) -> Sequence[ModelResults]:
        """The results of the last model, of the untrained one and of the baselines; empty if nothing was evaluated."""
        if not self.moments or not self.evaluations:
            return []
        names = list(dict.fromkeys([self.moments[-1], self.moments[0]]))
        folders = [(name, self.run.evaluation / name) for name in names]
        if self.run.baselines.is_dir():
            folders += [(path.name, path) for path in sorted(self.run.baselines.iterdir()) if path.is_dir()]
        return [load_results(folder, name) for name, folder in folders]

    @cached_property
    def comparison(self) -> Comparison | None:
        """The last model compared with the untrained model and the baselines; None if there is no other model."""
        return compare_models(self.compared_models) if len(self.compared_models) > 1 else None

    def main_metrics(self) -> list[dict[str, str]]:
        """The main metrics of each evaluator before training and after the last phase, formatted."""
        formatted = []
        for name, results in self.evaluations.items():
            first, last = (
                results[m] for m in (min(results, key=self.moments.index), max(results, key=self.moments.index))
            )
            for metric in headlines(last):
                before, after = first["metrics"].get(metric), last["metrics"][metric]
                interval = f" (95 %: {after['low']:.3f}–{after['high']:.3f})" if after["low"] is not None else ""
                formatted.append(
                    {
                        "name": f"{name}: {metric}",
                        "before": f"{before['value']:.3f}" if before else "–",
                        "after": f"{after['value']:.3f}",
                        "interval": interval,
                    }
                )
        return formatted
