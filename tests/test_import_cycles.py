"""No module of rexplug or its plugins imports itself through others."""

import pytest
from import_cycles import KINDS, PACKAGES, cycles, imports_of, modules_of


@pytest.fixture(scope="module")
def imports():
    return imports_of(modules_of(PACKAGES))


def test_no_cycle_when_modules_are_loaded(imports):
    assert cycles([found_import for found_import in imports if found_import.kind == "top"]) == []


def test_no_cycle_of_any_kind(imports):
    assert cycles(imports) == []


def test_every_package_and_every_kind_of_import_is_read(imports):
    assert {found_import.kind for found_import in imports} == set(KINDS)
    assert {found_import.importer.partition(".")[0] for found_import in imports} == {
        package.name for package in PACKAGES
    }


@pytest.fixture
def toy(tmp_path):
    """Makes a package `toy` of files (name -> text) and returns its imports."""

    def make(**files):
        for name, text in files.items():
            path = tmp_path / "toy" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "toy" / "__init__.py").write_text("from toy.a import A\n")
        return imports_of(modules_of([tmp_path / "toy"]))

    return make


@pytest.mark.parametrize(
    ("back", "kind"),
    [
        ("from toy.a import A", "top"),
        ("import toy.a", "top"),
        ("from . import a", "top"),
        ("from .a import A", "top"),
        ("try:\n    from toy import a\nexcept ImportError:\n    pass", "top"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy.a import A", "type_checking"),
        ("import typing\nif typing.TYPE_CHECKING:\n    from toy.a import A", "type_checking"),
        ("def f():\n    from toy.a import A", "function"),
        ("class C:\n    async def f(self):\n        if self:\n            import toy.a", "function"),
    ],
)
def test_two_modules_that_import_each_other(toy, back, kind):
    imports = toy(a="from toy.b import B", b=back)
    assert [found_import.kind for found_import in imports if found_import.importer == "toy.b"] == [kind]
    assert cycles(imports) == [("toy.a", "toy.b")]


def test_a_cycle_by_way_of_a_package(toy):
    assert cycles(toy(a="import toy.c", c="import toy.b", b="from toy import A")) == [
        ("toy", "toy.a", "toy.b", "toy.c")
    ]


def test_siblings_and_packages_that_collect_their_modules_are_not_cycles(toy):
    imports = toy(a="from toy.b import B", b="import toy.c", c="import os\nfrom toy_of_others import a")
    assert [(found_import.importer, found_import.imported) for found_import in imports] == [
        ("toy", "toy.a"),
        ("toy.a", "toy.b"),
        ("toy.b", "toy.c"),
    ]
    assert cycles(imports) == []
