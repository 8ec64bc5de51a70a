"""The version of rexplug: that of the installed distribution, which packaging takes from the git tag."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("rexplug")
except PackageNotFoundError:  # the folder is on the path, but not installed: there are no plugins either
    __version__ = "0+unknown"
