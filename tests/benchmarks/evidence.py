"""Whether the recipe works, on real text: six questions, each an ablation at equal tokens.

    python tests/benchmarks/evidence.py DATA --out runs/evidence [--question a] [--seeds 3] [--scale 1.0] [--model nano]

DATA holds `general-text`, `esci-us-sample`, `chorus-icecat` and `amazon-cpqa` (docs/benchmarks/evaluation.md says where from).
`--scale` multiplies all token counts; a miniature (0.003) tests the script in minutes, the published results need 1.0 or more.

a  phase 3 against phase 1: does annealing towards retail help there, at what cost on general text?
b  Guided MLM against random, whole-word and span masking in phase 3: salient and plain words, retail and general.
c  annealed against abrupt and static mixtures of the same shares of tokens.
d  recovery at positions beyond 1,024 before and after the extension.
e  as b, with more masks and a lower boost, each compared with random masking at the same rate.
f  guided compared with random masking alone, for a longer training: `--question f --scale 1 --limit 6000`.

Policies are tuned with `--part dev`, reported results come from `--part test`: halves of the held-out documents by a hash
of their text, so that no reported metric was used to choose something.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from rexplug.cli.comparison import print_comparison
from rexplug.cli.progress import TerminalProgress
from rexplug.errors import RexplugError
from rexplug.pipeline.ablate import Ablation, Axis, run_ablation
from rexplug.plugins.discovery import load_plugins
from rexplug.report.compare import Comparison, compare_models, pooled
from rexplug.report.comparison_page import write_comparison
from rexplug.report.results import find_results

RETAIL = ["esci-us-sample/products.jsonl.zst", "chorus-icecat/products.jsonl.zst"]
GENERAL = [
    f"general-text/{name}.jsonl.zst"
    for name in ("openstax", "wikipedia-en", "standard-ebooks", "sotu", "tech-proposals", "stackexchange-devops")
]
FIELDS = ["title", "short_description", "bullet_points", "description", "text"]
START, END = {"general": 0.7, "retail": 0.3}, {"general": 0.1, "retail": 0.9}
# The mean of START and END: a static mixture that sees as many tokens of each source as the annealed one.
MEAN = {"general": 0.4, "retail": 0.6}
# The results in docs/benchmarks/evidence.md are from guided masks by a share of the budget, which `boost` has replaced.
TUNED = {"use": "guided_mlm.guided", "scorer": {"use": "ecommerce.attributes"}, "rate": 0.22, "boost": 2}
GUIDED = {"use": "guided_mlm.guided", "scorer": {"use": "ecommerce.attributes"}, "rate": 0.15}


def recipe(data: Path, scale: float, model: str, part: str, documents: int | None = None) -> dict[str, Any]:
    """Three phases as in recipes/ecommerce.yaml, on real text."""

    def tokens(count: float) -> int:
        return max(4096, int(count * scale))

    # A miniature reads a part of the documents too.
    if documents is None and scale < 1:
        documents = max(600, int(20_000 * scale))
    limit = {} if documents is None else {"limit": documents}
    return {
        "name": "evidence",
        "sources": {
            "general": {"use": "jsonl", "paths": [str(data / p) for p in GENERAL], "text": ["text"], **limit,
                        "filters": [{"use": "length", "min_words": 50}]},
            "retail": {"use": "jsonl", "paths": [str(data / p) for p in RETAIL], "text": FIELDS, **limit,
                       "filters": [{"use": "length", "min_words": 8}]},
        },
        "curation": {"deduplicate": "minhash", "held_out": 0.05, "executor": {"use": "local", "workers": 2}},
        "tokenizer": {"use": "train", "vocabulary": 8192},
        "model": {"size": model},
        "defaults": {"batch_tokens": 8192, "optimizer": {"use": "stable_adamw"}},
        "phases": [
            {"name": "pretrain", "tokens": tokens(8e6), "context": 1024, "batch_tokens": 1024,
             "learning_rate": {"peak": 2e-3, "schedule": "wsd", "warmup": tokens(8e6) // 20, "decay": 0},
             "mixing": {"use": "annealing.constant", "shares": {"general": 1.0}},
             "masking": {"use": "random", "rate": 0.3}},
            {"name": "extend", "tokens": max(16384, tokens(1e6)), "context": 8192, "min_tokens": 2048,
             "rope": {"global_theta": 160000},
             "learning_rate": {"peak": 1e-3, "schedule": "one_minus_sqrt", "final": 0.5},
             "mixing": {"use": "annealing.constant", "shares": {"general": 1.0}},
             "masking": {"use": "random", "rate": 0.3}},
            {"name": "anneal", "tokens": tokens(4e6), "context": 1024, "batch_tokens": 1024,
             "learning_rate": {"peak": 1e-3, "schedule": "one_minus_sqrt", "final": 0.04},
             "mixing": {"use": "annealing.cosine", "start": START, "end": END}, "masking": GUIDED},
        ],
        "evaluators": [
            {"use": "masked_recovery", "documents": 400, "words": 256, "draws": 4, "part": part},
            {"use": "long_documents", "sources": ["general"], "documents": 40, "part": part},
        ],
    }  # fmt: skip


def step(at: float) -> dict[str, Any]:
    """From START to END at once, where the shares of tokens are those of the annealed mixture."""
    return {"use": "annealing.stepwise", "steps": [{"from": 0, "shares": START}, {"from": at, "shares": END}]}


MASKING = "phases.anneal.masking"
QUESTIONS: dict[str, list[tuple[str, list[Any]]]] = {
    "b": [(MASKING, [{"use": "random", "rate": 0.15}, {"use": "guided_mlm.whole_word", "rate": 0.15},
                     {"use": "guided_mlm.span", "rate": 0.15}, GUIDED])],
    "f": [(MASKING, [{"use": "random", "rate": 0.15}, GUIDED])],
    "c": [("phases.anneal.mixing", [{"use": "annealing.constant", "shares": MEAN}, step(0.5),
                                    {"use": "annealing.cosine", "start": START, "end": END}])],
    "e": [(MASKING, [{"use": "random", "rate": 0.15}, {"use": "random", "rate": 0.22}, GUIDED, TUNED])],
}  # fmt: skip
MOMENTS = {"a": ("pretrain", "anneal"), "d": ("pretrain", "extend")}
"""Questions that the recipe's own runs answer: the model after one phase against that after another."""


def answer(question: str, file: Path, root: Path, seeds: int) -> Comparison:
    """Run what is missing and compare; questions share the stages that are the same."""
    registry = load_plugins()
    command = " ".join(sys.argv)
    with TerminalProgress() as progress:
        asked = question if question in QUESTIONS else "b"
        axes = [Axis.parse(f"{key}={json.dumps(values)}") for key, values in QUESTIONS[asked]]
        plan = Ablation.plan(file, (), axes, seeds, registry)
        # The last variant of each question is the recipe as it is.
        first = Ablation.plan(
            file, (), [Axis.parse(f"{k}={json.dumps(v)}") for k, v in QUESTIONS["b"]], seeds, registry
        )
        main = [first.folder(root / "b", first.variants[-1], seed) for seed in first.seeds]
        others = [first.folder(root / "b", variant, seed) for variant in first.variants for seed in first.seeds]
        done = [run for run in others if run.manifest.exists()] if asked != "b" else []
        comparison = run_ablation(
            plan,
            root / asked,
            progress,
            plugins=registry.versions(),
            command=command,
            every_metric=True,
            share_with=done,
        )
        if question in QUESTIONS:
            return comparison
        models = [
            pooled(moment, [find_results(f"{run.root}@{moment}")[0] for run in main]) for moment in MOMENTS[question]
        ]
        return compare_models(models, every_metric=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--question", choices=["a", "b", "c", "d", "e", "f"], action="append")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--limit", type=int, help="documents read of each source; by --scale if left out")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--part", choices=["dev", "test"], default="dev")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "recipe.yaml"
    file.write_text(
        yaml.safe_dump(
            recipe(options.data.resolve(), options.scale, options.model, options.part, options.limit), sort_keys=False
        )
    )
    console = Console(highlight=False)
    for question in options.question or ["b", "a", "d", "c", "e"]:
        comparison = answer(question, file, options.out, options.seeds)
        write_comparison(
            comparison,
            html=options.out / f"{question}.html",
            json=options.out / f"{question}.json",
            title=f"Question {question}",
        )
        console.print(f"\nQuestion {question}", style="bold")
        print_comparison(comparison, console)


if __name__ == "__main__":
    try:
        main()
    except RexplugError as error:
        sys.exit(f"evidence: {error}")
