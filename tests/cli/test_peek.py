"""`rexplug peek` as a user meets it."""

import re

import pytest
from command_line import rexplug


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


def test_a_run_shows_its_rows(tokenized_run, tmp_path):
    _, _, run = tokenized_run
    done = rexplug("peek", run.root, "--rows", "2", "--at", "0.9", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"from the token stores of {run.root}"
    assert "anneal at 90%: web 10%, shop 90%; 12% masked by guided_mlm.guided" in lines
    shares = re.compile(
        r"  (web|shop): [\d.]+% of the salient tokens masked \([\d.]+% of all tokens are salient\), [\d.]+% of the others"
    )
    assert [found[1] for line in lines if (found := shares.fullmatch(line))] == ["web", "shop"]
    assert sum(line.startswith("row ") for line in lines) == 2
    assert any("masked because: " in line and "(category)" in line for line in lines)
    assert any("╭─ shop · " in line for line in lines)


@pytest.mark.slow
def test_a_recipe_without_a_run_is_sampled(tokenized_run, tmp_path):
    path, _, _ = tokenized_run
    done = rexplug("peek", path, "--documents", "10", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("from a sample: 10 documents of each source, curated for this preview")
    assert "row 1: " in done.stdout
    assert list(tmp_path.iterdir()) == []
    short = rexplug("peek", path, "--documents", "10", "phases.anneal.min_tokens=100k", cwd=tmp_path)
    assert short.returncode == 2
    assert "source 'web' has no document of at least 100000 tokens" in short.stderr
    assert "The preview read 10 documents of each source; --documents reads more" in short.stderr


def test_mistakes(tokenized_run, tmp_path):
    path, _, _ = tokenized_run
    (tmp_path / "empty").mkdir()
    done = rexplug("peek", "empty", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "rexplug: empty is not a run directory: it has no recipe.yaml; give a recipe, or a directory like runs/NAME\n"
    )
    (tmp_path / "empty/recipe.yaml").write_text(path.read_text())
    done = rexplug("peek", "empty", cwd=tmp_path)
    assert done.stderr.startswith(
        "rexplug: empty has no token store of 'web'; finish it with rexplug run RECIPE --until "
    )
    done = rexplug("peek", path, "--phase", "aneal", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "rexplug: --phase aneal: unknown phase; the phases are anneal\n"
    assert rexplug("peek", path, "--at", "1.5", cwd=tmp_path).returncode == 2
