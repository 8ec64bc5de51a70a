"""A complete run of the example plugin's recipe: files, metrics, skipped stages, and interruptions."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import rexplug

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "plugins" / "rexplug_example"
pytestmark = pytest.mark.slow
# The example plugin enters as an installed one would: through an entry point found on the path.
ENTRY = "[rexplug]\nexample = rexplug_example\n"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """What a process with the plugin has on its path beyond this one's."""
    folder = tmp_path_factory.mktemp("site")
    info = folder / "rexplug_example-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rexplug-example\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(ENTRY)
    return [str(folder), str(EXAMPLE / "src")]


def command(folder, *arguments):
    return ["run", str(EXAMPLE / "recipe.yaml"), "--run-dir", str(folder), *arguments]


def run(path, folder, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        for place in path:
            patch.syspath_prepend(place)
        done = rexplug(*command(folder, *arguments))
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def whole(path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, run(path, folder)


def test_every_file_is_written(whole):
    folder, done = whole
    for name in (
        "recipe.yaml",
        "run.json",
        "metrics.jsonl",
        "report.html",
        "README.md",
        "model/parity.json",
        "model/README.md",
    ):
        assert (folder / name).is_file(), name
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["status"] == "done"
    assert manifest["plugins"]["example"] == "0.1.0"
    assert json.loads((folder / "model/parity.json").read_text())["max_difference"] <= 1e-5
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(line["phase"] for line in lines)) == ["pretrain", "anneal"]
    assert lines[-1]["loss"] < lines[0]["loss"]
    page = (folder / "report.html").read_text()
    assert "Synthetic data." in page
    assert "<script" not in page
    assert 'src="http' not in page
    assert "Training" in done.stdout


def test_the_model_loads_both_ways(whole):
    folder, _ = whole
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model = AutoModelForMaskedLM.from_pretrained(folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    assert model(**tokenizer("Take 5 mg [MASK].", return_tensors="pt")).logits.isfinite().all()
    assert SentenceTransformer(str(folder / "model"), device="cpu").encode(["Take 5 mg."]).shape == (1, 128)


def test_a_second_run_skips_everything(path, whole):
    folder, _ = whole
    before = (folder / "report.html").stat().st_mtime_ns
    done = run(path, folder)
    stages = [
        line
        for line in done.stderr.splitlines()
        if line.split(":")[0] in ("curate", "train.anneal", "export", "report")
    ]
    assert stages
    assert all("done before" in line for line in stages)
    assert (folder / "report.html").stat().st_mtime_ns == before


def weights(folder):
    return (folder / "checkpoints" / "anneal" / "final" / "model.safetensors").read_bytes()


def losses(metrics):
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [(line["phase"], line["step"], line["tokens"], line["loss"]) for line in lines]


@pytest.mark.parametrize(("kind", "lines"), [(signal.SIGKILL, 5), (signal.SIGTERM, 15)])
def test_a_stopped_run_ends_in_the_same_weights(path, whole, tmp_path, kind, lines):
    folder = tmp_path / "stopped"
    settings = ["phases.0.checkpoints.every_tokens=2k", "phases.1.checkpoints.every_tokens=2k"]
    # Training is what is stopped here; corpus, tokens and initial model are those of the whole run, and what follows is left out.
    shutil.copytree(whole[0], folder)
    metrics = folder / "metrics.jsonl"
    metrics.unlink()
    code = "from rexplug.cli import main; main()"
    more = ["--from", "train.pretrain", "--until", "train.anneal"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*path, os.environ.get("PYTHONPATH", "")]), "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command(folder, *settings), *more],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None:
        if metrics.exists() and len(metrics.read_text().splitlines()) >= lines:
            process.send_signal(kind)
            break
        time.sleep(0.01)
    code = process.wait()
    assert code == (-signal.SIGKILL if kind == signal.SIGKILL else 130)
    run(path, folder, *settings, "--until", "train.anneal")
    assert weights(folder) == weights(whole[0])
    assert losses(metrics) == losses(whole[0] / "metrics.jsonl")


def test_a_change_redoes_what_it_touches(path, whole, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(whole[0], folder)
    done = run(path, folder, "phases.anneal.masking.rate=0.3", "--until", "train.anneal")
    assert "train.pretrain: done before" in done.stderr
    assert "train.anneal: runs again, because of a change: phase.masking.rate: 0.2 -> 0.3" in done.stderr
