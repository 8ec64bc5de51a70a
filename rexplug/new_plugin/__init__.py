"""Writes the distribution of a new plugin: components, recipe, sample documents, tests, packaging, CI."""

from rexplug.new_plugin.write import KINDS, write_plugin

__all__ = ["KINDS", "write_plugin"]
