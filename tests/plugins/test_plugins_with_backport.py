"""Discovery does not depend on what else was imported."""

import subprocess
import sys


def test_plugins_load_after_the_importlib_metadata_backport():
    # The backport makes the standard library return its own entry points; training brings it into the process.
    code = (
        "import importlib_metadata\nfrom rexplug.plugins.discovery import load_plugins\n"
        "registry = load_plugins()\nprint(registry.failures, 'core' in registry.plugins)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"
