"""docs/generate.py: generated pages are up to date, and code in pages is cut from files that tests run."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert re.findall(r"^## (rexplug_\w+)$", text, re.MULTILINE) == list(KINDS)


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
    text = (ROOT / "docs/reference/python-api.md").read_text()
    assert "- `ids: Sequence[str] = ()`: `[items]`, the ids of the items.\n" in text
    assert (
        "- `value: float`: The metric on all items.\n- `low: float | None = None`: Lower end of" in text
    )  # a dataclass without methods
    assert "- `step: int`\n" in text
