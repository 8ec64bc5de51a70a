"""How the models of a family are laid out, and what follows: names and shapes of weights, parameters, operations. No torch.

A family (`rexplug.model.family`) describes itself in these terms, so that checks of checkpoints, plans and MFU count the
same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

Dimension = tuple[int, str]
"""A multiple of `hidden`, `intermediate` or `vocabulary`: `(3, "hidden")`."""
HIDDEN: Dimension = (1, "hidden")
INTERMEDIATE: Dimension = (1, "intermediate")
VOCABULARY: Dimension = (1, "vocabulary")


@dataclass(frozen=True, slots=True)
class Module:
    """A module with a weight `[*sizes]` and, where the config's field `bias` says so, a bias `[sizes[0]]`."""

    name: str
    sizes: tuple[Dimension, ...]
    bias: str | None = None

    @property
    def is_matrix(self) -> bool:
        """Whether tokens are multiplied by its weight, which is what operations are counted of."""
        return len(self.sizes) == 2

    def weights(self, width_of: Mapping[str, int], has: Mapping[str, bool]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of its weight and of its bias; `has` are the config's values of the fields of biases."""
        shape = tuple(multiple * width_of[name] for multiple, name in self.sizes)
        yield f"{self.name}.weight", shape
        if self.bias is not None and has[self.bias]:
            yield f"{self.name}.bias", shape[:1]


@dataclass(frozen=True, eq=False)
class ModelLayout:
    """The modules of a masked language model of a family, by their names in its state dict.

    `encoder` is the prefix of the encoder's modules. `layer` are the modules of a layer, with names below
    `encoder` + `layers` + its number; those in `not_in_first_layer` begin with the second one. With `tied`, a field of
    config.json, the decoder has the embedding's weight. `flags` are the defaults of the config's boolean fields.
    `activation_bytes` are the bytes that a layer keeps per token for its backward pass on a `gpu` (bf16) or a `cpu` (fp32), as
    factors of the hidden and of the intermediate size.
    """

    encoder: str
    embedding: Module
    embedding_norm: Module
    layers: str
    layer: tuple[Module, ...]
    not_in_first_layer: frozenset[str]
    last_norm: Module
    head: tuple[Module, ...]
    decoder: Module
    tied: str
    flags: Mapping[str, bool]
    activation_bytes: Mapping[str, tuple[int, int]]

    @property
    def embedding_weight(self) -> str:
        """Name of the token embedding's weight in the whole model."""
        return f"{self.encoder}{self.embedding.name}.weight"

    @property
    def decoder_weight(self) -> str:
        """Name of the decoder's weight."""
        return f"{self.decoder.name}.weight"

    @property
    def encoder_parts(self) -> tuple[str, ...]:
        """The children of the encoder."""
        return (self.embedding.name.partition(".")[0], self.layers, self.last_norm.name.partition(".")[0])

    def modules(self, num_layers: int) -> Iterator[Module]:
        """Every module of a model with so many layers, under its full name."""
        encoder = [self.embedding, self.embedding_norm]
        for number in range(num_layers):
            encoder += [
                replace(module, name=f"{self.layers}.{number}.{module.name}")
                for module in self.layer
                if number or module.name not in self.not_in_first_layer
            ]
        for module in (*encoder, self.last_norm):
            yield replace(module, name=self.encoder + module.name)
        yield from (*self.head, self.decoder)


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """The size of an encoder: layers, hidden size, intermediate size (a GLU's half), and attention heads.

    `global_layers` attend to the whole sample, the others to `half_window` tokens to either side.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    global_layers: int
    half_window: int
    layout: ModelLayout = field(repr=False)

    def weights(self, rows: int, has: Callable[[str], bool] | None = None) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every weight of the masked language model; a tied decoder has none of its own.

        Args:
            rows: rows of the token embedding.
            has: the value of a boolean field of config.json (biases, tying); the family's default if left out.
        """
        layout = self.layout
        flags = {name: default if has is None else has(name) for name, default in layout.flags.items()}
        weights: dict[str, tuple[int, ...]] = {}
        for module in layout.modules(self.layers):
            weights |= module.weights(self._widths(rows), flags)
        if flags[layout.tied]:
            del weights[layout.decoder_weight]
        return weights

    @property
    def without_embedding(self) -> int:
        """Parameters of the encoder without the token embedding and its norm."""
        layout = self.layout
        kept = [*layout.layer * self.layers, layout.last_norm]
        absent = [module for module in layout.layer if module.name in layout.not_in_first_layer]
        return self._count(kept, 0) - self._count(absent, 0)

    def encoder(self, rows: int) -> int:
        """Parameters of the encoder with an embedding of `rows` tokens."""
        return self.without_embedding + self._count([self.layout.embedding, self.layout.embedding_norm], rows)

    def parameters(self, rows: int) -> int:
        """Parameters of the masked language model, an embedding that is also the decoder's weight counted once."""
        layout = self.layout
        shared = self._products([layout.decoder], rows) if layout.flags[layout.tied] else 0
        return self.encoder(rows) + self._count([*layout.head, layout.decoder], rows) - shared

    def training_flops(
        self, rows: int, *, tokens: float, global_pairs: float, local_pairs: float, masked: float
    ) -> float:
        """Floating-point operations of the forward and backward pass, recomputation not counted.

        As usual for MFU: matrix products only, a multiply-add as two operations, the backward pass as twice the forward
        one. The prediction head counts for masked tokens alone, since it sees no others.

        Args:
            rows: rows of the token embedding.
            tokens: number of tokens.
            global_pairs: pairs of a query and a key in a global layer.
            local_pairs: the same in a local layer.
            masked: number of masked tokens.
        """
        layers = self._products(self.layout.layer, rows) * self.layers
        head = self._products([*self.layout.head, self.layout.decoder], rows)
        pairs = self.global_layers * global_pairs + (self.layers - self.global_layers) * local_pairs
        return 6 * (layers * tokens + masked * head) + 12 * self.hidden * pairs

    def flops_per_token(self, rows: int, *, attended: float, masked: float) -> float:
        """`training_flops` per token of long texts.

        Args:
            rows: rows of the token embedding.
            attended: tokens that a token of a global layer sees: its sample's length, on average over tokens.
            masked: share of the tokens that is masked.
        """
        window = min(attended, 2 * self.half_window + 1)
        return self.training_flops(rows, tokens=1, global_pairs=attended, local_pairs=window, masked=masked)

    def activation_bytes(self, device: str) -> int:
        """Bytes that the layers keep per token for the backward pass, on a `gpu` or a `cpu`."""
        per_hidden, per_intermediate = self.layout.activation_bytes[device]
        return self.layers * (per_hidden * self.hidden + per_intermediate * self.intermediate)

    def _widths(self, rows: int) -> dict[str, int]:
        return {"hidden": self.hidden, "intermediate": self.intermediate, "vocabulary": rows}

    def _count(self, modules: Sequence[Module], rows: int) -> int:
        widths, flags = self._widths(rows), self.layout.flags
        return sum(prod(shape) for module in modules for _, shape in module.weights(widths, flags))

    def _products(self, modules: Sequence[Module], rows: int) -> int:
        widths = self._widths(rows)
        return sum(
            prod(multiple * widths[name] for multiple, name in module.sizes) for module in modules if module.is_matrix
        )
