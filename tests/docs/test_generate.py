"""docs/generate.py: generated pages are up to date, and code in pages is cut from files that tests run."""

import importlib.util
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import rexplug
from rexplug.plugins.discovery import load_plugins
from rexplug.plugins.hookspecs import KINDS

ROOT = Path(__file__).parents[2]
DEFAULT_PLUGINS = ("core", "annealing", "ecommerce", "guided_mlm")


@pytest.fixture(scope="module")
def generate():
    sys.path.insert(0, str(ROOT / "docs"))
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "docs"))


def test_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_check_names_pages_that_are_out_of_date_and_writes_nothing(generate, tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("old\n")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "pages", lambda: iter([(page, "new\n"), (tmp_path / "other/page.md", "text\n")]))
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1
    assert capsys.readouterr().err == "out of date: page.md, other/page.md; run python docs/generate.py\n"
    assert page.read_text() == "old\n"
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    assert (page.read_text(), (tmp_path / "other/page.md").read_text()) == ("new\n", "text\n")


def test_a_cut_loses_its_indentation(generate, tmp_path, monkeypatch):
    (tmp_path / "test_it.py").write_text(
        "def test_it():\n    setup()\n    # -- start loop --\n    for x in y:\n        f(x)\n\n    g()\n    # -- end loop --\n"
    )
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    page = "Text.\n<!-- cut: test_it.py loop -->\n```python\nold\n```\n<!-- end -->\nMore.\n"
    assert generate.with_cuts(page) == (
        "Text.\n<!-- cut: test_it.py loop -->\n```python\nfor x in y:\n    f(x)\n\ng()\n```\n<!-- end -->\nMore.\n"
    )
    assert generate.with_cuts(page.replace("```python\nold\n```\n", "")) == generate.with_cuts(page)


@pytest.mark.parametrize(
    ("code", "number"),
    [("x = 1\n", 0), ("# -- start loop --\n# -- end loop --\n# -- start loop --\n# -- end loop --\n", 2)],
)
def test_a_cut_needs_exactly_one_section(generate, tmp_path, monkeypatch, code, number):
    (tmp_path / "test_it.py").write_text(code)
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    with pytest.raises(SystemExit) as caught:
        generate.cut(tmp_path / "test_it.py", "loop")
    assert str(caught.value) == f"test_it.py has {number} sections named 'loop'; a cut needs exactly one"


def test_every_component_with_its_options_has_a_place(generate):
    for kind in KINDS.values():
        page = (
            ROOT / f"docs/reference/components/{generate.reference.COMPONENT_PAGES[kind.__name__][0]}.md"
        ).read_text()
        for entry in load_plugins().of_kind(kind):
            if entry.plugin in DEFAULT_PLUGINS:
                assert f"`{entry.component.name}`" in page
                for name, field in entry.component.model_fields.items():
                    assert f"`{field.alias or name}`" in page, f"{entry.component.name}.{name}"


def test_every_hook_is_documented():
    text = (ROOT / "docs/reference/hooks.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(rexplug_\w+)` \|", text, re.MULTILINE) == list(KINDS)


def page_of(name, generate):
    return (ROOT / f"docs/reference/plugin-api/{generate.plugin_pages.page_of()[name]}.md").read_text(encoding="utf-8")


def section_of(name, generate):
    """The part of a page under a name's heading; the whole page for a kind of component."""
    page = page_of(name, generate)
    if page.startswith(f"{generate.reference.NOTE}\n# {name}\n"):
        return page
    return page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_every_public_name_for_plugins_is_on_one_page_and_in_the_index(generate):
    index = (ROOT / "docs/reference/hooks.md").read_text(encoding="utf-8")
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference/plugin-api").glob("*.md")]
    api = importlib.import_module("rexplug.api")
    for name in {*rexplug.__all__} - {*api.__all__, "api", "__version__"} | {"Component"}:
        assert sum(len(re.findall(rf"^##? {name}$", page, re.MULTILINE)) for page in pages) == 1, name
        assert f"| [`{name}`](" in index, name
        assert section_of(name, generate).strip(), name


def test_a_kind_of_component_is_shown_with_an_example_its_recipe_and_its_test(generate):
    for kind in KINDS.values():
        page = page_of(kind.__name__, generate)
        assert f"({kind.__name__}):" in page.replace("rexplug.", ""), kind
        for part in (
            "\n```yaml\n",
            "In a recipe:",
            "In a test:",
            "check_" if kind.__name__ != "Evaluator" else "assert",
        ):
            assert part in page, f"{kind.__name__} has no {part}"


def test_types_that_methods_receive_and_return_say_who_makes_them_and_have_an_example(generate):
    plugin_api = importlib.import_module("plugin_api")
    types = plugin_api.argument_types()
    assert {"TokenBatch", "Document", "Verdict", "Piece", "Scores", "EvaluatedItem", "Budget"} <= {*types}
    for name in types:
        section = section_of(name, generate)
        about = generate.plugin_pages.meaning(name)
        assert "\n\n" in about, f"the documentation of {name} says only what it is, not who makes it and when"
        assert "\n```python\n" in section.partition("For example:")[2], f"there is no example of {name}"
        assert re.search(r"^(Argument of|Returned by|Held by) ", section, re.MULTILINE), name
        assert not re.search(r"^\| `\w+` \|.*\| \|$", section, re.MULTILINE), (
            f"{name} has a field without documentation"
        )


def test_a_new_public_name_is_picked_up(generate, monkeypatch):
    plugin_api, pages = importlib.import_module("plugin_api"), generate.plugin_pages

    @dataclass
    class Court:
        """A court.

        Made by the test.
        """

        seat: str
        """Where it is."""

    def court_of(document: "rexplug.Document") -> "Court":
        """The court of a document."""

    def judge(self, document: "Document") -> "Court": ...  # noqa: F821

    judge.__doc__ = "Judge."
    names = (plugin_api.public_names, plugin_api.page_of, plugin_api.signatures, plugin_api.argument_types)
    try:
        monkeypatch.setattr(rexplug, "__all__", [*rexplug.__all__, "Court", "court_of"])
        monkeypatch.setattr(rexplug, "Court", Court, raising=False)
        monkeypatch.setattr(rexplug, "court_of", court_of, raising=False)
        monkeypatch.setattr(rexplug.CorpusFilter, "judge", judge)
        for each in names:
            each.cache_clear()
        assert plugin_api.page_of()["Court"] == "filters"
        assert "Court" in plugin_api.argument_types()
        page = pages.kind_page("filters")
        assert "\n## Court\n\nA court.\n" in page
        assert "Returned by [`CorpusFilter.judge`](#corpusfilterjudge), [`court_of`](shared.md#court_of).\n" in page
        assert "| `seat` | `str` | required | Where it is. |" in page
        assert "\n## court_of\n" in pages.shared_page()
    finally:
        monkeypatch.undo()
        for each in names:
            each.cache_clear()


def test_every_command_is_documented():
    from rexplug.cli import cli

    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    for name in cli.list_commands(None):
        assert f"\n## rexplug {name}\n" in text


def test_the_page_on_python_shows_every_section_of_its_test():
    code = (ROOT / "tests/api/test_notebook.py").read_text(encoding="utf-8")
    page = (ROOT / "docs/guide/in-python.md").read_text(encoding="utf-8")
    sections = re.findall(r"# -- start (\w+) --", code)
    assert sections
    assert re.findall(r"<!-- cut: tests/api/test_notebook.py (\w+) -->", page) == sections


def test_fields_of_results_and_of_what_plugins_build_are_listed():
    text = (ROOT / "docs/reference/plugin-api/evaluators.md").read_text(encoding="utf-8")
    assert "| `ids` | `Sequence[str]` | `()` | `[items]`, the ids of the items. |\n" in text
    assert "| `value` | `float` | required | The metric on all items. |\n" in text  # a dataclass without methods
    reasons = (ROOT / "docs/reference/plugin-api/salience-scorers.md").read_text(encoding="utf-8")
    assert "| `start` | `int` | required | The first character of the span. |\n" in reasons  # a named tuple
    assert "- `step: int`\n" in (ROOT / "docs/reference/python-api.md").read_text(encoding="utf-8")
