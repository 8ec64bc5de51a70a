"""The verticals in verticals/: short distributions of their own that use public names alone, tested as they are installed."""

import ast
import importlib.util
import io
import os
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import rexplug

ROOT = Path(__file__).parents[1]
VERTICALS = sorted(path.parent for path in (ROOT / "verticals").glob("*/pyproject.toml"))
MOST_LINES = 150
"""Lines of code, without data files."""
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(params=VERTICALS, ids=lambda path: path.name)
def vertical(request) -> Path:
    return request.param


def package(vertical: Path) -> Path:
    return vertical / "src" / f"rexplug_{vertical.name}"


def private_names(code: str, *, own: str) -> Iterator[str]:
    """What a module takes from rexplug that is neither public nor of its own package."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("rexplug."))
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").partition(".")
            if module[0] == "rexplug":
                names = {alias.name for alias in node.names} - set(rexplug.__all__)
                yield from [f"rexplug.{module[2]}"] if module[2] else sorted(f"rexplug.{name}" for name in names)
            elif module[0].startswith("rexplug_") and module[0] != own:
                yield module[0]
        elif (
            isinstance(node, ast.Attribute)
            and ast.unparse(node.value) == "rexplug"
            and node.attr not in rexplug.__all__
        ):
            yield f"rexplug.{node.attr}"


def lines_of_code(code: str) -> int:
    """The lines of a module without blank ones, comments and strings that document something."""
    without = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(code).readline) if token.type not in without]
    lines = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def test_private_names_are_found():
    code = (
        "import rexplug.io\nfrom rexplug.text.words import fold\nfrom rexplug import fold, registry\n"
        "from rexplug_toy.words import WORDS\nimport rexplug\nrexplug.fold('x')\nrexplug.lazy\nfrom rexplug_ecommerce import Spam\n"
    )
    assert sorted(private_names(code, own="rexplug_toy")) == [
        "rexplug.io", "rexplug.lazy", "rexplug.registry", "rexplug.text.words", "rexplug_ecommerce",
    ]  # fmt: skip


def test_lines_of_code_are_counted():
    assert (
        lines_of_code('"""Doc."""\n\nX = """a\nb"""\n"""About X."""\n# comment\ndef f():  # here\n    return 1\n') == 4
    )


def test_it_uses_public_names_alone(vertical):
    for file in package(vertical).rglob("*.py"):
        found = list(private_names(file.read_text(encoding="utf-8"), own=package(vertical).name))
        assert found == [], file.relative_to(ROOT)


def test_its_code_is_short(vertical):
    assert sum(lines_of_code(file.read_text(encoding="utf-8")) for file in package(vertical).rglob("*.py")) < MOST_LINES


def test_it_is_linted_and_typed_but_not_part_of_the_wheel(vertical):
    assert package(vertical).name in PYPROJECT["tool"]["mypy"]["packages"]
    assert package(vertical).parent.relative_to(ROOT).as_posix() in PYPROJECT["tool"]["mypy"]["mypy_path"]
    assert "exclude" not in PYPROJECT["tool"]["ruff"]
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert not [path for path in wheel["only-include"] if path.startswith("verticals")]


@pytest.mark.slow
def test_its_tests_pass_where_its_wheel_is_installed(vertical, tmp_path):
    name = package(vertical).name
    assert importlib.util.find_spec(name) is None, f"{name} is already installed here"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}

    def call(*command: str | Path) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "wheels", vertical)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    call("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", tmp_path / "site", wheel)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tmp_path / "site"), environment.get("PYTHONPATH")]))
    assert f"{vertical.name}." in call("-m", "rexplug", "plugins", vertical.name)
    assert "passed" in call("-m", "pytest", "-q", "-p", "no:cacheprovider", vertical / "tests")
