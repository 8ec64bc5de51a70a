"""What report and card say, read from the files of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rexplug.phase_stream import phase_stream
from rexplug.recipe import Recipe
from rexplug.report.compare import Comparison, compare_models
from rexplug.report.plan_vs_actual import Foreseen, foreseen
from rexplug.report.results import load_results
from rexplug.run_directory import RunDirectory, read_json, read_metrics


@dataclass(frozen=True)
class Contents:
    """A run as the report and the model card show it; parts that the run does not have are empty."""

    run: RunDirectory
    recipe: Recipe

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """run.json."""
        found: Mapping[str, Any] = read_json(self.run.manifest)
        return found

    def result(self, stage: str) -> Any:
        """What a stage returned; None if it did not run."""
        known = self.manifest["stages"].get(stage) or {}
        return None if known.get("stale") else known.get("result")

    @cached_property
    def steps(self) -> Sequence[Mapping[str, Any]]:
        """The lines of metrics.jsonl."""
        return list(read_metrics(self.run.metrics))

    @cached_property
    def synthetic(self) -> list[str]:
        """Sources whose text was written by a program."""
        return [name for name, source in self.recipe.sources.items() if source.synthetic]

    @cached_property
    def corpus(self) -> Mapping[str, Any]:
        """statistics.json by source."""
        found: Mapping[str, Any] = self._statistics.get("sources", {})
        return found

    @property
    def decontamination(self) -> Any:
        """What the evaluators' texts cost the corpus; None if nothing was compared."""
        return self._statistics.get("decontamination")

    @cached_property
    def _statistics(self) -> Mapping[str, Any]:
        path = self.run.corpus / "statistics.json"
        found: Mapping[str, Any] = read_json(path) if path.exists() else {}
        return found

    @cached_property
    def relevance(self) -> Mapping[str, Any]:
        """relevance.json, if the recipe has a relevance block; empty otherwise."""
        path = self.run.relevance / "relevance.json"
        found: Mapping[str, Any] = read_json(path) if self.recipe.relevance is not None and path.exists() else {}
        return found

    @property
    def tokens(self) -> Mapping[str, Any]:
        """What tokenization counted, by source."""
        return self.result("tokenize") or {}

    @cached_property
    def phases(self) -> list[tuple[Any, Mapping[str, Any]]]:
        """Phases of the recipe that were trained, with what came out."""
        pairs = [(phase, self.result(f"train.{phase.name}")) for phase in self.recipe.phases]
        return [(phase, result) for phase, result in pairs if result]

    @cached_property
    def moments(self) -> list[str]:
        """When something was evaluated: `initial` and the phases' names."""
        names = ["initial", *(phase.name for phase in self.recipe.phases)]
        stages = self.manifest["stages"]
        # What was measured on weights that were trained again since says nothing of those that are there.
        current = [name for name in names if not (stages.get(f"evaluate.{name}") or {}).get("stale")]
        return [name for name in current if (self.run.evaluation / name).is_dir()]

    @cached_property
    def evaluations(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Evaluator -> moment -> what its file holds."""
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        for evaluator in self.recipe.evaluators:
            for moment in self.moments:
                path = self.run.evaluation / moment / f"{evaluator.label}.json"
                if path.exists() and "metrics" in (content := read_json(path)):
                    found.setdefault(evaluator.label, {})[moment] = content
        return found

    def metric_rows(self, evaluator: str) -> list[tuple[str, list[Mapping[str, Any] | None]]]:
        """Per metric its values at the moments."""
        results = self.evaluations[evaluator]
        names = list(dict.fromkeys(name for result in results.values() for name in result["metrics"]))
        return [(name, [results.get(m, {}).get("metrics", {}).get(name) for m in self.moments]) for name in names]

    @cached_property
    def foreseen(self) -> Foreseen:
        """What was planned beside what was measured."""
        return foreseen(self.run, self.manifest, self._epochs())

    def _epochs(self) -> dict[str, dict[str, float]]:
        """How often the tokens of each source were seen, by phase; empty where steps or token stores are missing."""
        if any(not (self.run.tokens / name / "store.json").exists() for name in self.recipe.sources):
            return {}
        found: dict[str, dict[str, float]] = {}
        for phase, _ in self.phases:
            steps = [step for step in self.steps if step["phase"] == phase.name]
            sizes = phase_stream(self.recipe, phase, self.run).epoch_tokens()
            found[phase.name] = {
                name: sum(step["shares"].get(name, 0.0) * step["batch_tokens"] for step in steps) / size
                for name, size in sizes.items()
                if size and steps
            }
        return found

    @cached_property
    def lineage(self) -> list[dict[str, Any]]:
        """Stage by stage what was made, from which inputs (fingerprint), when, and in which run."""
        rows = []
        for name, stage in self.manifest["stages"].items():
            if name.partition(".")[0] == "report":
                continue
            made = ""
            result = stage.get("result") or {}
            if name == "curate":
                kept = sum(source["kept"]["documents"] for source in self.corpus.values())
                made = f"{kept:,} documents from {len(self.corpus)} sources"
            elif name == "tokenize":
                made = f"{sum(each.get('tokens', 0) for each in self.tokens.values()):,} tokens"
            elif name.startswith("train.") and "tokens" in result:
                made = f"{result['steps']:,} steps, {result['tokens']:,} tokens"
            elif name.startswith("evaluate."):
                moment = name.partition(".")[2]
                revisions = {each[moment]["revision"] for each in self.evaluations.values() if moment in each}
                made = f"weights {', '.join(sorted(revisions))}" if revisions else ""
            rows.append(
                {
                    "stage": name, "made": made, "fingerprint": stage.get("fingerprint", ""),
                    "finished": stage.get("finished", ""), "from": stage.get("taken_over_from", ""),
                }
            )  # fmt: skip
        return rows

    @cached_property
    def comparison(self) -> Comparison | None:
        """The last model against the model before training and the baselines; None if nothing stands beside it."""
        if not self.moments or not self.evaluations:
            return None
        names = list(dict.fromkeys([self.moments[-1], self.moments[0]]))
        folders = [(name, self.run.evaluation / name) for name in names]
        if self.run.baselines.is_dir():
            folders += [(path.name, path) for path in sorted(self.run.baselines.iterdir()) if path.is_dir()]
        if len(folders) < 2:
            return None
        return compare_models([load_results(folder, name) for name, folder in folders])

    def headline(self) -> list[dict[str, str]]:
        """Per evaluator its main metric before and after: the numbers that matter."""
        found = []
        for name, results in self.evaluations.items():
            if len(results) < 1:
                continue
            first, last = (
                results[m] for m in (min(results, key=self.moments.index), max(results, key=self.moments.index))
            )
            before, after = first["metrics"].get(last["main"]), last["metrics"][last["main"]]
            interval = f" (95 %: {after['low']:.3f}–{after['high']:.3f})" if after["low"] is not None else ""
            found.append(
                {
                    "name": f"{name}: {last['main']}",
                    "before": f"{before['value']:.3f}" if before else "–",
                    "after": f"{after['value']:.3f}",
                    "interval": interval,
                }
            )
        return found
