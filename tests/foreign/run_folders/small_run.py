"""Makes the small run that is damaged, and names the files in it."""

from __future__ import annotations

import random
from pathlib import Path

from foreign.run_folders.command_line import call

RECIPE = """
name: small
sources: {{web: {{use: text, paths: {texts}}}}}
curation: {{deduplicate: exact, held_out: 0.2}}
tokenizer: {{use: train, vocabulary: 320}}
model: {{size: nano}}
phases:
  - name: anneal
    tokens: 2k
    context: 64
    batch_tokens: 512
    learning_rate: {{peak: 1e-3}}
    mixing: {{use: annealing.constant, shares: {{web: 1}}}}
    masking: {{use: guided_mlm.guided, scorer: ecommerce.attributes, rate: 0.3}}
evaluators: [{{use: masked_recovery, documents: 4, words: 16, published: false}}]
"""
WORDS = ("river", "boots", "waterproof", "jacket", "Norvale", "500 ml", "minister", "red", "spoke", "town")
KEPT = "corpus/web/kept/00000.parquet"
TOKENS = "tokens/web/tokens-00000.npy"
FINAL = "checkpoints/anneal/final"
STEP = "checkpoints/anneal/step-000000004"
RESULT = "evaluation/anneal/masked_recovery.json"


def build(folder: Path) -> Path:
    """Make a small run in `folder`; returns its recipe."""
    texts = folder / "texts"
    texts.mkdir(parents=True)
    draw = random.Random(3)
    for number in range(40):
        words = " ".join(draw.choice(WORDS) for _ in range(draw.randrange(20, 120)))
        (texts / f"{number:02d}.txt").write_text(f"Page {number} of the shop: {words}.")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(texts=texts))
    answer = call("run", str(recipe), "--run-dir", str(folder / "run"), "--quiet")
    assert answer.code == 0, answer.err
    return recipe


def document_id(recipe: Path) -> str:
    """The id of a document of the run that `build` made with this recipe."""
    import pyarrow.parquet as pq

    return str(pq.read_table(recipe.parent / "run" / KEPT, columns=["id"])["id"][0].as_py())
