"""`rexplug evaluate`: measure any models on the same items."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli import terminal
from rexplug.cli.comparison_files import comparison_tables


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--recipe", type=click.Path(path_type=Path), help="Run the evaluators of this recipe on its held-out texts."
)
@click.option("--suite", help="Run a plugin's suite (`ecommerce`), or a YAML file that lists evaluators.")
@click.option("--data", type=click.Path(path_type=Path), help="The folder that $DATA stands for in a suite.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run of the recipe; runs/NAME by default.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("evaluation"), show_default=True,
    help="Folder for results; results there that are still valid are not computed again.",
)  # fmt: skip
@click.option("--only", multiple=True, metavar="EVALUATOR", help="Run only this evaluator; may be repeated.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of items and fine-tunes; that of the recipe, or 17, by default."
)
@click.option(
    "--precision", multiple=True, type=click.Choice(["fp32", "bf16", "int8"]),
    help="Number format of the encoders' matrix products; that of the recipe, or fp32, by default. Given several times, with "
    "each: the table shows what a format changes. int8: exported to ONNX, weights quantised, run on the CPU, not fine-tuned.",
)  # fmt: skip
@click.option(
    "--dimensions", multiple=True, type=click.IntRange(min=1),
    help="Cut embeddings after so many dimensions, as those of Matryoshka models may be. Given several times, with each: the "
    "texts are embedded once.",
)  # fmt: skip
@click.option(
    "--budget", type=click.Choice(["quick", "standard", "full"]),
    help="How much evaluators may take: steps and seeds of fine-tunes, items, resamples. That of the recipe or suite, or "
    "standard, by default.",
)  # fmt: skip
@click.option(
    "--prompt", help="Put before texts that are neither queries nor documents, in place of the models' own default."
)
@click.option("--query-prompt", help="Put before queries in retrieval, in place of the models' own: 'query: '.")
@click.option("--document-prompt", help="Put before documents in retrieval, in place of the models' own: 'passage: '.")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=8),
    help="Longest input, as far as positions reach, in place of the models' own.",
)
@click.option(
    "--similarity", type=click.Choice(["cosine", "dot", "euclidean", "manhattan"]),
    help="How embeddings are compared before a fine-tune, in place of the models' own.",
)  # fmt: skip
@click.option(
    "--batch-tokens", type=click.IntRange(min=64), help="Tokens of a batch; by the device's memory by default."
)
@click.option(
    "--trust-remote-code", is_flag=True, default=None,
    help="Run the Python code in the folders or hub repositories of the models, with your rights; models that need it are "
    "refused otherwise.",
)  # fmt: skip
@click.option(
    "--save-embeddings", type=click.Path(path_type=Path), metavar="DIR",
    help="Write the embeddings of every model to DIR/LABEL.parquet (text, role, embedding), which embeddings:DIR reads; computes "
    "every result again.",
)  # fmt: skip
@click.option("--fresh", is_flag=True, help="Compute every result again, also one that is stored and still valid.")
@comparison_tables
@click.option("--all-metrics", is_flag=True, help="Show and compare every metric, not only the main ones.")
@click.option("--quiet", is_flag=True, help="Print only errors and the table.")
def evaluate(
    models: tuple[str, ...],
    recipe: Path | None,
    suite: str | None,
    data: Path | None,
    run_dir: Path | None,
    out: Path,
    only: tuple[str, ...],
    seed: int | None,
    precision: tuple[str, ...],
    dimensions: tuple[int, ...],
    budget: str | None,
    prompt: str | None,
    query_prompt: str | None,
    document_prompt: str | None,
    max_tokens: int | None,
    similarity: str | None,
    batch_tokens: int | None,
    trust_remote_code: bool | None,
    save_embeddings: Path | None,
    fresh: bool,
    all_metrics: bool,
    quiet: bool,
    **tables: Path | None,
) -> None:
    """Measure MODELs on the same items, with 95 % intervals, and test the differences to the first one.

    A MODEL is a folder, a name on the Hugging Face Hub, a run, bm25, tfidf, random:FOLDER (the same architecture with
    random weights), onnx:FOLDER or onnx:FILE.onnx (its ONNX graph), or embeddings:FOLDER (computed elsewhere); LABEL= may precede
    it. Prompts, longest input and similarity are those of the model's own files; to set
    them for one model of several, write it as in a recipe: '{model: intfloat/e5-base, query_prompt: "query: "}'.
    """
    from rexplug import api
    from rexplug.cli.comparison import print_comparison
    from rexplug.cli.progress import TerminalProgress
    from rexplug.errors import RecipeError

    if (recipe is None) == (suite is None):
        raise RecipeError("write either --recipe R (its evaluators and held-out texts) or --suite NAME")
    measured: api.Recipe | str
    if recipe is not None:
        measured = api.load_recipe(recipe, [] if seed is None else [f"seed={seed}"])
        if not measured.evaluators:
            raise RecipeError(
                f"{recipe} has no evaluators; add `evaluators:`, or write --suite NAME in place of --recipe"
            )
    else:
        assert suite is not None
        measured = suite
    with TerminalProgress(quiet=quiet) as progress:
        results = api.evaluate(
            models,
            measured,
            data=data,
            run_dir=run_dir,
            out=out,
            only=only,
            seed=seed,
            precision=precision or None,
            dimensions=dimensions or None,
            save_embeddings=save_embeddings,
            budget=budget,
            options={
                "prompt": prompt,
                "query_prompt": query_prompt,
                "document_prompt": document_prompt,
                "max_tokens": max_tokens,
                "similarity": similarity,
                "batch_tokens": batch_tokens,
                "trust_remote_code": trust_remote_code or None,
            },
            fresh=fresh,
            progress=progress,
        )
    comparison = api.compare(results, all_metrics=all_metrics)
    page, file = out / "comparison.html", out / "comparison.json"
    api.write_comparison(comparison, html=page, json=file, title="Evaluation", **tables)
    console = terminal.console()
    print_comparison(comparison, console)
    console.print(f"  page:       {page}\n  results:    {out}/MODEL/EVALUATOR.json", soft_wrap=True)
