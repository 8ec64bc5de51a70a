"""Precision and recall of the relevance classifier on real text, per set.

    python tests/benchmarks/measure_relevance.py --data DATA [--labels rule|sources] [--part dev|test] [--examples 30]

Truth is which set a document comes from. Half of every set, by a hash of the text, is `dev` (looked at while the rule was
made), half `test`. The classifier learns from dev documents of the sets marked `seen` alone; sets marked `unseen` are new to it.
Sets marked `open` can be argued either way: their kept share is shown, they count in no total.
"""

import argparse
import gzip
import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from rexplug.components import Candidate, Document, DocumentSource, Labeller, LabellingContext
from rexplug.corpus.relevance.fasttext import normalised, probability
from rexplug.corpus.relevance.filter import RelevanceFilter
from rexplug.corpus.relevance.labellers import SourceLabels
from rexplug.corpus.relevance.metrics import classification_metrics
from rexplug.corpus.relevance.sample import hash_fraction
from rexplug.corpus.relevance.train import train_relevance
from rexplug.corpus.sources import Jsonl
from rexplug.progress import Silent
from rexplug.recipe.schema import Relevance
from rexplug_ecommerce.relevance import Retail

SEED, MOST = 17, 1500
PRODUCT = re.compile(
    r"^.{0,200}?\b(?:is|was|are|were) an? (?:[\w-]+ ){0,6}?(?:smartphone|tablet|phone|laptop|camera|lens|console|video game|car|suv|"
    r"sedan|motorcycle|guitar|amplifier|synthesizer|watch|toy|doll|shoe|sneaker|perfume|fragrance|whisky|beer|wine|drink|snack|"
    r"cereal|cosmetic|headphones?|printer|processor|graphics card|keyboard|vehicle|truck|bicycle|drone|rifle|pistol|brand)s?\b",
    re.IGNORECASE | re.DOTALL,
)


def rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".zst":
        with path.open("rb") as raw:
            text = zstandard.ZstdDecompressor().stream_reader(raw).read().decode()
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    import csv

    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if "semiPQA" in path.name or "hetPQA" in path.name else ","))


def joined(*parts: object) -> str:
    return "\n".join(str(part) for part in parts if part)


def read(data: Path) -> dict[str, tuple[bool | None, str, list[str]]]:
    """Set -> (relevant or None, seen or unseen, texts)."""
    general = {p.name.split(".")[0]: rows(p) for p in sorted((data / "general-text").glob("*.jsonl.zst"))}
    commerce = re.compile("marketing|entrepreneurship", re.IGNORECASE)
    books = general.pop("openstax")
    wiki = general.pop("wikipedia-en") + general.pop("wikipedia-en-short")
    icecat = [
        joined(r["title"], r.get("short_description"), *(
            f"{k[7:].replace('_', ' ')}: {v}" for k, v in r.items() if k.startswith(("attr_t_", "attr_n_"))
        ))
        for r in rows(data / "chorus-icecat" / "products.jsonl.zst")
    ]  # fmt: skip
    asked: defaultdict[str, list[str]] = defaultdict(list)
    for name in ("train", "dev", "test"):
        for r in rows(data / "amazon-cpqa" / f"hetPQA__answer_generation__{name}.csv.gz"):
            asked[r["ASIN"]] += [r["question"], r["answer"]]
    reviews: defaultdict[tuple[str, str, int], list[str]] = defaultdict(list)
    for r in rows(data / "product-reviews" / "product_reviews.jsonl.zst"):
        reviews[r["corpus"], r["product"], r["review"]].append(r["sentence"])
    with gzip.open(data / "taxonomies" / "shopify_categories.txt.gz", "rt", encoding="utf-8") as file:
        paths = [line.split(" : ", 1)[1].strip() for line in file if " : " in line]
    films = [r["text"] for r in rows(data / "general-classification" / "sentence_polarity.jsonl.zst")]
    demo = [joined(r["name"], r["description"]) for r in rows(data / "retail-demo-store" / "products.jsonl.zst")]
    esci = [
        joined(r.get("title"), r.get("brand"), r.get("color"), r.get("description"), r.get("bullet_points"))
        for r in rows(data / "esci-us-sample" / "products.jsonl.zst")
    ]
    return {
        "esci products": (True, "seen", esci),
        "icecat products": (True, "seen", icecat),
        "retail-demo products": (True, "unseen", demo),
        "product questions": (True, "unseen", ["\n".join(t) for t in asked.values() if len(t) >= 4]),
        "books": (False, "seen", [r["text"] for r in general["standard-ebooks"]]),
        "devops forum": (False, "seen", [r["text"] for r in general["stackexchange-devops"]]),
        "tech proposals": (False, "seen", [r["text"] for r in general["tech-proposals"]]),
        "textbooks": (False, "seen", [r["text"] for r in books if not commerce.search(r["book"])]),
        "encyclopaedia": (False, "seen", [r["text"] for r in wiki if not PRODUCT.match(r["text"])]),
        "country facts": (False, "unseen", [r["text"] for r in general["factbook"]]),
        "speeches": (False, "unseen", [r["text"] for r in general["sotu"]]),
        "articles on products": (False, "unseen", [r["text"] for r in wiki if PRODUCT.match(r["text"])]),
        "marketing textbooks": (False, "unseen", [r["text"] for r in books if commerce.search(r["book"])]),
        "film reviews": (False, "unseen", [" ".join(films[i : i + 6]) for i in range(0, len(films), 6)]),
        "product reviews": (None, "open", [" ".join(s) for key, s in reviews.items() if key[2]]),
        "taxonomy paths": (None, "open", ["\n".join(paths[i : i + 15]) for i in range(0, len(paths), 15)]),
    }


def part_of(text: str) -> str:
    return "dev" if hash_fraction(text, SEED, "benchmark") < 0.5 else "test"


def cell(metric: Mapping[str, Any]) -> str:
    return "–" if metric["value"] is None else "{value:.3f} ({low:.3f}-{high:.3f})".format(**metric)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", choices=("rule", "sources"), default="rule")
    parser.add_argument("--part", choices=("dev", "test"), default="test")
    parser.add_argument("--examples", type=int, default=0)
    options = parser.parse_args()
    sets: dict[str, tuple[bool | None, str, dict[str, list[str]]]] = {}
    for name, (relevant, seen, texts) in read(options.data).items():
        drawn = sorted({t[:4000] for t in texts if t.strip()}, key=lambda t: hash_fraction(t, SEED, name))[: 2 * MOST]
        sets[name] = (relevant, seen, {part: [t for t in drawn if part_of(t) == part] for part in ("dev", "test")})
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sources: dict[str, DocumentSource] = {}
        for name, (_, seen, parts) in sets.items():
            if seen == "seen":
                path = work / f"{name.replace(' ', '-')}.jsonl"
                path.write_text("".join(json.dumps({"text": t}) + "\n" for t in parts["dev"]))
                sources[path.stem] = Jsonl(paths=str(path), filters=(RelevanceFilter(at_least="chosen"),))
        truth = {n.replace(" ", "-"): r for n, (r, _, _) in sets.items()}
        labeller: Labeller = Retail() if options.labels == "rule" else SourceLabels(
            relevant=tuple(n for n in sources if truth[n]), other=tuple(n for n in sources if not truth[n])
        )  # fmt: skip
        block = Relevance(labels=labeller, documents=MOST)
        began = time.perf_counter()
        report = train_relevance(
            sources, block, seed=SEED, folder=work / "out", answers=work / "labels", progress=Silent()
        )
        model, threshold = work / "out" / report["model"], report["threshold"]
        print(f"labels: {report['labels']}, threshold {threshold}, {time.perf_counter() - began:.0f} s")
        score_all(sets, options, model, threshold)


def score_all(
    sets: Mapping[str, tuple[bool | None, str, dict[str, list[str]]]], options: argparse.Namespace, model: Path,
    threshold: float,
) -> None:  # fmt: skip
    lines: list[tuple[str, bool | None, str, NDArray[np.bool_], list[bool | None]]] = []
    decisions: list[tuple[bool | None, str, float, str]] = []
    context = LabellingContext(Path(), SEED, Silent())
    began, count = time.perf_counter(), 0
    for name, (relevant, seen, parts) in sets.items():
        texts = parts[options.part]
        scores = np.array([probability(model, normalised(text)) for text in texts])
        count += len(texts)
        rule = Retail().label([Candidate(name, Document("", text)) for text in texts], context)
        lines.append((name, relevant, seen, scores >= threshold, rule))
        decisions += [(relevant, name, float(s), t) for t, s in zip(texts, scores, strict=True)]
    print(f"{count / (time.perf_counter() - began):,.0f} documents/s, rule and classifier\n")
    print(
        "| set | truth | | documents | kept | rule: yes | no | cannot tell |\n| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    )
    for name, relevant, seen, kept, rule in lines:
        word = {True: "relevant", False: "other", None: "either"}[relevant]
        said = " | ".join(f"{sum(r is v for r in rule) / len(rule):.1%}" for v in (True, False, None))
        print(f"| {name} | {word} | {seen} | {len(kept):,} | {kept.mean():.1%} | {said} |")
    print("\n| sets | documents | precision | recall | F1 |\n| --- | ---: | ---: | ---: | ---: |")
    for title, wanted in (("seen", ("seen",)), ("unseen", ("unseen",)), ("all", ("seen", "unseen"))):
        for who in ("classifier", "rule alone"):
            truth: list[bool | None] = []
            predicted: list[bool] = []
            for _, relevant, seen, kept, rule in lines:
                if seen in wanted:
                    truth += [relevant] * len(kept)
                    predicted += kept.tolist() if who == "classifier" else [r is True for r in rule]
            found = classification_metrics(np.array(truth), np.array(predicted), SEED)
            cells = " | ".join(cell(found[m]) for m in ("precision", "recall", "f1"))
            print(f"| {title}, {who} | {found['documents']:,} | {cells} |")
    for relevant, name, score, text in sorted(decisions, key=lambda d: hash_fraction(d[3], SEED, "show"))[
        : options.examples
    ]:
        wrong = relevant is not None and (score >= threshold) != relevant
        print(
            f"\n{'KEEP' if score >= threshold else 'drop'} {score:.3f} [{name}]{' WRONG' if wrong else ''}: {' '.join(text.split())[:260]}"
        )


if __name__ == "__main__":
    main()
