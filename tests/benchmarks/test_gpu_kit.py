"""The script of the first minutes on a GPU continues after a failure, and its exit code reports it."""

import subprocess
import sys
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
