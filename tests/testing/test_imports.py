"""The test kit is imported quickly: what takes seconds to load is loaded when a check needs it."""

import subprocess
import sys

import pytest

from rexplug import testing


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import rexplug.testing", ["numpy", "pydantic", "rexplug.components", "torch"]),
        (
            f"from rexplug.testing import {', '.join(testing.__all__)}",
            ["composer", "datatrove", "torch", "transformers"],
        ),
    ],
    ids=["the package", "every function"],
)
def test_what_is_not_loaded(statement, absent):
    code = f"{statement}\nimport sys\nprint(*{{*{absent}}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
