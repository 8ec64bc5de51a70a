"""What tests of models share: special tokens of made-up tokenizers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Special:
    """What a model needs to know of a tokenizer; see `rexplug.model.config_file.SpecialIds`."""

    vocabulary_size: int
    cls: int = 0
    sep: int = 1
    pad: int = 2


SMALL = Special(300, cls=1, sep=2, pad=3)
