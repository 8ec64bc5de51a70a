"""Mask rates in words, for `plan` and `peek`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rexplug.api import MaskRates


def masked_shares(rates: Sequence[MaskRates]) -> str:
    """How much of the salient and of the other tokens is masked, from the first to the last of some moments."""
    salient = [each.salient for each in rates if each.salient is not None]
    plain = [each.plain for each in rates if each.plain is not None]
    if not salient:
        return f"no salient tokens; {_from_to(plain)} of the tokens masked"
    share = f"{rates[0].share_salient:.1%}"
    others = f", {_from_to(plain)} of the others" if plain else ""
    return f"{_from_to(salient)} of the salient tokens masked ({share} of all tokens are salient){others}"


def _from_to(shares: Sequence[float]) -> str:
    first, last = f"{shares[0]:.1%}", f"{shares[-1]:.1%}"
    return first if first == last else f"{first} to {last}"
