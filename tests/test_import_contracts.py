"""The import contracts in pyproject.toml cover every package: a new one cannot escape them."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
PACKAGES = {
    f"rexplug.{path.stem}"
    for path in (ROOT / "rexplug").iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").exists()) and not path.stem.startswith("__")
}


def test_only_the_engine_may_import_composer():
    sources = [
        source
        for name in ("composer-behind-engine", "composer-behind-engine-for-its-callers")
        for source in CONTRACTS[name]["source_modules"]
        if source.startswith("rexplug.")
    ]
    assert sorted(sources) == sorted(PACKAGES - {"rexplug.engine", "rexplug.version"})


def test_plugins_may_import_no_package_of_the_core():
    assert set(CONTRACTS["plugins-use-public-names"]["forbidden_modules"]) == PACKAGES - {"rexplug.version"}


def test_the_command_line_may_import_only_the_api_and_what_belongs_to_processes():
    allowed = {f"rexplug.{name}" for name in ("api", "cli", "distributed", "errors", "progress", "renamed", "version")}
    forbidden = set(CONTRACTS["cli-calls-the-api"]["forbidden_modules"])
    assert forbidden == PACKAGES - allowed
