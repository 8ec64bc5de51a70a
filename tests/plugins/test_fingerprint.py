"""The fingerprint of a plugin covers its own files, wherever its classes are used."""

import importlib
import sys

import pytest

from rexplug.components import CorpusFilter, Verdict
from rexplug.corpus.filters import Length
from rexplug.corpus.sources import Jsonl
from rexplug.plugins.fingerprint import PluginCode

HEAD = "from rexplug import CorpusFilter, Verdict\n"
FILTER = """
class Long(CorpusFilter):
    name = "toy.long"

    def judge(self, document):
        return Verdict.accept() if True else Verdict.drop("short")
"""


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Writes modules into a folder on the path and imports one of them; it is forgotten again afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, files):
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def code(*components, version="1.0"):
    return PluginCode({"toy": version, "core": "0.1.0"}).of(components)


def test_a_package_is_all_its_files(imported, tmp_path):
    toy = imported(
        "toy",
        {
            "toy/__init__.py": HEAD + FILTER,
            "toy/words.txt": "a b",
            "toy/deep/more.py": "x = 1",
            "toy/deep/suite.yaml": "",
        },
    )
    hashes = code(toy.Long())
    assert list(hashes) == ["toy"]
    assert hashes["toy"].startswith("1.0 ")
    assert code(toy.Long()) == hashes
    for name in ("toy/__init__.py", "toy/words.txt", "toy/deep/more.py", "toy/deep/suite.yaml"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text + " ")
        assert code(toy.Long()) != hashes
        (tmp_path / name).write_text(text)
    settings = ("toy/recipe.yaml", "toy/recipes/large.yaml", "toy/suite.yaml")  # no code
    for name in ("toy/__pycache__/a.pyc", "toy/.notes", "beside.py", *settings):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("anything")
    assert code(toy.Long()) == hashes


def test_the_version_is_recorded_beside_the_hash(imported):
    toy = imported("toy", {"toy.py": HEAD + FILTER})
    one, other = code(toy.Long())["toy"], code(toy.Long(), version="1.1")["toy"]
    assert (one.split()[0], other.split()[0]) == ("1.0", "1.1")
    assert one.split()[1] == other.split()[1]


def test_a_module_is_its_file_and_those_beside_it_that_it_imports(imported, tmp_path):
    files = {
        "toy.py": "import helper\nfrom third import limit\n" + HEAD + FILTER, "helper.py": "import fourth\n",
        "third.py": "def limit(): return 3\n", "fourth.py": "x = 4\n", "stranger.py": "x = 5\n",
    }  # fmt: skip
    toy = imported("toy", files)
    hashes = code(toy.Long())
    for name in files:
        (tmp_path / name).write_text(files[name] + "\n")
        assert (code(toy.Long()) == hashes) == (name == "stranger.py"), name
        (tmp_path / name).write_text(files[name])


def test_options_of_options_and_base_classes_count(imported, tmp_path):
    base = imported("base", {"base.py": HEAD + FILTER.replace("Long", "Base").replace("toy.long", "base.base")})
    imported("toy", {"toy.py": "from base import Base\nclass Long(Base):\n    name = 'toy.long'\n"})
    toy = sys.modules["toy"]
    hashes = code(Jsonl(paths="x", filters=(Length(min_words=1), toy.Long())))
    assert list(hashes) == ["base", "toy"]
    assert code({"any": [toy.Long()]}) == hashes
    (tmp_path / "base.py").write_text((tmp_path / "base.py").read_text() + "\n")
    assert code(toy.Long())["base"] != hashes["base"]
    assert base.Base.name == "base.base"


def test_the_core_has_formats_and_its_plugins_no_version(tmp_path):
    from rexplug.plugins.discovery import load_plugins

    registry = load_plugins()
    score = registry.find(CorpusFilter, "ecommerce.product_page")()
    assert PluginCode(registry.versions()).of([Jsonl(paths="x", filters=(Length(min_words=1),))]) == {}
    hashes = PluginCode(registry.versions()).of([score])
    assert list(hashes) == ["ecommerce"]
    assert " " not in hashes["ecommerce"]


def test_a_class_without_a_source_file_has_a_fingerprint():
    class Typed(CorpusFilter):
        name = "toy.typed"

        def judge(self, document):
            return Verdict(True)

    Typed.__module__ = "typed_in"
    assert list(code(Typed())) == ["toy"]
