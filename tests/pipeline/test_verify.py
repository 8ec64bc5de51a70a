"""`rexplug verify` finds altered files, and missing outputs of finished stages."""

import json
import shutil

import pytest

from rexplug.pipeline.verify import verify_run


@pytest.fixture
def run(tokenized_run, tmp_path):
    """A copy of a tokenized run, to be damaged."""
    return shutil.copytree(tokenized_run[2].root, tmp_path / "run")


def problems(run):
    return [f"{problem}; {part.repair}" for part in verify_run(run) for problem in part.problems]


def test_an_undamaged_run_has_no_problems(run):
    parts = list(verify_run(run))
    assert [problem for part in parts for problem in part.problems] == []
    assert [str(part.folder.relative_to(run)) for part in parts] == [
        "corpus/shop", "corpus/web", "tokenizer", "tokens/shop", "tokens/web", "corpus", "fitted",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("corpus", "curate"),
        ("corpus/web", "curate"),
        ("corpus/web/kept", "curate"),
        ("corpus/web/checksums.json", "curate"),
        ("tokenizer", "tokenize"),
        ("tokenizer/checksums.json", "tokenize"),
        ("tokens", "tokenize"),
        ("tokens/web", "tokenize"),
        ("tokens/web/store.json", "tokenize"),
    ],
)
def test_a_missing_part(run, name, stage):
    path = run / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert f"{path} is missing, and {stage} is done; --from {stage} makes it again" in problems(run)


def test_a_missing_recipe(run):
    (run / "recipe.yaml").unlink()
    assert problems(run) == [f"{run}/recipe.yaml is missing; rexplug run RECIPE writes it again"]


@pytest.mark.parametrize("name", ["corpus/statistics.json", "fitted/salience-*.json"])
@pytest.mark.parametrize("how", ["altered", "gone"])
def test_files_whose_checksums_are_in_the_manifest(run, name, how):
    (path,) = run.glob(name)
    stage = "curate" if path.parent.name == "corpus" else "tokenize"
    if how == "gone":
        path.unlink()
        said = f"{path} is missing"
    else:
        content = path.read_bytes()
        path.write_bytes(content[:-3] + b" " + content[-2:])
        said = f"{path} was altered: its content does not have the checksum that was recorded when it was written"
    assert problems(run) == [f"{said}; --from {stage} makes it again"]


def test_results_of_an_earlier_version_have_no_checksums(run):
    manifest = json.loads((run / "run.json").read_text())
    for stage in manifest["stages"].values():
        del stage["files"]
    (run / "run.json").write_text(json.dumps(manifest))
    (run / "corpus" / "statistics.json").write_text("{}")
    assert problems(run) == []
