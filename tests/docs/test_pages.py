"""What pages and packaging say is so: commands parse, recipes load, layers and versions agree."""

import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest

from rexplug import __version__
from rexplug.cli import cli
from rexplug.plugins.hookspecs import KINDS
from rexplug.recipe import load_recipe

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "plugins/rexplug_example/README.md"])
RECIPES = sorted(ROOT.glob("recipes/*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(text: str) -> list[list[str]]:
    """The words of each `rexplug ...` line: those in blocks, and those in running text that name a command."""
    found: list[str] = []
    for block in re.findall(r"^```(?:|bash|sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            found += [part for part in re.split(r"&&|;", line) if re.match(r"\s*(\S*/)?rexplug\s", part)]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found += re.findall(r"`(rexplug [a-z][^`|]*)`", prose)
    return [shlex.split(line, comments=True)[1:] for line in found]


def problem(words: list[str]) -> str | None:
    command = cli.get_command(click.Context(cli), words[0])
    if command is None:
        return f"there is no command '{words[0]}'"
    try:
        command.make_context(words[0], list(words[1:]))
    except click.MissingParameter as error:
        # `rexplug run` in running text names the command alone.
        return error.format_message() if words[1:] else None
    except click.UsageError as error:
        return error.format_message()
    return None


def test_commands_are_found_and_judged():
    page = (
        "```\n.venv/bin/pip install -e . && .venv/bin/rexplug run r.yaml seed=3\nrexplug runn r.yaml  # no such\n"
        "rexplug run --nope r.yaml\n```\nSee `rexplug run`, `rexplug plugins NAME` and `rexplug`.\n"
    )
    assert [(" ".join(words), problem(words)) for words in commands(page)] == [
        ("run r.yaml seed=3", None),
        ("runn r.yaml", "there is no command 'runn'"),
        ("run --nope r.yaml", "No such option '--nope'."),
        ("run", None),
        ("plugins NAME", None),
    ]
    assert commands((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_commands_parse(path):
    for words in commands(path.read_text(encoding="utf-8")):
        assert problem(words) is None, f"{name(path)}: 'rexplug {' '.join(words)}': {problem(words)}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_overrides_in_commands_are_accepted(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(path.read_text(encoding="utf-8")):
        if words[0] in ("run", "check", "show") and words[1:] and Path(words[1]).is_file():
            load_recipe(Path(words[1]), [word for word in words[2:] if "=" in word and not word.startswith("-")])


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert "://" in target or (path.parent / target).exists(), f"{name(path)} links to {target}, which is not there"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_cut_is_well_formed(path):
    text = path.read_text(encoding="utf-8")
    whole = re.findall(r"<!-- cut: \S+ \w+ -->\n```python\n.*?```\n<!-- end -->", text, re.DOTALL)
    assert len(whole) == text.count("<!-- cut:") == text.count("<!-- end -->")


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_shipped_recipes_load(path):
    assert load_recipe(path).name == path.stem


def test_every_hook_is_documented():
    text = (ROOT / "docs/reference/hooks.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (rexplug_\w+)$", text, re.MULTILINE) == list(KINDS)


def test_the_pseudocode_marks_every_hook_once():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"# (rexplug_\w+)", text)) == sorted(KINDS)


def test_the_layers_are_those_of_the_import_contract():
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    written = " > ".join(layer.strip("()") for layer in layers)
    assert f"`{written}`" in (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_the_package_has_the_version_that_it_says():
    assert PROJECT["project"]["version"] == __version__


def test_entry_points_are_packaged_and_import():
    packaged = {Path(path).name for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    for module in PROJECT["project"]["entry-points"]["rexplug"].values():
        assert import_module(module)
        assert module.split(".")[0] in packaged


def test_constraints_are_pins_of_all_that_is_asked_for():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line.strip() and not line.startswith("#")]
    for pin in pins:
        assert re.fullmatch(r"[\w.-]+==[\w.+!-]+", pin), f"'{pin}' is no plain pin"
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [*PROJECT["project"]["dependencies"], *extras["test"], *extras["dev"]]
    names = {normal(re.match(r"[\w.-]+", each)[0]) for each in asked} - {"rexplug"}
    assert names <= {normal(pin.split("==")[0]) for pin in pins}


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution.lower())


def test_ci_finds_the_test_command_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^.*&& \.venv/bin/pytest.*$", text, re.MULTILINE)) == 1
