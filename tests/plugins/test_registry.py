"""What may be registered, and lookups by name. Every message is matched completely."""

import pytest

from rexplug import CorpusFilter, MixingSchedule, PluginError, Verdict
from rexplug.plugins.registry import LoadFailure, Plugin, Registry


class HasDosage(CorpusFilter):
    """Keep documents that state a dose."""

    name = "pharma.has_dosage"

    def judge(self, document):
        return Verdict("mg" in document.text, "no dose")


class Unfinished(CorpusFilter):
    """A filter without its required method `judge`."""

    name = "pharma.unfinished"


class Even(MixingSchedule):
    """Mixes one source alone."""

    name = "pharma.even"

    def weights(self, progress):
        return {"web": 1.0}


def named(name):
    return type("HasDosage", (HasDosage,), {"name": name, "__module__": __name__})


def refusal(component, plugin="pharma", registry=None):
    with pytest.raises(PluginError) as caught:
        (registry or Registry()).check(plugin, "rexplug_corpus_filters", component)
    return str(caught.value)


def filled():
    registry = Registry()
    registry.add("pharma", "rexplug_corpus_filters", HasDosage)
    registry.add("pharma", "rexplug_corpus_filters", named("pharma.short"))
    registry.add("pharma", "rexplug_mixing_schedules", Even)
    return registry


@pytest.mark.parametrize("component", [Even, int, "pharma.has_dosage", HasDosage()])
def test_a_class_of_another_kind_is_refused(component):
    assert refusal(component) == (
        f"plugin 'pharma', rexplug_corpus_filters() offers {component!r}, which is not a subclass of CorpusFilter"
    )


def test_a_missing_method_is_named():
    assert refusal(Unfinished) == (
        "plugin 'pharma', rexplug_corpus_filters() offers Unfinished, which does not implement judge()"
    )


@pytest.mark.parametrize("name", ["", "has_dosage", "Pharma.has_dosage", "pharma.", "pharma.has dosage", "pharma.a.b"])
def test_a_bad_name_is_refused(name):
    assert refusal(named(name)) == (
        f"plugin 'pharma', rexplug_corpus_filters() offers HasDosage named '{name}'; names look like 'pharma.component'"
    )


def test_a_name_that_is_not_text_is_refused():
    assert refusal(named(3)) == (
        "plugin 'pharma', rexplug_corpus_filters() offers HasDosage named '3'; names look like 'pharma.component'"
    )


def test_a_name_begins_with_its_plugin():
    assert refusal(HasDosage, plugin="clinic") == (
        "plugin 'clinic', rexplug_corpus_filters() offers HasDosage named 'pharma.has_dosage'; "
        "its names begin with 'clinic.'"
    )


@pytest.mark.parametrize("name", ["length", "quality.gopher"])
def test_the_core_names_its_components_freely(name):
    Registry().check("core", "rexplug_corpus_filters", named(name))


def test_a_clash_names_both_plugins():
    registry = Registry()
    registry.add("core", "rexplug_corpus_filters", HasDosage)
    assert refusal(HasDosage, registry=registry) == (
        "plugin 'pharma', rexplug_corpus_filters() offers 'pharma.has_dosage', but plugin 'core' already does"
    )


def test_a_name_offered_twice_by_one_plugin_is_refused():
    assert refusal(named("pharma.has_dosage"), registry=filled()) == (
        "plugin 'pharma', rexplug_corpus_filters() offers 'pharma.has_dosage' twice"
    )


def test_a_name_may_serve_two_kinds():
    registry = filled()
    registry.check("pharma", "rexplug_corpus_filters", named("pharma.even"))


def test_find_gives_the_class():
    assert filled().find(CorpusFilter, "pharma.has_dosage") is HasDosage


def not_found(registry, kind, name):
    with pytest.raises(PluginError) as caught:
        registry.find(kind, name)
    return str(caught.value)


def test_find_suggests_the_nearest_name():
    assert not_found(filled(), CorpusFilter, "pharma.has_dosis") == (
        "no CorpusFilter is called 'pharma.has_dosis'; did you mean 'pharma.has_dosage'? "
        "(installed: pharma.has_dosage, pharma.short)"
    )


def test_find_without_a_near_name_lists_what_is_installed():
    assert not_found(filled(), CorpusFilter, "zzz") == (
        "no CorpusFilter is called 'zzz' (installed: pharma.has_dosage, pharma.short)"
    )


def test_find_says_that_the_name_is_of_another_kind():
    assert not_found(filled(), CorpusFilter, "pharma.even") == (
        "no CorpusFilter is called 'pharma.even' ('pharma.even' is a mixing schedule) "
        "(installed: pharma.has_dosage, pharma.short)"
    )


def test_find_cites_what_did_not_load():
    registry = Registry(failures=[LoadFailure("broken", "ModuleNotFoundError: No module named 'not_there'")])
    assert not_found(registry, CorpusFilter, "broken.filter") == (
        "no CorpusFilter is called 'broken.filter' (installed: none); "
        "plugin 'broken' did not load: ModuleNotFoundError: No module named 'not_there'"
    )


def test_components_of_a_kind_are_listed_by_name():
    assert [entry.component.name for entry in filled().of_kind(CorpusFilter)] == ["pharma.has_dosage", "pharma.short"]
    assert {entry.plugin for entry in filled().of_kind(CorpusFilter)} == {"pharma"}


def test_versions_name_every_plugin():
    registry = Registry(plugins={"pharma": Plugin("pharma", "rexplug-pharma", "1.2"), "here": Plugin("here")})
    assert registry.versions() == {"pharma": "1.2", "here": "unknown"}
