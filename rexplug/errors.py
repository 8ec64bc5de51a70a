"""What rexplug raises when the user can mend it. Anything else that escapes is our own mistake."""

from __future__ import annotations


class RexplugError(Exception):
    """A mistake that the user can mend; its text says where, what is wrong and what would be right."""


class RecipeError(RexplugError):
    """The recipe, an override or an option on the command line is wrong."""


class PluginError(RexplugError):
    """A plugin did not load, breaks its contract, or a component that was asked for does not exist."""


class DataError(RexplugError):
    """A source, a store, a checkpoint or another file cannot be read or does not hold what it should."""


class RankLost(DataError):
    """Another process of the run is gone, and this one ends for that reason alone."""


class RunInterrupted(RexplugError):
    """The run was asked to stop (Ctrl-C, SIGTERM); what was made so far is saved and the next run continues it."""


class NotApplicable(RexplugError):
    """A model cannot do what an evaluator measures; the result says so in place of a figure."""
