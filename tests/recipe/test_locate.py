"""Recipes by name, plugin files of a recipe, and `$RECIPE_DIR`."""

from pathlib import Path

import pytest

from rexplug.errors import RecipeError
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import dump_recipe, load_recipe
from rexplug.recipe.locate import recipe_file, shipped_recipes

ROOT = Path(__file__).parents[2]
FILTER = '''\
import rexplug

class Long(rexplug.CorpusFilter):
    """Keep long texts."""

    name = "legal.long"

    def judge(self, document):
        return rexplug.Verdict(len(document.text) > 5, "short")

COMPONENTS = [Long]
'''


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


@pytest.fixture
def legal(tmp_path, toy):
    """A recipe `a/recipe.yaml` with a filter of the plugin `a/legal.py`."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "legal.py").write_text(FILTER)
    text = "plugins: [./legal.py]\n" + toy.replace("filters: [toy.long", "filters: [legal.long, toy.long")
    (tmp_path / "a" / "recipe.yaml").write_text(text)
    return tmp_path / "a" / "recipe.yaml"


def names(recipe):
    return [component.name for component in recipe.sources["web"].filters]


def test_a_recipe_names_a_plugin_file_in_its_own_folder(legal, toy_registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(legal, (), toy_registry)
    assert names(recipe)[0] == "legal.long"
    assert recipe.plugins == (str(legal.parent / "legal.py"),)
    assert load_recipe(Path("a/recipe.yaml"), (), toy_registry) == recipe
    assert "legal" not in toy_registry.plugins


def test_the_printed_recipe_is_valid_elsewhere(legal, toy_registry, tmp_path):
    recipe = load_recipe(legal, (), toy_registry)
    (tmp_path / "printed.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "printed.yaml", (), toy_registry) == recipe


def test_a_recipe_that_extends_keeps_the_plugin_files_of_its_base(legal, toy_registry, tmp_path):
    (tmp_path / "child.yaml").write_text("extends: a/recipe.yaml\nname: child\n")
    assert load_recipe(tmp_path / "child.yaml", (), toy_registry).plugins == (str(legal.parent / "legal.py"),)


def test_an_override_names_a_file_in_the_current_folder(legal, toy_registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "legal.py").write_text(FILTER.replace("> 5", "> 6"))
    assert load_recipe(legal, ["plugins=[legal.py]"], toy_registry).plugins == (str(tmp_path / "legal.py"),)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("legal.py", "1: plugins: write a list of files, [./legal.py]"),
        ("[3]", "1: plugins.0: 3 is not the path of a Python file"),
        ("[./none.py]", "1: plugins.0: {folder}/none.py did not load: there is no such file"),
    ],
)
def test_problems_with_plugin_files_have_a_line(legal, toy_registry, written, problem):
    legal.write_text(legal.read_text().replace("[./legal.py]", written))
    with pytest.raises(RecipeError) as error:
        load_recipe(legal, (), toy_registry)
    assert str(error.value).splitlines()[1] == f"  {legal}:{problem.format(folder=legal.parent)}"


def test_recipe_dir_stands_for_the_folder_of_the_file(legal, toy_registry, tmp_path):
    legal.write_text(legal.read_text().replace("paths: here", "paths: $RECIPE_DIR/pages"))
    (tmp_path / "child.yaml").write_text("extends: a/recipe.yaml\nname: child\n")
    for path in (legal, tmp_path / "child.yaml"):
        assert load_recipe(path, (), toy_registry).sources["web"].paths == f"{legal.parent}/pages"


def test_every_shipped_recipe_has_a_name(registry):
    assert {path.stem: path for path in (ROOT / "recipes").glob("*.yaml")} == shipped_recipes(registry)


def test_a_name_is_looked_up_only_where_there_is_no_file(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipe_file(Path("ecommerce"), registry) == ROOT / "recipes" / "ecommerce.yaml"
    (tmp_path / "ecommerce").write_text("name: mine\n")
    assert recipe_file(Path("ecommerce"), registry) == Path("ecommerce")
    assert recipe_file(Path("missing.yaml"), registry) == Path("missing.yaml")


def test_a_wrong_name_is_met_with_the_closest(registry):
    with pytest.raises(RecipeError) as error:
        load_recipe(Path("ecomerce"), (), registry)
    assert str(error.value) == (
        "ecomerce: there is no such file, and no installed plugin has a recipe of that name; did you mean 'ecommerce'?"
    )
