"""The model card: README.md with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

from pathlib import Path

from rexplug.recipe import Recipe
from rexplug.report.contents import Contents
from rexplug.run_directory import RunDirectory, write_text


def write_card(run: RunDirectory, recipe: Recipe) -> Path:
    """Write the card from what lies in the run's folder; returns its path."""
    write_text(run.card, "\n".join(_lines(Contents(run, recipe))) + "\n")
    return run.card


def _lines(contents: Contents) -> list[str]:
    recipe = contents.recipe
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: fill-mask",
        "tags: [modernbert, rexplug, domain-encoder, sentence-transformers]",
        "language: en",
        "---",
        "",
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
    lines += ["## Model", "", "ModernBERT architecture, masked language model."]
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
        "## Training data",
        "",
        "| source | origin | documents | tokens |",
        "| --- | --- | ---: | ---: |",
    ]
    for name, source in contents.corpus.items():
        origin = recipe.sources[name].name + (" (synthetic)" if source["synthetic"] else "")
        tokens = contents.tokens.get(name, {}).get("tokens")
        lines.append(
            f"| {name} | {origin} | {source['kept']['documents']:,} | {f'{tokens:,}' if tokens is not None else ''} |"
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
    if contents.evaluations:
        lines += [
            "",
            "## Evaluation",
            "",
            f"| metric | {' | '.join(contents.moments)} |",
            f"| --- |{' ---: |' * len(contents.moments)}",
        ]
        for evaluator in contents.evaluations:
            for name, values in contents.metric_rows(evaluator):
                cells = [f"{value['value']:.3f}" if value else "" for value in values]
                lines.append(f"| {evaluator} {name} | {' | '.join(cells)} |")
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
        "The model knows what its training data holds, with their errors and leanings, in one language. Nothing was done "
        "against unwanted associations. Say under `license` in the front matter which licence applies: it follows from the "
        "training data and is not rexplug's to choose.",
        "",
        f"Made with rexplug {contents.manifest['rexplug']}: `{contents.manifest['command']}`, seed {recipe.seed}.",
    ]
    return lines
