"""The pages are correct: commands parse, link targets exist, recipes load, every page is in the navigation."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

import rexplug
from rexplug.cli import cli
from rexplug.plugins.hookspecs import KINDS
from rexplug.recipe import load_recipe
from rexplug.testing import check_plugin

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("verticals/*/*.md"),
        ROOT / "plugins/rexplug_example/README.md",
    ]
)
RECIPES = sorted(ROOT.glob("recipes/*.yaml"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(text: str) -> list[list[str]]:
    """The words of each `rexplug ...` line: those in blocks, and those in running text that name a command."""
    lines: list[str] = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines() if language in ("", "bash", "sh", "console") else ():
            lines += [part for part in re.split(r"&&|;", line) if re.match(r"\s*(\S*/)?rexplug\s", part)]
    lines += re.findall(r"`(rexplug [a-z][^`|]*)`", without_blocks(text))
    # N stands for a number.
    return [["1" if word == "N" else word for word in shlex.split(line, comments=True)[1:]] for line in lines]


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def problem(words: list[str]) -> str | None:
    """The reason why click rejects a command, or None."""
    group, rest = cli, words
    while True:
        command = group.get_command(click.Context(group), rest[0])
        if command is None:
            return f"there is no command '{rest[0]}'"
        rest = rest[1:]
        if not isinstance(command, click.Group) or not rest:
            break
        group = command
    try:
        command.make_context(command.name, list(rest))
    except click.MissingParameter as error:
        # `rexplug run` and `rexplug run --processes N` in running text leave out what they run.
        return error.format_message() if rest and not rest[0].startswith("-") else None
    except click.exceptions.NoArgsIsHelpError:
        return None
    except click.UsageError as error:
        return error.format_message()
    return None


def test_commands_are_found_and_judged():
    page = (
        "```\n.venv/bin/pip install -e . && .venv/bin/rexplug run r.yaml seed=3\nrexplug runn r.yaml  # no such\n"
        "rexplug run --nope r.yaml\nrexplug corpus show --nope r\nrexplug corpus shows r\n```\n"
        "See `rexplug run`, `rexplug corpus`, `rexplug plugins NAME` and `rexplug`.\n"
    )
    assert [(" ".join(words), problem(words)) for words in commands(page)] == [
        ("run r.yaml seed=3", None),
        ("runn r.yaml", "there is no command 'runn'"),
        ("run --nope r.yaml", "No such option '--nope'."),
        ("corpus show --nope r", "No such option '--nope'."),
        ("corpus shows r", "there is no command 'shows'"),
        ("run", None),
        ("corpus", None),
        ("plugins NAME", None),
    ]
    assert commands((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_commands_parse(path):
    for words in commands(path.read_text(encoding="utf-8")):
        if words[0] != "COMMAND":  # `rexplug COMMAND --help`
            assert problem(words) is None, f"{name(path)}: 'rexplug {' '.join(words)}': {problem(words)}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_overrides_in_commands_are_accepted(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(path.read_text(encoding="utf-8")):
        if words[0] in ("run", "check", "show", "plan", "peek") and words[1:] and Path(words[1]).is_file():
            load_recipe(Path(words[1]), [word for word in words[2:] if "=" in word and not word.startswith("-")])


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_named_files_exist(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(
        r"\b(?:recipes|docs|plugins|rexplug|tests)/(?:[\w/.-]+\.(?:yaml|md|py|sh)\b|[\w/]+/(?=`))", text
    ):
        assert (ROOT / target).exists(), f"{name(path)} names {target}"


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as both GitHub and Python-Markdown make them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", without_blocks(text), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        github = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        markdown = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain)).strip("-")
        found |= {github} & {markdown}
    return found


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path):
    for target, anchor in re.findall(
        r"\]\(([^)#\s]*)(?:#([^)]*))?\)", without_blocks(path.read_text(encoding="utf-8"))
    ):
        if "://" in target:
            continue
        page = path.parent / target if target else path
        assert page.exists(), f"{name(path)} links to {target}, which is not there"
        if name(path).startswith("docs/"):
            assert page.resolve().is_relative_to(ROOT / "docs"), (
                f"{name(path)} links to {target}, which is not in the site"
            )
        if anchor:
            assert anchor in anchors(page.read_text(encoding="utf-8")), f"{name(path)}: {target} has no '#{anchor}'"


def test_anchors_are_those_that_github_and_the_site_agree_on():
    assert anchors("# A `b_c`, d\n\n```\n# no\n```\n## What is X's?\n## One - two\n## [Link](x.md) 2\n") == {
        "a-b_c-d",
        "what-is-xs",
        "link-2",
    }


def test_every_page_is_in_the_navigation_once():
    def listed(entries):
        for entry in entries:
            if isinstance(entry, dict):
                for inner in entry.values():
                    yield from [inner] if isinstance(inner, str) else listed(inner)
            else:
                yield entry

    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = sorted(path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md"))
    assert sorted(listed(settings["nav"])) == pages


def test_the_site_loads_nothing_from_other_servers():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False
    assert "analytics" not in settings["extra"]
    assert [path for path in settings["extra_css"] if not (ROOT / "docs" / path).is_file()] == []
    assert "extra_javascript" not in settings


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_cut_is_well_formed(path):
    text = path.read_text(encoding="utf-8")
    cuts = re.findall(r"<!-- cut: \S+ \w+ -->\n```(?:python|yaml)\n.*?```\n<!-- end -->", text, re.DOTALL)
    others = text.count("<!-- layers -->\n`") + text.count("<!-- plugins -->\n|")
    assert len(cuts) == text.count("\n<!-- cut:")
    assert len(cuts) + others == len(re.findall(r"^<!-- end -->$", text, re.MULTILINE))


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_shipped_recipes_load(path):
    assert load_recipe(path).name == path.stem


def test_the_pseudocode_marks_every_hook_once():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"# (rexplug_\w+)", text)) == sorted(KINDS)


def test_the_architecture_describes_every_package():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    described = {
        word for line in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for word in re.findall(r"`(\w+)`", line)
    }
    root = Path(rexplug.__file__).parent
    modules = {path.stem for path in root.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert described == modules - {"__init__", "__main__"}


def test_the_guide_to_plugins_leads_to_every_page_of_the_plugin_api():
    text = (ROOT / "docs/guide/write-a-plugin.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs/reference/plugin-api").glob("*.md"):
        assert f"](../reference/plugin-api/{page.name})" in text


def test_the_first_plugin_of_the_guide_can_be_used(tmp_path):
    text = (ROOT / "docs/guide/write-a-plugin.md").read_text(encoding="utf-8")
    (tmp_path / "legal.py").write_text(re.search(r"```python\n(# legal.py\n.*?)```", text, re.DOTALL)[1])
    part = re.search(r"```yaml\n(plugins: .*?)```", text, re.DOTALL)[1]
    recipe = tmp_path / "legal.yaml"
    recipe.write_text(f"extends: ecommerce\nname: legal\n{part}")
    assert load_recipe(recipe).sources["law"].filters[0].name == "legal.has_citation"
    assert check_plugin(tmp_path / "legal.py") == ["legal.has_citation: tried"]


def test_the_glossary_defines_every_term_once():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Glossary")[2]
    terms = [term for term in re.findall(r"^\| (.*?) \| ", text, re.MULTILINE) if term not in ("term", "---")]
    assert len(terms) > 50
    assert len(terms) == len(set(terms))


def test_ci_finds_the_test_command_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^.*&& \.venv/bin/pytest.*$", text, re.MULTILINE)) == 1
