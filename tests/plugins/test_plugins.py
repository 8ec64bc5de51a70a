"""Loading plugins: what is registered, what is left out, and the messages."""

from types import SimpleNamespace

import pytest

import rexplug
from rexplug.errors import PluginError
from rexplug.plugins.discovery import load_plugins


class Keep(rexplug.CorpusFilter):
    """Keep every document."""

    name = "pharma.keep"

    def judge(self, document):
        return rexplug.Verdict(True)


def plugin(*classes, hook="rexplug_corpus_filters"):
    def offer():
        return list(classes)

    return SimpleNamespace(**{hook: rexplug.hookimpl(offer)})


def reason(**plugins):
    registry = load_plugins(plugins, installed=False)
    assert len(registry.failures) == 1
    return registry.failures[0].reason


def test_a_plugin_is_registered_with_its_components():
    registry = load_plugins({"pharma": plugin(Keep)}, installed=False)
    assert registry.find(rexplug.CorpusFilter, "pharma.keep") is Keep
    assert registry.entries[rexplug.CorpusFilter, "pharma.keep"].plugin == "pharma"


def test_wrong_base_class():
    class Guided:
        name = "pharma.guided"

    assert reason(pharma=plugin(Guided)) == (
        f"plugin 'pharma', rexplug_corpus_filters() offers {Guided!r}, which is not a subclass of CorpusFilter"
    )


def test_abstract_method():
    class HasDosage(rexplug.CorpusFilter):
        name = "pharma.has_dosage"

    assert reason(pharma=plugin(HasDosage)) == (
        "plugin 'pharma', rexplug_corpus_filters() offers HasDosage, which does not implement judge()"
    )


def test_name_without_plugin():
    class Bad(Keep):
        name = "keep"

    assert reason(pharma=plugin(Bad)) == (
        "plugin 'pharma', rexplug_corpus_filters() offers Bad named 'keep'; names look like 'pharma.component'"
    )


def test_name_of_another_plugin():
    assert reason(other=plugin(Keep)) == (
        "plugin 'other', rexplug_corpus_filters() offers Keep named 'pharma.keep'; its names begin with 'other.'"
    )


def test_clash_names_both():
    class Twin(Keep):
        name = "pharma.keep"

    registry = load_plugins({"pharma": plugin(Keep, Twin)}, installed=False)
    assert registry.failures[0].reason == "plugin 'pharma', rexplug_corpus_filters() offers 'pharma.keep' twice"
    core = plugin(Keep)
    registry = load_plugins({"core": core, "pharma": plugin(Keep)}, installed=False)
    assert registry.failures[0].reason == (
        "plugin 'pharma', rexplug_corpus_filters() offers 'pharma.keep', but plugin 'core' already does"
    )


def test_unknown_hook():
    assert reason(pharma=plugin(Keep, hook="rexplug_corpus_filter")) == (
        "unknown hook 'rexplug_corpus_filter' in plugin 'pharma'; did you mean 'rexplug_corpus_filters'?"
    )


def test_no_hook_at_all():
    assert reason(pharma=SimpleNamespace()) == (
        "plugin 'pharma' offers nothing; list its classes, COMPONENTS = [...], or return them from functions like rexplug_corpus_filters() that are marked with @rexplug.hookimpl"
    )


def test_import_failure_is_cited_where_it_matters(tmp_path, monkeypatch):
    (tmp_path / "broken_plugin.py").write_text("import not_there\n")
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[rexplug]\nbroken = broken_plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = load_plugins()
    assert [failure.plugin for failure in registry.failures] == ["broken"]
    with pytest.raises(PluginError) as caught:
        registry.find(rexplug.CorpusFilter, "lenght")
    assert "no CorpusFilter is called 'lenght'; did you mean 'length'? (installed: " in str(caught.value)
    assert str(caught.value).endswith("plugin 'broken' did not load: ModuleNotFoundError: No module named 'not_there'")
    monkeypatch.setenv("REXPLUG_STRICT", "1")
    with pytest.raises(PluginError) as caught:
        load_plugins()
    assert str(caught.value) == "plugin 'broken' did not load: ModuleNotFoundError: No module named 'not_there'"


def test_two_distributions_with_one_name():
    registry = load_plugins({"ecommerce": plugin(Keep)})
    assert registry.failures[0].reason == "two plugins are called 'ecommerce': one from rexplug, one from this process"


def test_default_plugins_load():
    registry = load_plugins()
    assert registry.failures == []
    assert set(registry.plugins) >= {"core", "ecommerce", "annealing", "guided_mlm"}
