"""Copies of the plugin files that a recipe names, kept with its run, so that the run can be read without the originals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rexplug.io.atomic import remove, replacing
from rexplug.plugins.files import PluginFile
from rexplug.plugins.fingerprint import code_files
from rexplug.recipe import Recipe


@dataclass(frozen=True)
class PluginCopies:
    """The plugin files of a recipe, in memory: a run that starts over removes its copies, which may be what the recipe names."""

    recipe: Recipe
    content: dict[str, bytes]
    """Path below the folder of copies -> content."""

    @classmethod
    def of(cls, recipe: Recipe) -> PluginCopies:
        """Read the files that a recipe names."""
        content = {}
        for name in recipe.plugins:
            for path in code_files(Path(name)):
                content[path.relative_to(Path(name).parent).as_posix()] = path.read_bytes()
        return cls(recipe, content)

    @property
    def versions(self) -> dict[str, str]:
        """Plugin -> `file`, in place of a version."""
        return {PluginFile(Path(name)).name: "file" for name in self.recipe.plugins}

    def write(self, folder: Path) -> Recipe:
        """Write the copies; returns the recipe as it is written beside the folder, which names them.

        Args:
            folder: the folder of copies; what is in there and not written now is removed.
        """
        if self.content:
            with replacing(folder) as new:
                for path, content in self.content.items():
                    (new / path).parent.mkdir(parents=True, exist_ok=True)
                    (new / path).write_bytes(content)
        else:
            remove(folder)
        names = tuple(f"{folder.name}/{Path(name).name}" for name in self.recipe.plugins)
        return self.recipe.model_copy(update={"plugins": names})
