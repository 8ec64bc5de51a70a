"""Former names work, and a warning says what to write instead."""

import subprocess
import sys
import warnings
from typing import ClassVar

import pytest
from packaging.version import Version
from pydantic import ValidationError
from small_recipe import small_recipe

import rexplug
from rexplug import CorpusFilter, PluginError, Renamed, Verdict, api
from rexplug.lazy import lazy_names
from rexplug.plugins.registry import Registry
from rexplug.renamed import RenamedWarning


class Cited(CorpusFilter):
    """Keep texts that cite laws."""

    name = "legal.cited"
    former_names: ClassVar = {"legal.citation": "0.3"}
    renamed_options: ClassVar = {"fewest": Renamed("at_least", until="0.4")}

    at_least: int = 1
    """Fewest citations."""

    def judge(self, document):
        return Verdict(document.text.count("§") >= self.at_least, "no citation")


@pytest.fixture
def registry():
    registry = Registry()
    registry.add("legal", "rexplug_corpus_filters", Cited)
    return registry


def test_an_option():
    text = r"^legal\.cited: 'fewest' is now called 'at_least'; write at_least \(fewest works until version 0\.4\)$"
    with pytest.warns(RenamedWarning, match=text) as caught:
        component = Cited(fewest=3)
    assert caught[0].filename == __file__
    assert component.dump() == {"use": "legal.cited", "at_least": 3}


def test_an_option_under_both_names_is_refused():
    with pytest.raises(
        ValidationError, match="'fewest' is the former name of 'at_least', which is given too; remove 'fewest'"
    ):
        Cited(fewest=3, at_least=2)


def test_current_names_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Cited(at_least=2).at_least == 2


def test_a_component(registry):
    text = r"^'legal\.citation' is now called 'legal\.cited'; write legal\.cited \(legal\.citation works until version 0\.3\)$"
    with pytest.warns(RenamedWarning, match=text):
        assert registry.find(CorpusFilter, "legal.citation") is Cited
    with pytest.raises(PluginError, match=r"no CorpusFilter is called 'legal\.citations'; did you mean 'legal\.cited'"):
        registry.find(CorpusFilter, "legal.citations")


def test_a_name_of_a_package():
    text = r"^rexplug\.api\.OnGpu' is now called 'rexplug\.api\.GpuForecast'; write rexplug\.api\.GpuForecast "
    with pytest.warns(RenamedWarning, match=text.replace("^", "^'")) as caught:
        assert api.OnGpu is api.GpuForecast
    assert caught[0].filename == __file__
    with pytest.raises(AttributeError, match=r"module 'rexplug\.api' has no attribute 'OnGpus'"):
        api.OnGpus  # noqa: B018


def test_the_old_names_of_rexplug_are_removed_in_the_version_that_was_promised():
    for module in (api,):
        for old, renamed in module.RENAMED.items():
            assert Version(renamed.until) > Version(rexplug.__version__), f"remove {module.__name__}.{old}"
            assert renamed.new in module.__all__
            assert old not in module.__all__


def test_a_package_without_former_names():
    with pytest.raises(AttributeError):
        lazy_names("rexplug.api", {})("OnGpu")


def test_the_command_line_prints_the_sentence_alone(tmp_path):
    plugin = tmp_path / "legal.py"
    plugin.write_text(
        "import rexplug\n\nclass Cited(rexplug.CorpusFilter):\n"
        '    """Keep texts that cite laws."""\n\n'
        '    name = "legal.cited"\n    former_names = {"legal.citation": "0.3"}\n\n'
        "    def judge(self, document):\n        return rexplug.Verdict(True)\n\nCOMPONENTS = [Cited]\n"
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        small_recipe("{web: {use: ecommerce.sample_pages, filters: [legal.citation]}}", more="plugins: [./legal.py]\n")
    )
    done = subprocess.run(
        [sys.executable, "-m", "rexplug", "show", recipe], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stderr == (
        "rexplug: 'legal.citation' is now called 'legal.cited'; write legal.cited (legal.citation works until version 0.3)\n"
    )
    assert "use: legal.cited" in done.stdout
