"""The example plugin as a user installs it: wheels built, installed in a fresh environment, tested and run."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "plugins" / "rexplug_example"


def call(*command: str | Path, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for variable in ("PYTHONPATH", "REXPLUG_STRICT", "COVERAGE_PROCESS_START"):
        environment.pop(variable, None)
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The bin folder of a fresh environment with the two wheels; everything else comes from the running one."""
    folder = tmp_path_factory.mktemp("installed")
    wheels = folder / "wheels"
    for project in (ROOT, EXAMPLE):
        call(
            sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, project, cwd=folder
        )  # fmt: skip
    environment = folder / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    scheme = sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)})
    site = Path(scheme)
    # A path file adds the dependencies of the running environment. Path files in there are not read, so an editable
    # rexplug stays out, and what is installed here comes first.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    call(
        sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install", "--no-deps", "--no-index",
        "--ignore-installed", *sorted(wheels.glob("*.whl")), cwd=folder,
    )  # fmt: skip
    return environment / "bin"


def test_the_wheels_are_what_is_imported(installed, tmp_path):
    code = "import rexplug, rexplug_ecommerce, rexplug_example as e; print(rexplug.__file__, e.__file__, sep='\\n')"
    for line in call(installed / "python", "-c", code, cwd=tmp_path).stdout.splitlines():
        assert Path(line).is_relative_to(installed.parent)


def test_plugins_lists_it(installed, tmp_path):
    text = call(installed / "rexplug", "plugins", cwd=tmp_path).stdout
    assert "rexplug-example 0.1.0" in text
    for component in ("example.leaflets", "example.has_dosage", "example.doses", "annealing.cosine", "ecommerce.spam"):
        assert component in text
    assert "Did not load" not in text


def test_plugins_prints_its_options(installed, tmp_path):
    text = call(installed / "rexplug", "plugins", "example", cwd=tmp_path).stdout
    assert "Units of a dose." in text


def test_a_recipe_of_the_wheel_is_found_by_its_name_without_a_checkout(installed, tmp_path):
    text = call(installed / "rexplug", "check", "ecommerce", cwd=tmp_path).stdout
    assert text.startswith("ecommerce is in order: 2 sources, 3 phases, ")


def test_its_own_tests_pass(installed, tmp_path):
    tests = tmp_path / "tests"
    tests.mkdir()
    (tmp_path / "recipe.yaml").write_bytes((EXAMPLE / "recipe.yaml").read_bytes())
    for file in (EXAMPLE / "tests").glob("*.py"):
        (tests / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    text = call(installed / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, cwd=tmp_path).stdout
    assert "6 passed" in text


def test_pytest_finds_the_fixtures(installed, tmp_path):
    text = call(installed / "python", "-m", "pytest", "--fixtures", "-q", tmp_path, cwd=tmp_path).stdout
    for fixture in ("rexplug_context", "rexplug_documents", "rexplug_run_tiny", "rexplug_tokenized"):
        assert f"{fixture} -- " in text


def test_its_recipe_runs(installed, tmp_path):
    recipe = EXAMPLE / "recipe.yaml"
    call(installed / "rexplug", "check", recipe, cwd=tmp_path)
    call(installed / "rexplug", "run", recipe, "--run-dir", "run", "--quiet", cwd=tmp_path)
    run = tmp_path / "run"
    for file in ("model/config.json", "model/model.safetensors", "report.html", "README.md", "metrics.jsonl"):
        assert (run / file).is_file(), file
    for page, heading in (
        ("report.html", "<h4>By drug, after anneal</h4>"),
        ("README.md", "### example.same_drug: By drug"),
    ):
        assert heading in (run / page).read_text(encoding="utf-8")
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert manifest["plugins"]["example"] == "0.1.0"
    assert manifest["stages"]["curate"]["result"]["sources"]["pharmacy"]["synthetic"] is True
    for moment in ("initial", "pretrain", "anneal"):
        result = json.loads((run / "evaluation" / moment / "masked_recovery.json").read_text(encoding="utf-8"))
        assert result["main"] in result["metrics"]
