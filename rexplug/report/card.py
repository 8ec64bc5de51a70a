"""The model card: README.md with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rexplug.io.atomic import write_text
from rexplug.model.family import DEFAULT_FAMILY, Family, find_family
from rexplug.recipe import Recipe
from rexplug.report.contents import Contents
from rexplug.report.markdown import cell, front_matter
from rexplug.report.plan_vs_actual import card_lines
from rexplug.run_directory import RunDirectory, read_json


def write_card(run: RunDirectory, recipe: Recipe) -> Path:
    """Write the card from what lies in the run's folder; returns its path."""
    write_text(run.card, "\n".join(_lines(Contents(run, recipe))) + "\n")
    return run.card


def _family(run: RunDirectory) -> Family:
    """The encoder family of the run's model."""
    path = run.model / "config.json"
    model_type = read_json(path).get("model_type") if path.exists() else None
    return find_family(model_type) or DEFAULT_FAMILY


def _lines(contents: Contents) -> list[str]:
    recipe, family = contents.recipe, _family(contents.run)
    head = {
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "tags": [family.model_type, "rexplug", "domain-encoder", "sentence-transformers"],
        "language": "en",
        **({"license": recipe.card.license} if recipe.card.license else {}),
        **_model_index(contents),
    }
    lines = [
        front_matter(head),
        f"# {recipe.name}",
        "",
        recipe.description,
        "",
    ]
    if contents.synthetic:
        lines += [
            f"> **Synthetic data.** The text of {' and '.join(contents.synthetic)} was written by a program. This model shows "
            "that a recipe works; it is not meant to be used.",
            "",
        ]
    initial = contents.result("train.initial") or {}
    if recipe.card.intended_use:
        lines += ["## Intended use", "", recipe.card.intended_use, ""]
    else:
        lines += [
            "## Intended use", "",
            "To be fine-tuned for search, classification, matching and tagging on texts like its training data. As it is, "
            "it fills in masked words; its embeddings need a fine-tune.",
            "",
        ]  # fmt: skip
    lines += ["## Model", "", f"{family.title} architecture, masked language model."]
    if initial:
        lines.append(
            f"{initial['parameters']:,} parameters, {initial['without_embedding']:,} of them not in the embedding."
        )
    lines += [
        "",
        "```python",
        "from transformers import AutoModelForMaskedLM, AutoTokenizer",
        "",
        'model = AutoModelForMaskedLM.from_pretrained("model")',
        'tokenizer = AutoTokenizer.from_pretrained("model")',
        "```",
        "",
        '`SentenceTransformer("model")` loads it with mean pooling. It was not trained to embed sentences: fine-tune it first.',
        "",
        *_versions(contents),
        "## Training data",
        "",
        "| source | origin | documents | tokens | licence |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for name, source in contents.corpus.items():
        origin = recipe.sources[name].name + (" (synthetic)" if source["synthetic"] else "")
        tokens = contents.tokens.get(name, {}).get("tokens")
        lines.append(
            f"| {name} | {origin} | {source['kept']['documents']:,} | {f'{tokens:,}' if tokens is not None else ''} | "
            f"{cell(recipe.card.data_licenses.get(name, 'made by a program' if source['synthetic'] else 'not stated'))} |"
        )
    lines += [
        "",
        "## Training",
        "",
        "| phase | tokens | context | peak rate | masking | loss |",
        "| --- | ---: | ---: | ---: | --- | ---: |",
    ]
    for phase, result in contents.phases:
        lines.append(
            f"| {phase.name} | {result['tokens']:,} | {phase.context:,} | {phase.learning_rate.peak:g} | "
            f"{phase.masking.name} {phase.masking.rate.start:g} | {result['loss']:.3f} |"
        )
    lines += card_lines(contents.foreseen)
    if contents.evaluations:
        lines += ["", "## Evaluation", ""]
        comparison = contents.comparison
        for evaluator in contents.evaluations:
            lines += [
                f"| {cell(evaluator)} | {' | '.join(contents.moments)} | 95 % |",
                f"| --- |{' ---: |' * len(contents.moments)} --- |",
            ]
            for name, values in contents.metric_rows(evaluator):
                cells = [f"{value['value']:.3f}" if value else "" for value in values]
                last = values[-1]
                interval = f"{last['low']:.3f} to {last['high']:.3f}" if last and last["low"] is not None else ""
                lines.append(f"| {cell(name)} | {' | '.join(cells)} | {interval} |")
            lines.append("")
        if comparison is not None and contents.run.baselines.is_dir():
            lines += ["Beside other models, on the same items:", ""]
            lines += [
                f"| metric | {' | '.join(map(cell, comparison.models))} |",
                f"| --- |{' ---: |' * len(comparison.models)}",
            ]
            for row in comparison.rows:
                cells = [f"{each.metric.value:.3f}" if each.metric else "–" for each in row.cells]
                lines.append(f"| {cell(row.evaluator)} {cell(row.metric)} | {' | '.join(cells)} |")
            lines.append("")
        notes = dict.fromkeys(
            note for each in contents.evaluations.values() for result in each.values() for note in result["notes"]
        )
        lines += [f"- {cell(note)}" for note in notes]
    parity = contents.result("export")
    if parity:
        lines += [
            "",
            f"Training-time and reloaded logits differ by at most {parity['max_difference']:.1e} (`parity.json`).",
        ]
    lines += [
        "",
        "## Limits",
        "",
        *([recipe.card.limits, ""] if recipe.card.limits else []),
        "The model knows what its training data holds, with their errors and leanings, in one language. Nothing was done "
        "against unwanted associations."
        + (
            ""
            if recipe.card.license
            else " Say under `card.license` in the recipe which licence applies: it follows from the training data and is not "
            "rexplug's to choose."
        ),
        "",
        f"Made with rexplug {contents.manifest['rexplug']}: `{contents.manifest['command']}`, seed {recipe.seed}.",
    ]
    return lines


def _versions(contents: Contents) -> list[str]:
    """From which release of transformers on the exported model computes these logits."""
    oldest = (contents.result("export") or {}).get("transformers_from")
    return [f"It gives the same logits in transformers {oldest} and later.", ""] if oldest else []


def _model_index(contents: Contents) -> dict[str, Any]:
    """The main figures in the form that the hub shows beside a model."""
    entries = []
    for evaluator, results in contents.evaluations.items():
        last = results[max(results, key=contents.moments.index)]
        entries.append(
            {
                "task": {"type": "fill-mask"},
                "dataset": {"type": "held-out", "name": evaluator},
                "metrics": [{"type": last["main"], "value": round(float(last["metrics"][last["main"]]["value"]), 4)}],
            }
        )
    return {"model-index": [{"name": contents.recipe.name, "results": entries}]} if entries else {}
