"""How strongly to guide masks, and on what: the arms, recipes and measures of an ablation with values that no scorer defines.

    python tests/benchmarks/guided_ablation.py corpus DATA --out runs/guided     curate, tokenize, choose what is masked, and pack
    python tests/benchmarks/gpu/guided.py runs/guided/packed --out RESULTS       pretrain and anneal; on a GPU machine
    python tests/benchmarks/guided_ablation.py masked runs/guided/packed          what share of salient and plain tokens each arm masks
    python tests/benchmarks/guided_ablation.py table RESULTS/guided.jsonl runs/guided/packed [--part test] [--plot gain.svg]

DATA holds `general-text`, `esci-us-sample`, `chorus-icecat`, `attribute-extraction` and `pc-parts`
(docs/benchmarks/evaluation.md says where from). Text and measures are those of evidence.py, all of its documents, and annotated
values of attributes (`value_recovery`) beside them. All arms of a size and seed continue the same pretrained model, and see the same
number of tokens; parts `dev` and `test` of every measure are stored apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rexplug.errors import RexplugError

if TYPE_CHECKING:
    from rexplug.components import MaskingPolicy

TITLES = ("oa-mine__train", "ae-110k__test")
TUNED = "ae-110k__train"
"""The word lists of `ecommerce.attributes` were tuned on these titles, so they are measured apart and only in `dev`."""
PART_FIELDS = (
    "color", "type", "chipset", "size", "wattage", "style", "connection_type", "panel_type", "side_panel", "switches",
    "socket", "mode",
)  # fmt: skip
SHORTEST = 4
"""Words of the shortest text with values, and of the shortest that decontamination searches training text for."""
START, END = {"general": 0.7, "retail": 0.3}, {"general": 0.1, "retail": 0.9}
MEAN = {"general": 0.4, "retail": 0.6}
COSINE = {"use": "annealing.cosine", "start": START, "end": END}
RANDOM = {"use": "random", "rate": 0.15}


def guided(boost: float, unit: str | Mapping[str, str] = "token") -> dict[str, Any]:
    """Masks by `guided_mlm.guided` at 15 %."""
    return {
        "use": "guided_mlm.guided", "scorer": {"use": "ecommerce.attributes"}, "rate": 0.15, "boost": boost, "unit": unit,
    }  # fmt: skip


ARMS: dict[str, dict[str, Any]] = {
    "random 15 %": {"masking": RANDOM, "mixing": COSINE},
    "tokens, boost 3": {"masking": guided(3), "mixing": COSINE},
    "tokens, boost 2": {"masking": guided(2), "mixing": COSINE},
    "tokens, boost 5": {"masking": guided(5), "mixing": COSINE},
    "spans, boost 2": {"masking": guided(2, "span"), "mixing": COSINE},
    "random 20 %": {"masking": {"use": "random", "rate": 0.20}, "mixing": COSINE},
    "tokens to spans, boost 3": {"masking": guided(3, {"start": "token", "end": "span"}), "mixing": COSINE},
    "guidance 0.3 to 0.6": {"masking": {"use": "span_guidance"}, "mixing": COSINE},
    # Mixtures, with random masks: as much retail text in all.
    "static mixture": {"masking": RANDOM, "mixing": {"use": "annealing.constant", "shares": MEAN}},
    "end at 35 % general": {
        "masking": RANDOM,
        "mixing": {"use": "annealing.cosine", "start": {"general": 0.45, "retail": 0.55},
                   "end": {"general": 0.35, "retail": 0.65}},
    },
}  # fmt: skip
"""What differs between the arms, in the order in which they are trained: the most informative first."""
BASELINE = "random 15 %"
PRETRAINED = "pretrained"
"""The name of the model that all arms continue, in results and tables."""


def masking_of(arm: Mapping[str, Any]) -> MaskingPolicy:
    """The masking policy of an arm."""
    if arm["masking"]["use"] == "span_guidance":
        from span_guidance import SpanGuidance

        return SpanGuidance(rate=0.15)
    from pydantic import TypeAdapter

    from rexplug.components import MaskingPolicy, Use
    from rexplug.plugins.discovery import load_plugins

    adapter: TypeAdapter[MaskingPolicy] = TypeAdapter(Annotated[MaskingPolicy, Use()])
    return adapter.validate_python(arm["masking"], context={"components": load_plugins()})


def value_evaluators(data: Path) -> list[dict[str, Any]]:
    """The measures on annotated values, as a recipe names them."""
    titles = data / "attribute-extraction"
    shared = {"use": "value_recovery", "min_words": SHORTEST}
    return [
        {**shared, "title": "titles", "paths": [str(titles / f"{name}.jsonl.zst") for name in TITLES]},
        {**shared, "title": "tuned-titles", "paths": [str(titles / f"{TUNED}.jsonl.zst")]},
        {**shared, "title": "parts", "paths": [str(data / "pc-parts" / "parts.jsonl.zst")], "text_column": "name",
         "fields": list(PART_FIELDS)},
    ]  # fmt: skip


def corpus_recipe(data: Path, documents: int | None = None) -> dict[str, Any]:
    """The corpora of evidence.py without its phases: training text is decontaminated against all annotated texts.

    Args:
        data: the folder with the data.
        documents: most documents read of each source.
    """
    import evidence

    recipe = evidence.recipe(data, 1.0, "nano", "dev", documents)
    recipe["name"] = "guided"
    recipe["curation"] |= {
        "executor": {"use": "local", "workers": 1}, "decontamination": {"shortest": SHORTEST},
    }  # fmt: skip
    recipe["evaluators"] += value_evaluators(data)
    # Stores need the channel of the salience; which policy reads it does not matter.
    recipe["phases"][-1]["masking"] = guided(2)
    return recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    corpus = commands.add_parser("corpus")
    corpus.add_argument("data", type=Path)
    corpus.add_argument("--out", type=Path, default=Path("runs/guided"))
    corpus.add_argument("--limit", type=int, help="documents read of each source; all if left out")
    masked = commands.add_parser("masked")
    masked.add_argument("packed", type=Path)
    table = commands.add_parser("table")
    table.add_argument("results", type=Path, nargs="+")
    table.add_argument("packed", type=Path)
    table.add_argument("--part", choices=["dev", "test"], default="dev")
    table.add_argument("--plot", type=Path, help="an SVG file")
    options = parser.parse_args()
    if options.command == "corpus":
        from guided_items import make_corpus, pack

        pack(make_corpus(corpus_recipe(options.data.resolve(), options.limit), options.out), options.out / "packed")
    elif options.command == "masked":
        from guided_items import print_masked

        print_masked(options.packed)
    else:
        from guided_table import print_tables

        print_tables(options.results, options.packed, options.part, options.plot)


if __name__ == "__main__":
    try:
        main()
    except RexplugError as error:
        sys.exit(f"guided_ablation: {error}")
