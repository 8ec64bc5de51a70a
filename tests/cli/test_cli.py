"""The command line as a user meets it."""

import subprocess
import sys

import pytest
from command_line import ROOT, rexplug

HEAVY = ("torch", "transformers", "datatrove", "composer", "mteb", "datasets", "matplotlib")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def test_light_commands_import_nothing_heavy():
    recipe = "recipes/ecommerce.yaml"
    commands = [["--help"], ["check", recipe], ["show", recipe], ["plugins"], ["plan", recipe]]
    code = (
        "import sys\nfrom rexplug.cli import _run\n"
        f"for command in {commands}:\n"
        "    sys.argv = ['rexplug', *command]\n"
        "    assert _run() == 0, command\n"
        f"    found = [m for m in {HEAVY} if m in sys.modules]\n"
        "    assert not found, (command, found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_check_reports_success():
    done = rexplug("check", "recipes/ecommerce.yaml")
    assert done.returncode == 0
    assert done.stdout.startswith("recipes/ecommerce.yaml is in order: 2 sources, 3 phases, ")


def test_missing_files_are_named_with_exit_code_2(tmp_path):
    done = rexplug("check", str(ROOT / "recipes/ecommerce-local.yaml"), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"rexplug: sources.web: jsonl: paths: 'data/general' matches no file (looked from {tmp_path})",
        f"sources.retail: jsonl: paths: 'data/retail' matches no file (looked from {tmp_path})",
    ]


def test_an_unknown_stage_is_refused_before_anything_is_done(tmp_path):
    done = rexplug("run", "recipes/ecommerce.yaml", "--until", "trian", "--run-dir", str(tmp_path))
    assert done.returncode == 2
    assert "--until trian: unknown stage; the stages are relevance, curate, tokenize, " in done.stderr


def test_unknown_options_and_commands():
    assert rexplug("run", "recipes/ecommerce.yaml", "--nutil", "train").returncode == 2
    assert rexplug("rnu").returncode == 2


def test_options_of_a_component():
    done = rexplug("plugins", "guided_mlm.guided")
    assert done.stdout.startswith("guided_mlm.guided (masking policy)")
    assert "  boost: default 4.0" in done.stdout
    assert rexplug("plugins", "guided").returncode == 2


def test_names_of_plugins_and_components_are_aligned():
    for part in rexplug("plugins").stdout.split("\n\n")[:-1]:
        title, *lines = part.splitlines()
        assert lines, title
        assert len({len(line) - len(line[2:].partition(" ")[2].lstrip()) for line in lines}) == 1, part


def test_schema_is_json():
    import json

    assert json.loads(rexplug("schema").stdout)["properties"]["phases"]


def test_trace_warns_of_slow_imports(monkeypatch):
    quick = rexplug("plugins", "--trace").stdout
    assert "  ecommerce.spam: rexplug_ecommerce." in quick
    monkeypatch.setattr("rexplug.cli.plugins._SLOW", 0.0)
    lines = rexplug("plugins", "--trace").stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("ecommerce: rexplug "))
    assert lines[at].endswith(" ms")
    assert lines[at + 1] == (
        "  slow: every command imports it; import what is heavy (torch, transformers) inside the methods that use it "
        "(python -X importtime -c 'import rexplug_ecommerce')"
    )
    core = next(number for number, line in enumerate(lines) if line.startswith("core: rexplug "))
    assert "slow" not in lines[core + 1]
