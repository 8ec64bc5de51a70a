"""Prints the outcomes of two runs side by side, for kill_table.py and kill_command.py."""

from __future__ import annotations

from collections.abc import Mapping


def print_outcomes(killed: Mapping[str, str], undisturbed: Mapping[str, str]) -> bool:
    """Print the hashes of both runs and return whether all are the same."""
    print(f"\n{'':22}{'undisturbed':14}{'killed':14}")
    for key, wanted in undisturbed.items():
        actual = killed.get(key, "missing")
        print(f"{key:22}{wanted:14}{actual:14}{'same' if actual == wanted else 'DIFFERENT'}")
    return killed == undisturbed
