"""Whether training in bf16 on a CPU is as good as in fp32: an ablation on real text, two formats and some seeds.

    OMP_NUM_THREADS=1 python tests/benchmarks/ablation_precision.py DATA --out runs/precision [--seeds 3] [--scale 0.3]

Corpus and evaluator are those of `evidence.py`; at a scale of 1, one phase of 3.6M tokens, half of them general and half retail
text, in steps of 2,048 tokens whose rate decays to 4 %. Both formats start from the same weights and see the same rows and masks
for each seed. Prints the smoothed loss at the end and the speed of each run, then masked words recovered on the half `test` of
the held-out documents with intervals over documents and seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import yaml
from evidence import recipe
from rich.console import Console

from rexplug.cli.comparison import print_comparison
from rexplug.cli.progress import TerminalProgress
from rexplug.errors import RexplugError
from rexplug.pipeline.ablate import Ablation, Axis, run_ablation
from rexplug.plugins.discovery import load_plugins


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/precision"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--model", default="nano")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tokens = int(3.6e6 * options.scale)
    made = recipe(
        options.data.resolve(), 0.3 * options.scale, options.model, "test", max(600, int(4000 * options.scale))
    )
    made["curation"] |= {"held_out": 0.1, "executor": {"use": "local", "workers": 1}}
    made["phases"] = [
        {
            "name": "pretrain", "tokens": tokens, "context": 1024, "batch_tokens": 2048,
            "learning_rate": {"peak": 2e-3, "schedule": "one_minus_sqrt", "warmup": tokens // 20, "final": 0.04},
            "mixing": {"use": "annealing.constant", "shares": {"general": 0.5, "retail": 0.5}},
            "masking": {"use": "random", "rate": 0.3},
        }
    ]  # fmt: skip
    made["evaluators"] = [evaluator for evaluator in made["evaluators"] if evaluator["use"] == "masked_recovery"]
    file = options.out / "recipe.yaml"
    file.write_text(yaml.safe_dump(made, sort_keys=False))
    registry = load_plugins()
    plan = Ablation.plan(file, (), [Axis.parse('model.precision=["fp32", "bf16"]')], options.seeds, registry)
    with TerminalProgress() as progress:
        comparison = run_ablation(
            plan, options.out, progress, plugins=registry.versions(), command=" ".join(sys.argv), every_metric=True
        )
    for seed in plan.seeds:
        for variant in plan.variants:
            stages = json.loads(plan.folder(options.out, variant, seed).manifest.read_text())["stages"]
            for phase in made["phases"]:
                result = stages[f"train.{phase['name']}"]["result"]
                print(
                    f"seed {seed}, {result['precision']}, {phase['name']}: loss {result['loss']:.4f}, accuracy "
                    f"{result['accuracy']:.4f}, {result['seconds']:.0f} s, {result['tokens_per_second']:.0f} tokens/s"
                )
    print_comparison(comparison, Console(highlight=False, width=160))


if __name__ == "__main__":
    try:
        main()
    except RexplugError as error:
        sys.exit(f"ablation_precision: {error}")
