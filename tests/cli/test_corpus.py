"""`rexplug corpus` and the dataset card, on a run that really was curated."""

import json
import shutil

import pytest
import yaml
from click.testing import CliRunner

from rexplug.cli import cli
from rexplug.cli.progress import amount
from rexplug.errors import DataError
from rexplug.recipe import load_recipe
from rexplug.report import Contents, write_dataset_card, write_report
from rexplug.run_directory import RunDirectory

TEXT = "The committee number {n} met in the old library and argued for hours about the poem {m} that nobody had read before."
RECIPE = """
name: toy
description: A toy.
sources:
  web:
    use: jsonl
    paths: {folder}/in.jsonl
    license: cc-by-4.0
    filters: [{{use: length, min_words: 5}}]
curation: {{deduplicate: exact, held_out: 0.2}}
tokenizer: {{use: train}}
model: {{size: nano}}
phases:
  - {{name: p, tokens: 1k, context: 64, batch_tokens: 64, learning_rate: {{peak: 1e-3}}, mixing: {{use: annealing.constant, shares: {{web: 1}}}}, masking: random}}
evaluators: [{{use: retrieval, folder: {folder}/task}}, masked_recovery]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "task").mkdir()
    query = "which of the eighteen garden chairs with woven seats can stay outside all winter without a cover"
    (folder / "task/corpus.jsonl").write_text('{"_id": "d", "text": "An oak chair."}\n')
    (folder / "task/queries.jsonl").write_text(json.dumps({"_id": "q", "text": query}) + "\n")
    (folder / "task/qrels.tsv").write_text("q\td\t1\n")
    texts = [TEXT.format(n=n, m=n * 7) for n in range(40)] + [
        "too short\ufffd\ufffd",
        TEXT.format(n=3, m=21).upper(),
        f"Leaked: {query}?",
    ]
    (folder / "in.jsonl").write_text(
        "".join(json.dumps({"text": t, "url": "https://www.a.example/x"}) + "\n" for t in texts) + "{\n"
    )
    (folder / "toy.yaml").write_text(RECIPE.format(folder=folder))
    done = CliRunner().invoke(
        cli, ["run", str(folder / "toy.yaml"), "--until", "curate", "--run-dir", str(folder / "run"), "--quiet"],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0
    return folder / "run"


def place(run, line):
    """The id of a line: the file and where the line begins."""
    lines = (run.parent / "in.jsonl").read_bytes().splitlines(keepends=True)
    return f"in.jsonl:{sum(map(len, lines[: line - 1]))}"


def output(*words):
    return CliRunner().invoke(cli, ["corpus", *map(str, words)], catch_exceptions=False).output


def test_show_counts_reasons_scores_domains_and_hits(run):
    said = output("show", run, "--examples")
    assert "invalid JSON 1" in said
    assert "too short 1" in said
    assert "1 documents hold 2 replacement characters (U+FFFD): bytes that their charset does not know" in said
    assert "scores of length" in said
    assert "duplicates by domain: a.example 1" in said
    assert "retrieval.task: 2 texts, 1 of them too short to search for" in said
    assert "holds 5 n-grams of query q" in said
    assert "masked_recovery: not compared, it measures on documents that the run holds out after curation" in said
    assert "tokens in" not in said
    assert json.loads(output("show", run, "--json"))["sources"]["web"]["read"]["documents"] == 44


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (41, ["web: dropped by length: too short (score 2)", "length                    drop: too short"]),
        (42, ["dropped by deduplicate: exact duplicate", "LINE_4 (", "100% alike)"]),
        (
            43,
            [
                "dropped by decontaminate: text of retrieval",
                "5 n-grams with query q of retrieval",
                "which of the eighteen garden",
            ],
        ),
        (44, ["dropped by read: invalid JSON"]),
    ],
)
def test_why_of_dropped_documents(run, line, parts):
    said = output("why", run, place(run, line))
    for part in [
        *(part.replace("LINE_4", place(run, 4)) for part in parts),
        f"read from {run.parent}/{place(run, line)}",
    ]:
        assert part in said


@pytest.mark.slow
def test_why_of_kept_and_held_out_documents(run):
    said = [output("why", run, place(run, n)).splitlines()[0] for n in range(1, 41)]
    assert set(said) == {"web: kept", "web: kept, held out from training"}


def test_missing_files_and_names(run, tmp_path):
    with pytest.raises(DataError, match=r"no document of .* is called 'nope'; ids look like '.*in\.jsonl:\d+'"):
        output("why", run, "nope")
    with pytest.raises(DataError, match="holds no finished corpus; rexplug run RECIPE --until curate makes one"):
        output("show", tmp_path)
    with pytest.raises(DataError, match="is not a run directory"):
        output("why", tmp_path, "x")


def test_the_dataset_card_is_one_that_the_hub_reads(run):
    text = (run / "corpus" / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["configs"][0]["data_files"][0] == {"split": "train", "path": "web/kept/*.parquet"}
    assert front["language"] == ["en"]
    assert "- `length` (min_words: 5)" in text
    assert "Of equal texts, within each source, the first document was kept." in text
    assert "| decontaminate |" in text
    assert (
        "Not compared with `masked_recovery`: it measures on documents that the run holds out after curation." in text
    )
    assert "1 documents were dropped because they hold 13 words in a row" in text
    assert "No filter for personal data was applied" in text


def test_the_card_takes_licences_languages_and_masking_from_wherever_the_recipe_states_them(run, tmp_path):
    recipe = load_recipe(
        run.parent / "toy.yaml",
        [
            "card.data_licenses.web=cc0-1.0", "sources.web.license=null",
            "sources.web.filters=[{use: language, languages: [de, fr]}, {use: datatrove.filter, class: PIIFormatter}]",
        ],
    )  # fmt: skip
    copied = RunDirectory(shutil.copytree(run, tmp_path / "run"))
    text = write_dataset_card(copied, recipe).read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert (front["license"], front["language"]) == ("cc0-1.0", ["de", "fr"])
    assert '- `language` (languages: ["de", "fr"])' in text
    assert "The filter `datatrove.PIIFormatter` was applied" in text


def test_tokens_of_each_step_are_estimated_once_some_are_counted(run, tmp_path):
    copied = shutil.copytree(run, tmp_path / "run")
    done = CliRunner().invoke(
        cli, ["run", str(run.parent / "toy.yaml"), "--until", "tokenize", "--run-dir", str(copied), "--quiet"],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0
    tokens = json.loads((copied / "tokens/web/store.json").read_text())["tokens"]
    kept = next(line for line in output("show", copied).splitlines() if line.strip().startswith("kept "))
    assert kept.split()[-1] == f"~{amount(tokens)}"


def test_a_duplicate_of_another_source_names_it(tmp_path):
    lines = "".join(json.dumps({"text": TEXT.format(n=n, m=n * 7)}) + "\n" for n in range(5))
    more = json.dumps({"text": "Another text that only the second file contains and that is long enough."}) + "\n"
    (tmp_path / "in.jsonl").write_text(lines)
    (tmp_path / "other.jsonl").write_text(lines + more)
    recipe = RECIPE.format(folder=tmp_path).partition("evaluators:")[0]
    recipe = recipe.replace(
        "curation: {", "  other: {use: jsonl, paths: FOLDER/other.jsonl}\ncuration: {deduplicate_across: true, "
    )
    (tmp_path / "toy.yaml").write_text(recipe.replace("FOLDER", str(tmp_path)))
    arguments = ["run", str(tmp_path / "toy.yaml"), "--until", "curate", "--run-dir", str(tmp_path / "run"), "--quiet"]
    assert CliRunner().invoke(cli, arguments, catch_exceptions=False).exit_code == 0
    said = output("why", tmp_path / "run", "other.jsonl:0")
    assert "other: dropped by deduplicate: exact duplicate" in said
    assert "repeats   in.jsonl:0 of web (" in said


def test_near_duplicates_and_equal_addresses_name_their_twin_and_the_similarity(tmp_path):
    text = " ".join(f"{a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "klmn")
    rows = [
        {"id": "one", "text": text, "url": "https://a.example/1"},
        {"id": "near", "text": f"{text} and more", "url": "https://a.example/2"},
        {"id": "address", "text": " ".join(text.split()[:60]), "url": "http://a.example/1/"},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = (
        RECIPE.format(folder=tmp_path).partition("evaluators:")[0].replace("deduplicate: exact", "deduplicate: minhash")
    )
    recipe = recipe.replace("curation: {", "curation: {deduplicate_urls: true, ").replace(
        "use: jsonl\n", "use: jsonl\n    id: id\n"
    )
    (tmp_path / "toy.yaml").write_text(recipe.replace("held_out: 0.2", "held_out: 0"))
    arguments = ["run", str(tmp_path / "toy.yaml"), "--until", "curate", "--run-dir", str(tmp_path / "run"), "--quiet"]
    assert CliRunner().invoke(cli, arguments, catch_exceptions=False).exit_code == 0
    near = output("why", tmp_path / "run", "near")
    assert "web: dropped by deduplicate: near-duplicate (score 0.9796)" in near  # 96 of 98 shingles
    assert "repeats   one (kept, 98% alike)" in near
    address = output("why", tmp_path / "run", "address")
    assert "web: dropped by deduplicate: same address" in address
    assert "repeats   one (kept, 58% alike)" in address  # 56 of 96 shingles


def test_the_report_names_what_was_not_compared(run, tmp_path):
    copied = RunDirectory(shutil.copytree(run, tmp_path / "run"))
    page = write_report(Contents(copied, load_recipe(run.parent / "toy.yaml"))).read_text()
    assert "<code>masked_recovery</code> was not compared: it measures on documents" in page


@pytest.mark.slow
def test_datasets_loads_the_corpus_by_its_card(run, tmp_path):
    import datasets

    loaded = datasets.load_dataset(str(run / "corpus"), "web", cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "validation"}
    assert loaded["train"].num_rows + loaded["validation"].num_rows == 40
