"""The dataset card: `corpus/README.md` with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rexplug.io.atomic import write_text
from rexplug.plugins.calls import step_name
from rexplug.recipe import Recipe
from rexplug.report.markdown import cell, front_matter
from rexplug.run_directory import RunDirectory, read_json

_SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"), (1e8, "10M<n<100M"),
          (1e9, "100M<n<1B"), (1e10, "1B<n<10B"), (1e11, "10B<n<100B"), (1e12, "100B<n<1T"))  # fmt: skip


def write_dataset_card(run: RunDirectory, recipe: Recipe) -> Path:
    """Write the card into the folder of a curated corpus; returns its path.

    With its front matter `datasets.load_dataset(corpus, SOURCE)` reads the folder.
    """
    statistics = read_json(run.corpus / "statistics.json")
    path = run.relevance / "relevance.json"
    relevance = read_json(path) if recipe.relevance is not None and path.exists() else None
    card = run.corpus / "README.md"
    head = front_matter(_front_matter(recipe, statistics["sources"]))
    write_text(card, f"{head}\n" + "\n".join(_lines(recipe, statistics, relevance)) + "\n")
    return card


def _front_matter(recipe: Recipe, sources: Mapping[str, Any]) -> dict[str, Any]:
    licenses = {_license(recipe, name) for name in recipe.sources}
    total = sum(source["kept"]["documents"] + source["held_out"]["documents"] for source in sources.values())
    size = next((name for limit, name in _SIZES if total < limit), "n>1T")
    known = sorted(name for name in licenses if name is not None)
    front: dict[str, Any] = {"pretty_name": recipe.name, "language": _languages(recipe)}
    if known and None not in licenses:
        front["license"] = known[0] if len(known) == 1 else known
    else:
        front["license"] = "unknown"
    configs = []
    for name, source in sources.items():
        files = [{"split": "train", "path": f"{name}/kept/*.parquet"}]
        if source["held_out"]["documents"]:
            files.append({"split": "validation", "path": f"{name}/held_out/*.parquet"})
        configs.append({"config_name": name, "data_files": files})
    return {
        **front, "task_categories": ["fill-mask"], "size_categories": [size],
        "tags": ["rexplug", *(["synthetic"] if any(source["synthetic"] for source in sources.values()) else [])],
        "configs": configs,
    }  # fmt: skip


def _lines(recipe: Recipe, statistics: Mapping[str, Any], relevance: Mapping[str, Any] | None) -> list[str]:
    sources = statistics["sources"]
    lines = [f"# {recipe.name}: corpus", "", recipe.description, ""]
    synthetic = [name for name, source in sources.items() if source["synthetic"]]
    if synthetic:
        lines += [f"> **Synthetic data.** The text of {' and '.join(synthetic)} was written by a program.", ""]
    lines += [
        "## Sources", "",
        "| source | origin | licence | documents read | kept | held out | MB kept |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    for name, source in sources.items():
        component = recipe.sources[name]
        lines.append(
            f"| {name} | {component.name} | {cell(_license(recipe, name) or 'not stated')} | {source['read']['documents']:,} | "
            f"{source['kept']['documents']:,} | {source['held_out']['documents']:,} | {source['kept']['bytes'] / 1e6:.1f} |"
        )
    lines += [
        "",
        "`train` is what a model trains on, `validation` is held out by a hash of the text. Columns: `id`, `text`, `url` and "
        "`metadata` (JSON), whose `place` is the file and the place in it that a document was read from and whose `changed` names "
        "the steps that corrected its text. An `id` is a field of the record, or the file below the source's folder and the "
        "place in it; it is unique within a source and stays the same when the corpus is curated again from the same files. "
        "Paths in `place` are those of the machine that curated.",
        "",
        "## What was removed",
        "",
    ]
    for name, source in sources.items():
        lines += [
            f"### {name}",
            "",
            *_filters(recipe, name),
            "| step | documents in | kept | dropped, by reason |",
            "| --- | ---: | ---: | --- |",
        ]
        for step in source["steps"]:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in step["reasons"].items())
            lines.append(f"| {cell(step['step'])} | {step['in']:,} | {step['kept']:,} | {cell(reasons)} |")
        lines.append("")
    lines += _duplicates(recipe) + _relevance(relevance) + _decontamination(recipe, statistics) + _personal(recipe)
    lines += [
        "## Licence and limits",
        "",
        "Texts belong to their authors; the licences above are those that the recipe states for its sources, and `unknown` in "
        "the front matter means that one is not stated. Filters are rules and classifiers: they let unwanted text through and "
        "drop wanted text, and nothing was done against biases of the sources.",
        "",
        "Made with rexplug; the recipe is `recipe.yaml` beside this folder.",
    ]
    return lines


def _license(recipe: Recipe, source: str) -> str | None:
    """The licence that the recipe states for a source, there or under `card`; None if it states none."""
    return recipe.sources[source].license or recipe.card.data_licenses.get(source)


def _languages(recipe: Recipe) -> list[str]:
    """The languages that filters keep, if every source has such a filter; English otherwise."""
    from rexplug.corpus.filters import Language

    of_sources = [
        {language for item in source.filters if isinstance(item, Language) for language in item.languages}
        for source in recipe.sources.values()
    ]
    return sorted(set().union(*of_sources)) if all(of_sources) else ["en"]


def _filters(recipe: Recipe, source: str) -> list[str]:
    """A source's filters, with the options that differ from their defaults, as a recipe writes them."""
    lines = []
    for corpus_filter in recipe.sources[source].filters:
        options = corpus_filter.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        written = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in options.items())
        lines.append(f"- `{corpus_filter.name}`" + (f" ({cell(written)})" if written else ""))
    return ["Filters, in their order:", "", *lines, ""] if lines else []


def _duplicates(recipe: Recipe) -> list[str]:
    """How duplicates were found, and which document of them was kept."""
    curation = recipe.curation
    by_text = {"none": [], "exact": ["equal texts"], "minhash": ["equal texts", "near-duplicates (MinHash)"]}[
        curation.deduplicate
    ]
    kinds = [*(["equal URLs"] if curation.deduplicate_urls else []), *by_text]
    if not kinds:
        return ["## Duplicates", "", "Duplicates were not removed.", ""]
    scope = "over all sources" if curation.deduplicate_across else "within each source"
    kept = "first" if curation.keep == "first" else "longest"
    return ["## Duplicates", "", f"Of {', '.join(kinds)}, {scope}, the {kept} document was kept.", ""]


def _relevance(report: Mapping[str, Any] | None) -> list[str]:
    if report is None:
        return []
    test = report["test"]
    metrics = ", ".join(
        f"{name} {test[name]['value']:.3f}" for name in ("precision", "recall", "f1") if test[name]["value"] is not None
    )
    lines = [
        "## Relevance",
        "",
        f"A fastText classifier was trained on {report['train']:,} documents labelled by `{report['labeller']['use']}`. On "
        f"{test['documents']:,} others it reaches {metrics} against the same labels, at a threshold of {report['threshold']:g}.",
        "",
    ]
    audit = report["audit"]
    if audit and audit["kappa"]["value"] is not None:
        lines += [
            f"A second judge (`{audit['judge']['use']}`) saw {audit['documents']:,} of the labelled documents: Cohen's kappa "
            f"{audit['kappa']['value']:.2f}.",
            "",
        ]
    return lines


def _decontamination(recipe: Recipe, statistics: Mapping[str, Any]) -> list[str]:
    lines = ["## Decontamination", ""]
    report = statistics.get("decontamination")
    others = [f"Not compared with `{name}`: {why}." for name, why in (report or {}).get("not_compared", {}).items()]
    if report is None or not report["evaluators"]:
        return [*lines, "Not compared with any evaluation text.", "", *others, *([""] if others else [])]
    dropped = sum(source["documents"] for source in report["sources"].values())
    names = ", ".join(f"`{name}`" for name in report["evaluators"])
    options = recipe.curation.decontamination
    texts, too_short = (sum(counts[key] for counts in report["evaluators"].values()) for key in ("texts", "too_short"))
    details = [
        *(
            [f"{too_short:,} of their {texts:,} texts have fewer than {options.shortest} words and were not searched for."]
            if too_short
            else []
        ),
        *([f"Less than {options.share:.0%} of a document and of each text in common was tolerated."] if options.share else []),
        *(
            [f"{sum(source['edited'] for source in report['sources'].values()):,} of them are edited copies: they hold "
             f"{options.fuzzy.share:.0%} of the {options.fuzzy.words}-word sequences of a text."]
            if options.fuzzy is not None
            else []
        ),
    ]  # fmt: skip
    return [
        *lines,
        f"{dropped:,} documents were dropped because they hold {report['words']} words in a row of the texts of {names}; "
        "`decontamination.jsonl` lists them.",
        *details,
        "",
        *others,
        *([""] if others else []),
    ]


def _personal(recipe: Recipe) -> list[str]:
    kinds = ("personal_data", "datatrove.PIIFormatter")
    used = sorted(
        {name for source in recipe.sources.values() for name in map(step_name, source.filters) if name in kinds}
    )
    sentence = (
        f"The filter {', '.join(f'`{name}`' for name in used)} was applied. It finds common patterns, not everything."
        if used
        else "No filter for personal data was applied: the texts may hold names, addresses and the like."
    )
    return ["## Personal data", "", sentence, ""]
