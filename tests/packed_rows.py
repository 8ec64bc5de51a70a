"""Packed rows with word starts and salience, as masking policies see them."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

import rexplug
from rexplug_guided_mlm import Guided


class NothingSalient(rexplug.SalienceScorer):
    name: ClassVar[str] = "toy.nothing_salient"

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        return np.zeros(len(document.token_ids), np.uint8)


def guided(**options):
    """Guided masking; the rows below have their salience without a scorer."""
    return Guided(scorer=NothingSalient(), **options)


def row(lengths, salience=None, starts=None):
    """Samples of these lengths ([CLS] and [SEP] included) in one row."""
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)])
    size = int(cu_seqlens[-1])
    maskable = np.ones(size, np.bool_)
    maskable[cu_seqlens[:-1]] = maskable[cu_seqlens[1:] - 1] = False

    def channel(values, default):
        values = np.full(size, default, np.uint8) if values is None else np.resize(np.asarray(values, np.uint8), size)
        return np.where(maskable, values, 0).astype(np.uint8)

    channels = {"salience": channel(salience, 0), "word_start": channel(starts, 1)}
    return rexplug.TokenBatch(np.arange(size) + 10, cu_seqlens, maskable, channels)
