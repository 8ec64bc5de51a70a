"""Plugins in files: found, named and imported by their content."""

import pickle
import sys
from pathlib import Path

import pytest

import rexplug
from rexplug.components import CorpusFilter, Document
from rexplug.errors import PluginError
from rexplug.plugins.discovery import add_plugin_file
from rexplug.plugins.files import PluginFile, loaded_files, unpickle
from rexplug.plugins.fingerprint import PluginCode
from rexplug.plugins.registry import Registry

FILTER = '''\
from typing import ClassVar
import rexplug

class Long(rexplug.CorpusFilter):
    """Keep long texts."""

    name: ClassVar[str] = "legal.long"
    least: int = {least}
    """Fewest characters."""

    def judge(self, document):
        return rexplug.Verdict(len(document.text) >= self.least, "short")

COMPONENTS = [Long]
'''


def plugin(folder: Path, least: int = 5, name: str = "legal.py") -> PluginFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FILTER.format(least=least))
    return PluginFile(path)


def long_filter(file: PluginFile) -> CorpusFilter:
    registry = Registry()
    add_plugin_file(registry, file)
    return registry.find(CorpusFilter, "legal.long")()


def test_a_file_lists_its_components(tmp_path):
    registry = Registry()
    add_plugin_file(registry, plugin(tmp_path))
    (entry,) = registry.entries.values()
    assert (entry.component.name, entry.kind, entry.plugin) == ("legal.long", CorpusFilter, "legal")
    assert registry.plugins["legal"].origin == str(tmp_path / "legal.py")
    assert registry.versions() == {"legal": "file"}


def test_a_folder_is_a_plugin_of_several_files(tmp_path):
    plugin(tmp_path, 7, "legal/long.py")
    (tmp_path / "legal" / "__init__.py").write_text("from .long import COMPONENTS\n")
    assert long_filter(PluginFile(tmp_path / "legal")).least == 7


def test_an_edit_of_one_file_of_a_folder_is_another_module(tmp_path):
    (tmp_path / "legal").mkdir()
    (tmp_path / "legal" / "__init__.py").write_text("from .long import COMPONENTS\n")
    plugin(tmp_path, 5, "legal/long.py")
    before = long_filter(PluginFile(tmp_path / "legal"))
    plugin(tmp_path, 9, "legal/long.py")
    after = long_filter(PluginFile(tmp_path / "legal"))
    assert (before.least, after.least) == (5, 9)


def test_an_interrupted_import_is_repeated(tmp_path):
    file = plugin(tmp_path, 3)
    interrupted = (
        "from pathlib import Path\n\nif not Path(__file__).with_name('go').exists():\n    raise KeyboardInterrupt\n"
    )
    file.path.write_text(interrupted + file.path.read_text())
    with pytest.raises(KeyboardInterrupt):
        long_filter(file)
    (tmp_path / "go").touch()
    assert long_filter(file).least == 3


def test_an_edit_is_another_module_and_objects_keep_their_code(tmp_path):
    before = long_filter(plugin(tmp_path, 5))
    after = long_filter(plugin(tmp_path, 9))  # in the same second, of the same size: bytecode does not tell them apart
    assert (before.least, after.least) == (5, 9)
    assert type(before) is not type(after)
    assert long_filter(PluginFile(tmp_path / "legal.py")).__class__ is type(after)


def test_a_copy_elsewhere_is_the_same_module_with_the_same_fingerprint(tmp_path):
    here, there = long_filter(plugin(tmp_path / "a")), long_filter(plugin(tmp_path / "b"))
    assert type(here) is type(there)
    assert PluginCode({}).of([here]) == PluginCode({}).of([there])


def test_the_fingerprint_follows_the_content(tmp_path):
    one = PluginCode({"legal": "file"}).of([long_filter(plugin(tmp_path, 5))])
    other = PluginCode({"legal": "file"}).of([long_filter(plugin(tmp_path, 9))])
    assert one != other
    assert one["legal"].startswith("file ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.py", None, "there is no such file"),
        (f"{'n' * 300}.py", None, "the file cannot be read: File name too long"),
        ("legal.txt", "", "this is not a Python file; name legal.py, or a folder legal with an __init__.py"),
        ("empty.py", "", "plugin 'empty' offers nothing; list its classes, COMPONENTS = [...], or return them from functions like "
         "rexplug_corpus_filters() that are marked with @rexplug.hookimpl"),
        ("legal-v2.py", "", "a plugin has the name of its file, and 'legal-v2' cannot be the name of a plugin (lower-case letters, "
         "digits and underscores, a letter first); rename the file"),
        ("stops.py", "import sys\n\nsys.exit(3)\n", "SystemExit: 3 ({path}:3)"),
        ("raises.py", "def f():\n    raise ValueError('no')\n\n\nf()\n", "ValueError: no ({path}:2)"),
        ("syntax.py", "def f(:\n", "SyntaxError: invalid syntax (syntax.py, line 1)"),
        ("listed.py", "COMPONENTS = 3\n", "plugin 'listed', COMPONENTS is 3; write a list of classes"),
        ("listed.py", "COMPONENTS = [3]\n", "plugin 'listed', COMPONENTS holds 3, which is not a class"),
        ("listed.py", "COMPONENTS = [dict]\n", "plugin 'listed', COMPONENTS holds dict, which is not a component; subclass one of "
         "DocumentSource, CorpusFilter, Labeller, MixingSchedule, MaskingPolicy, SalienceScorer, Evaluator"),
        ("other.py", FILTER.format(least=1), "plugin 'other', COMPONENTS offers Long named 'legal.long'; its names begin with "
         "'other.'"),
        ("legal.py", FILTER.format(least=1) + "COMPONENTS *= 2\n", "plugin 'legal', COMPONENTS offers 'legal.long' twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(PluginError) as error:
        add_plugin_file(Registry(), PluginFile(path))
    assert str(error.value) == message.format(path=path)


def test_a_folder_without_a_module_is_refused(tmp_path):
    with pytest.raises(
        PluginError, match=r"^the folder has no __init__\.py; name a Python file, or a folder with one$"
    ):
        add_plugin_file(Registry(), PluginFile(tmp_path))


def test_a_file_and_an_installed_plugin_of_one_name(tmp_path):
    registry = Registry()
    add_plugin_file(registry, plugin(tmp_path / "a"))
    with pytest.raises(PluginError) as error:
        add_plugin_file(registry, plugin(tmp_path / "b", 9))
    places = [tmp_path / "a" / "legal.py", tmp_path / "b" / "legal.py"]
    assert str(error.value) == f"two plugins are called 'legal': one from {places[0]}, one from {places[1]}"


def forget(name):
    """Forget a module, as a process that has not imported it."""
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == name]:
        del sys.modules[loaded]


def test_another_process_unpickles_components(tmp_path):
    data = pickle.dumps(long_filter(plugin(tmp_path, 6)))
    (name,) = (name for name, path in loaded_files().items() if path == str(tmp_path / "legal.py"))
    files = {name: str(tmp_path / "legal.py"), "rexplug_file_gone_0123": str(tmp_path / "gone.py")}
    forget(name)
    received = unpickle(data, files)
    assert received.judge(Document("1", "12345")) == rexplug.Verdict(False, "short")


def test_a_file_that_changes_during_a_run_is_named(tmp_path):
    data = pickle.dumps(long_filter(plugin(tmp_path, 6)))
    (name,) = (name for name, path in loaded_files().items() if path == str(tmp_path / "legal.py"))
    forget(name)
    plugin(tmp_path, 7)
    with pytest.raises(PluginError) as error:
        unpickle(data, {name: str(tmp_path / "legal.py")})
    assert str(error.value) == (
        f"{tmp_path / 'legal.py'} was changed or removed while a run was using it; start the command again"
    )
