"""The script of the first minutes on a GPU continues after a failure, and its exit code reports it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

KIT = Path(__file__).parent / "gpu" / "on_gpu.sh"


@pytest.mark.parametrize(
    ("machine", "code", "said"),
    [
        ("echo 'ok   ceilings (0.1 s)'", 0, "machine: exit 0, 0 parts failed"),
        ("echo 'FAIL ceilings: ValueError: no'; echo 'ok   limits (0.1 s)'", 1, "machine: exit 0, 1 parts failed"),
        ("exit 3", 1, "machine: exit 3, 0 parts failed"),
    ],
    ids=["nothing", "a part", "a step"],
)
def test_the_exit_code_distinguishes_failed_steps_from_failed_parts(
    tmp_path: Path, machine: str, code: int, said: str
) -> None:
    # Replaces python: inline scripts of the kit run, and only the first step does what the case describes.
    python = tmp_path / "python"
    python.write_text(f"""#!/bin/sh
case $1 in
    -) exec {sys.executable} "$@" ;;
    */machine.py) {machine} ;;
    */imports.py) echo 'ok   imports (0.1 s)' ;;
    *) exit 9 ;;
esac
""")
    python.chmod(0o755)
    options = {"PATH": "/usr/bin:/bin", "PYTHON": str(python), "OUT": str(tmp_path / "out"), "STEPS": "machine imports"}
    for _ in range(2):  # what failed in an earlier run, whose logs are still there, is not counted again
        done = subprocess.run(
            ["bash", KIT], cwd=Path(__file__).parents[2], env=options, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert said in done.stdout
        assert "imports: exit 0, 0 parts failed" in done.stdout
        assert done.stdout.rstrip().endswith("done, with failures" if code else "done, nothing failed")


def wheel_of(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


def run_pack(*arguments: Path | str, **environment: str) -> None:
    subprocess.run([sys.executable, KIT.parent / "pack.py", *arguments], check=True, env=environment)


def test_packed_wheels_unpack_to_what_pip_would_install_without_sources_and_headers(tmp_path: Path) -> None:
    wheels, packed, site = (tmp_path / name for name in ("wheels", "packed", "site"))
    wheels.mkdir()
    wheel_of(
        wheels / "one-1.0-py3-none-any.whl",
        {
            "one/__init__.py": b"x = 1\n",
            "one/include/one.h": b"int x;",
            "one-1.0.dist-info/METADATA": b"Name: one\n",
            "one-1.0.data/purelib/more/__init__.py": b"y = 2\n",
            "one-1.0.data/scripts/one": b"#!python\n",
        },
    )
    run_pack("pack", wheels, packed)
    assert [path.name for path in packed.iterdir()] == ["site.tar.xz"]
    run_pack("unpack", packed, site)
    assert {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()} == {
        "one/__init__.py": b"x = 1\n",
        "one-1.0.dist-info/METADATA": b"Name: one\n",
        "more/__init__.py": b"y = 2\n",
    }


@pytest.mark.slow
def test_large_libraries_are_packed_once_and_may_be_in_another_folder(tmp_path: Path) -> None:
    wheels, packed, site = (tmp_path / name for name in ("wheels", "packed", "site"))
    wheels.mkdir()
    large = {f"two/{name}.so": bytes([number]) * 31_000_000 for number, name in enumerate("ab")}
    wheel_of(wheels / "two-1.0-py3-none-any.whl", {"two/__init__.py": b"", **large})
    run_pack("pack", wheels, packed)
    made = (packed / "libraries.xz").stat().st_mtime_ns
    run_pack("pack", wheels, packed)
    assert (packed / "libraries.xz").stat().st_mtime_ns == made
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (packed / "libraries.xz").rename(elsewhere / "libraries.xz")
    run_pack("unpack", packed, site, KIT_LIBRARIES=str(elsewhere))
    assert {name: (site / name).read_bytes() for name in large} == large
