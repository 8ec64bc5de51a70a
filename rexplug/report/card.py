"""The model card: README.md with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rexplug.evaluation.stored_sections import figure_file
from rexplug.io.atomic import remove, replacing, write_text
from rexplug.model.family import DEFAULT_FAMILY, Family, find_family
from rexplug.report.contents import Contents
from rexplug.report.markdown import cell, front_matter, plain
from rexplug.report.plan_vs_actual import markdown_lines
from rexplug.report.results import headlines
from rexplug.report.templates import decimals
from rexplug.run_directory import RunDirectory, read_json


def write_card(contents: Contents) -> Path:
    """Write the card of a run, and the figures of evaluators that it shows; returns its path."""
    figures = dict(figure for _, _, figure in _sections(contents) if figure is not None)
    if figures:
        with replacing(contents.run.card_figures) as folder:
            folder.mkdir()
            for name, content in figures.items():
                (folder / name).write_bytes(content)
    else:
        remove(contents.run.card_figures)
    write_text(contents.run.card, "\n".join(_lines(contents)) + "\n")
    return contents.run.card


def _family(run: RunDirectory) -> Family:
    """The encoder family of the run's model."""
    path = run.model / "config.json"
    model_type = read_json(path).get("model_type") if path.exists() else None
    return find_family(model_type) or DEFAULT_FAMILY


def _lines(contents: Contents) -> list[str]:
    return [
        *_introduction(contents),
        *_model(contents),
        *_training_data(contents),
        *_training(contents),
        *markdown_lines(contents.plan_vs_actual),
        *_evaluation(contents),
        *_parity(contents),
        *_limits(contents),
    ]


def _introduction(contents: Contents) -> list[str]:
    recipe = contents.recipe
    head = {
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "tags": [_family(contents.run).model_type, "rexplug", "domain-encoder", "sentence-transformers"],
        "language": "en",
        **({"license": recipe.card.license} if recipe.card.license else {}),
        **_model_index(contents),
    }
    lines = [front_matter(head), f"# {recipe.name}", "", recipe.description, ""]
    if contents.synthetic:
        lines += [
            f"> **Synthetic data.** The text of {' and '.join(contents.synthetic)} was written by a program. This model shows "
            "that a recipe works; it is not meant to be used.",
            "",
        ]
    intended_use = recipe.card.intended_use or (
        "To be fine-tuned for search, classification, matching and tagging on texts like its training data. As it is, it "
        "predicts masked words; its embeddings need a fine-tune."
    )
    return [*lines, "## Intended use", "", intended_use, ""]


def _model(contents: Contents) -> list[str]:
    lines = ["## Model", "", f"{_family(contents.run).title} architecture, masked language model."]
    initial = contents.result("train.initial")
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
    ]
    oldest = (contents.result("export") or {}).get("transformers_from")
    if oldest:
        lines += [f"It gives the same logits in transformers {oldest} and later.", ""]
    return lines


def _training_data(contents: Contents) -> list[str]:
    recipe = contents.recipe
    lines = [
        "## Training data",
        "",
        "| source | origin | documents | tokens | licence |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for name, source in contents.corpus.items():
        origin = recipe.sources[name].name + (" (synthetic)" if source["synthetic"] else "")
        tokens = contents.tokens.get(name, {}).get("tokens")
        unstated = "written by a program" if source["synthetic"] else "not stated"
        lines.append(
            f"| {name} | {origin} | {source['kept']['documents']:,} | {f'{tokens:,}' if tokens is not None else ''} | "
            f"{cell(recipe.card.data_licenses.get(name, unstated))} |"
        )
    return [*lines, ""]


def _training(contents: Contents) -> list[str]:
    lines = [
        "## Training",
        "",
        "| phase | tokens | context | peak learning rate | masking | loss |",
        "| --- | ---: | ---: | ---: | --- | ---: |",
    ]
    for phase, result in contents.phases:
        lines.append(
            f"| {phase.name} | {result['tokens']:,} | {phase.context:,} | {phase.learning_rate.peak:g} | "
            f"{phase.masking.name} {phase.masking.rate.start:g} | {result['loss']:.3f} |"
        )
    return lines


def _evaluation(contents: Contents) -> list[str]:
    if not contents.evaluations:
        return []
    lines = ["", "## Evaluation", ""]
    if contents.evaluated_in_bf16:
        lines += ["Evaluated with matrix products in bf16.", ""]
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
    for evaluator, section, figure in _sections(contents):
        lines += _section_lines(evaluator, section, f"{contents.run.card_figures.name}/{figure[0]}" if figure else "")
    comparison = contents.comparison
    if comparison is not None and contents.run.baselines.is_dir():
        lines += [
            "Compared with other models, on the same items:",
            "",
            f"| metric | {' | '.join(map(cell, comparison.models))} |",
            f"| --- |{' ---: |' * len(comparison.models)}",
        ]
        for row in comparison.rows:
            cells = [f"{row_cell.metric.value:.3f}" if row_cell.metric else "–" for row_cell in row.cells]
            lines.append(f"| {cell(row.evaluator)} {cell(row.metric)} | {' | '.join(cells)} |")
        lines.append("")
    notes = dict.fromkeys(
        note for results in contents.evaluations.values() for result in results.values() for note in result["notes"]
    )
    return [*lines, *(f"- {cell(note)}" for note in notes)]


def _sections(contents: Contents) -> Iterator[tuple[str, Mapping[str, Any], tuple[str, bytes] | None]]:
    """Evaluator, section, and name and content of its figure's file, of the last evaluation of each evaluator."""
    for evaluator, results in contents.evaluations.items():
        last = results[max(results, key=contents.moments.index)]
        for number, section in enumerate(last.get("sections", ()), 1):
            figure = figure_file(section)
            yield evaluator, section, None if figure is None else (f"{evaluator}-{number}.{figure[0]}", figure[1])


def _section_lines(evaluator: str, section: Mapping[str, Any], figure: str) -> list[str]:
    lines = [f"### {cell(evaluator)}: {plain(section['title'])}", ""]
    if section["text"]:
        lines += [plain(section["text"]), ""]
    if section["table"]:
        columns = list(section["table"][0])
        lines += [f"| {' | '.join(map(plain, columns))} |", f"|{' --- |' * len(columns)}"]
        for row in section["table"]:
            lines.append(f"| {' | '.join(plain(decimals(row.get(column, ''))) for column in columns)} |")
        lines.append("")
    return [*lines, f"![{plain(section['title'])}]({quote(figure)})", ""] if figure else lines


def _parity(contents: Contents) -> list[str]:
    parity = contents.result("export")
    if not parity:
        return []
    difference = f"{parity['max_difference']:.1e}"
    return ["", f"Training-time and reloaded logits differ by at most {difference} (`parity.json`)."]


def _limits(contents: Contents) -> list[str]:
    card, manifest = contents.recipe.card, contents.manifest
    name_the_licence = (
        " Name the licence under `card.license` in the recipe: it follows from the training data, and rexplug does not "
        "choose it."
    )
    return [
        "",
        "## Limits",
        "",
        *([card.limits, ""] if card.limits else []),
        "The model reflects its training data, with their errors and biases, in one language. Nothing was done against "
        "unwanted associations." + ("" if card.license else name_the_licence),
        "",
        f"Made with rexplug {manifest['rexplug']}: `{manifest['command']}`, seed {contents.recipe.seed}.",
    ]


def _model_index(contents: Contents) -> dict[str, Any]:
    """The main metrics in the form that the hub shows beside a model."""
    entries = []
    for evaluator, results in contents.evaluations.items():
        last = results[max(results, key=contents.moments.index)]
        entries.append(
            {
                "task": {"type": "fill-mask"},
                "dataset": {"type": "held-out", "name": evaluator},
                "metrics": [
                    {"type": name, "value": round(float(last["metrics"][name]["value"]), 4)} for name in headlines(last)
                ],
            }
        )
    return {"model-index": [{"name": contents.recipe.name, "results": entries}]} if entries else {}
