"""Entry points: broken plugins are left out and listed, the others keep working."""

import sys
from types import SimpleNamespace

import pytest

from rexplug import CorpusFilter, PluginError, Verdict, hookimpl
from rexplug.plugins.discovery import add_plugin_file, load_plugins
from rexplug.plugins.files import PluginFile
from rexplug.plugins.registry import Registry


class HasDosage(CorpusFilter):
    """Keep documents that state a dose."""

    name = "pharma.has_dosage"

    def judge(self, document):
        return Verdict("mg" in document.text, "no dose")


def plugin(hook):
    """A plugin object with one hook."""
    return SimpleNamespace(rexplug_corpus_filters=hookimpl(hook))


def failures(registry):
    return {failure.plugin: failure.reason for failure in registry.failures}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts distributions with an entry point on the path, as pip would."""
    modules = []

    def put(distribution, entry_point, module, code, version="1.0"):
        folder = tmp_path / f"{distribution}-{version}"
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[rexplug]\n{entry_point} = {module}\n")
        (folder / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(folder)
        modules.append(module)

    yield put
    for module in modules:
        sys.modules.pop(module, None)


PHARMA = '''"""Pharmacy texts."""
import rexplug


class HasDosage(rexplug.CorpusFilter):
    """Keep documents that state a dose."""

    name = "pharma.has_dosage"

    def judge(self, document):
        return rexplug.Verdict("mg" in document.text, "no dose")


@rexplug.hookimpl
def rexplug_corpus_filters():
    return [HasDosage]
'''


def test_an_installed_plugin_comes_with_its_distribution(install):
    install("rexplug-pharma", "pharma", "rexplug_pharma_installed", PHARMA, version="2.1")
    registry = load_plugins()
    pharma = registry.plugins["pharma"]
    assert (pharma.distribution, pharma.version) == ("rexplug-pharma", "2.1")
    assert registry.find(CorpusFilter, "pharma.has_dosage").__module__ == "rexplug_pharma_installed"
    assert registry.versions()["pharma"] == "2.1"


def test_a_broken_neighbour_changes_nothing(install):
    install("rexplug-broken", "broken", "rexplug_broken_import", "import not_there\n")
    install("rexplug-pharma", "pharma", "rexplug_pharma_beside", PHARMA)
    registry = load_plugins()
    assert failures(registry) == {"broken": "ModuleNotFoundError: No module named 'not_there'"}
    assert registry.failures[0].distribution == "rexplug-broken"
    assert registry.find(CorpusFilter, "pharma.has_dosage")


def test_a_syntax_error_is_set_aside(install):
    install("rexplug-broken", "broken", "rexplug_broken_syntax", "def (:\n")
    (reason,) = failures(load_plugins()).values()
    assert reason.startswith("SyntaxError: ")


def test_a_module_that_exits_is_set_aside(install):
    install("rexplug-exits", "exits", "rexplug_exits", "import sys\nsys.exit('no licence')\n")
    assert failures(load_plugins()) == {"exits": "SystemExit: no licence"}


def test_a_module_that_is_not_there_is_set_aside(install, tmp_path):
    install("rexplug-gone", "gone", "rexplug_gone", "")
    (tmp_path / "rexplug-gone-1.0" / "rexplug_gone.py").unlink()
    assert failures(load_plugins()) == {"gone": "ModuleNotFoundError: No module named 'rexplug_gone'"}


def test_two_distributions_with_one_entry_point(install):
    install("rexplug-pharma", "pharma", "rexplug_pharma_first", PHARMA)
    install("other-pharma", "pharma", "rexplug_pharma_second", PHARMA)
    registry = load_plugins()
    first = registry.plugins["pharma"].distribution
    (second,) = {"rexplug-pharma", "other-pharma"} - {first}
    assert failures(registry) == {"pharma": f"two plugins are called 'pharma': one from {first}, one from {second}"}


def test_an_extra_plugin_does_not_replace_an_installed_one(install):
    install("rexplug-pharma", "pharma", "rexplug_pharma_taken", PHARMA)
    assert failures(load_plugins({"pharma": plugin(lambda: [HasDosage])})) == {
        "pharma": "two plugins are called 'pharma': one from rexplug-pharma, one from this process"
    }


def test_without_anything_the_registry_is_empty():
    registry = load_plugins(installed=False)
    assert (registry.entries, registry.plugins, registry.failures) == ({}, {}, [])


def test_loading_leaves_no_files():
    for _ in range(2):
        assert load_plugins({"pharma": plugin(lambda: [HasDosage])}, installed=False).failures == []


def test_a_hook_returns_a_list():
    assert failures(load_plugins({"pharma": plugin(lambda: HasDosage)}, installed=False)) == {
        "pharma": f"plugin 'pharma', rexplug_corpus_filters() returned {HasDosage!r}; it returns a list of classes"
    }


def test_a_hook_takes_no_arguments():
    (reason,) = failures(load_plugins({"pharma": plugin(lambda config: [])}, installed=False)).values()
    assert "Argument(s) {'config'} are declared in the hookimpl but can not be found in the hookspec" in reason
    assert "\n" not in reason


def test_a_hook_that_raises_is_the_failure_of_its_plugin():
    def broken():
        raise RuntimeError("no lexicon")

    registry = load_plugins({"bad": plugin(broken), "pharma": plugin(lambda: [HasDosage])}, installed=False)
    assert failures(registry) == {"bad": "RuntimeError: no lexicon"}
    assert list(registry.plugins) == ["pharma"]


def test_a_plugin_is_registered_completely_or_not_at_all():
    registry = load_plugins({"pharma": plugin(lambda: [HasDosage, int])}, installed=False)
    assert (registry.entries, registry.plugins) == ({}, {})
    assert failures(registry) == {
        "pharma": "plugin 'pharma', rexplug_corpus_filters() offers <class 'int'>, which is not a subclass of CorpusFilter"
    }


@pytest.mark.parametrize("value", ["0", "", "yes"])
def test_only_one_is_strict(monkeypatch, value):
    monkeypatch.setenv("REXPLUG_STRICT", value)
    assert len(load_plugins({"pharma": SimpleNamespace()}, installed=False).failures) == 1


def test_strict_makes_a_failure_fatal(monkeypatch):
    monkeypatch.setenv("REXPLUG_STRICT", "1")
    with pytest.raises(PluginError) as caught:
        load_plugins({"pharma": SimpleNamespace()}, installed=False)
    assert str(caught.value) == (
        "plugin 'pharma' did not load: plugin 'pharma' offers nothing; "
        "list its classes, COMPONENTS = [...], or return them from functions like rexplug_corpus_filters() that are marked with "
        "@rexplug.hookimpl"
    )


def test_options_that_pydantic_cannot_build_are_the_plugins_failure():
    class Odd:
        pass

    class HasOdd(HasDosage):
        """Keep documents that are odd."""

        name = "pharma.has_odd"

        odd: Odd

    registry = load_plugins({"pharma": plugin(lambda: [HasOdd])}, installed=False)
    assert failures(registry)["pharma"].startswith(
        "plugin 'pharma', rexplug_corpus_filters() offers HasOdd, whose options cannot be tried: PydanticSchemaGenerationError: "
        "Unable to generate pydantic-core schema"
    )
    assert not registry.entries


@pytest.mark.parametrize(
    ("needed", "install"),
    [(2, "a newer rexplug"), (0, "a newer version of the plugin"), ("x", "a newer version of the plugin")],
)
def test_a_plugin_for_another_version_of_the_contract_is_refused(needed, install):
    registry = load_plugins({"pharma": SimpleNamespace(PLUGIN_API=needed, COMPONENTS=[])}, installed=False)
    assert [failure.reason for failure in registry.failures] == [
        f"plugin 'pharma' needs plugin API {needed!r}, but this rexplug has 1; install {install}"
    ]


def test_the_time_of_an_import_is_kept():
    assert load_plugins().plugins["ecommerce"].seconds > 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "@rexplug.hookimpl\ndef rexplug_corpus_filters():\n    raise KeyError('words')",
            "KeyError: 'words' ({file}:4)",
        ),
        ("def __getattr__(name):\n    raise SystemExit(name)", "SystemExit: PLUGIN_API ({file}:3)"),
    ],
)
def test_a_plugin_file_whose_code_fails_after_its_import_does_not_load(tmp_path, code, reason):
    file = tmp_path / "pharma.py"
    file.write_text(f"import rexplug\n{code}\n")
    with pytest.raises(PluginError) as caught:
        add_plugin_file(Registry(), PluginFile(file))
    assert str(caught.value) == reason.format(file=file)


def test_a_name_that_became_an_option():
    with pytest.warns(UserWarning, match="shadows an attribute"):

        class Typed(CorpusFilter):
            name: str = "pharma.typed"

            def judge(self, document):
                return Verdict(True)

    registry = load_plugins({"pharma": SimpleNamespace(COMPONENTS=[Typed])}, installed=False)
    assert failures(registry)["pharma"] == (
        "plugin 'pharma', COMPONENTS offers Typed, whose `name` is an option; write `name = \"pharma.component\"`, or ClassVar[str] "
        "as its type"
    )
