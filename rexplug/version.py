"""The version of rexplug."""

__version__ = "0.1.0"
