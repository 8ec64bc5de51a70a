"""How to install the plugins that a recipe, or a run, needs and that are missing."""

from __future__ import annotations

from pydantic import ValidationError

from rexplug.plugins.registry import Registry
from rexplug.run_directory import RunDirectory, read_json


def missing_plugins(run: RunDirectory, registry: Registry) -> list[str]:
    """A line for each plugin that was installed when the run was made and is not now: how to install it."""
    recorded = read_json(run.manifest) if run.manifest.is_file() else {}
    versions, distributions = recorded.get("plugins", {}), recorded.get("distributions", {})
    lines = []
    for name in sorted(set(versions) - set(registry.plugins)):
        if versions[name] == "file":  # the recipe names the file
            continue
        if name in distributions:
            lines.append(f"the run was made with plugin '{name}': pip install {distributions[name]}=={versions[name]}")
        else:
            lines.append(f"the run was made with plugin '{name}', which is not installed")
    return lines


def installation_hints(error: ValidationError) -> list[str]:
    """How to install each plugin that is missing. The name of its distribution is not known; a guess could be another package."""
    contexts = [details.get("ctx", {}) for details in error.errors(include_url=False, include_input=False)]
    return [
        f"plugin '{name}' is not installed: pip install the distribution that brings it (ask the author of the recipe for its "
        f"name, often rexplug-{name.replace('_', '-')}), or name its file or folder under 'plugins'"
        for name in sorted({context["plugin"] for context in contexts if context.get("plugin")})
    ]
