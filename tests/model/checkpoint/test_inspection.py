"""Inspection of a checkpoint's files; more cases are in tests/foreign/test_checkpoints.py."""

import subprocess
import sys


def test_an_inspection_imports_no_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; from rexplug.model.checkpoint.inspection import inspect_checkpoint; "
        "print(inspect_checkpoint(Path(sys.argv[1])).problems, [name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "['is a bert model'] []\n"
