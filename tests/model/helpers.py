"""Helpers of the model tests: special tokens of made-up tokenizers, random tensors, and the relative error of a result."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Special:
    """What a model needs to know of a tokenizer; see `rexplug.model.config_file.SpecialIds`."""

    vocabulary_size: int
    cls: int = 0
    sep: int = 1
    pad: int = 2


SMALL = Special(300, cls=1, sep=2, pad=3)


def random_tensor(*shape, seed=0):
    """Normally distributed fp32 numbers with `requires_grad`."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def linear_inputs(rows, features, outputs, *, bias, residual):
    """The arguments of `rexplug.model.cpu.onednn.linear`: the input, the weight, and a bias and residual, or None for each."""
    return [
        random_tensor(rows, features),
        random_tensor(outputs, features, seed=1),
        random_tensor(outputs, seed=2) if bias else None,
        random_tensor(rows, outputs, seed=3) if residual else None,
    ]


def relative_error(computed, exact):
    """|computed - exact| / |exact|, where `exact` is in fp64."""
    return float(((computed.double() - exact).norm() / exact.norm()).detach())
