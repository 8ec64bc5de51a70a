"""The parts of a recipe about the tokenizer and the encoder."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import Quantity
from rexplug.components.quantities import Positive
from rexplug.recipe.section import SameResult, Section


class Tokenizer(Section):
    """Either `{use: train, vocabulary: 8192}` or `{from: answerdotai/ModernBERT-base}` (a folder or a hub name)."""

    use: Literal["train"] | None = None
    """`train`: train a byte-level BPE on the kept documents."""
    vocabulary: Annotated[Quantity, Field(ge=300, le=1_000_000)] | None = None
    """Size of the trained vocabulary, special tokens included; 8,192 if left out."""
    sample: Positive = 20_000_000
    """Train on at most this many characters, sampled evenly from all sources."""
    from_: str | None = Field(default=None, alias="from")
    """A folder or a hub name with a fast tokenizer that has [CLS], [SEP], [PAD] and [MASK]."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.use is None) == (self.from_ is None):
            raise PydanticCustomError(
                "tokenizer", "write either 'use: train' (with a vocabulary) or 'from: FOLDER or hub name'", {}
            )
        if self.from_ is not None and self.vocabulary is not None:
            raise PydanticCustomError(
                "tokenizer", "'vocabulary' goes with 'use: train'; it has no effect with 'from'", {}
            )
        return self


class Model(Section):
    """The encoder: a size trained from scratch, or a checkpoint to continue from."""

    size: Literal["nano", "micro", "mini", "base", "large"] | None = None
    """nano (a demo), micro 17M, mini 68M, base 150M, large 400M: the shapes of Ettin."""
    from_: str | None = Field(default=None, alias="from")
    """A folder or hub name of a ModernBERT-family checkpoint to start from; needs that checkpoint's tokenizer."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository of `from`. Some repositories keep checkpoints from before the learning rate
    decay there."""
    resize_vocabulary: bool = False
    """Add embeddings (the mean of the existing ones) where the tokenizer has more tokens than the checkpoint of `from`; the
    tokens that both have must have the same ids."""
    attention: Literal["auto", "flash4", "flash3", "flash", "varlen", "sdpa", "blocks", "eager"] = "auto"
    """Attention backend; `auto` takes the fastest that this machine has and logs which: on a GPU FlashAttention 4, 3 or 2,
    whichever package is installed, else torch's own."""
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """Number format of matrix products; weights, the optimizer's state and the loss are fp32. `auto` is bf16 on a GPU and fp32
    on a CPU, where bf16 needs AVX512-BF16 or AMX. `tf32` is for GPUs."""
    residual: Literal["fp32", "bf16"] = "fp32"
    """Number format of the residual stream where `precision` is bf16. bf16 moves less memory (2 to 3 % faster on an H200) and
    rounds the sum after every layer; the effect on quality has not been measured."""
    compile: Annotated[Literal["auto", True, False], SameResult()] = "auto"
    """Compile the layers around attention with torch.compile; `auto` does on a GPU where triton and a C compiler are installed.
    On a CPU compiling takes a minute and is no faster than oneDNN's kernels."""
    deterministic: Annotated[bool, SameResult()] = False
    """Compute the same bits at every run on a GPU, so that a resumed run equals the undisturbed one to the last bit (same
    GPU, same versions of the packages); its cost has not been measured. Training on a CPU always is deterministic. May be changed
    when a run resumes."""
    parallel: Annotated[Literal["auto", "ddp", "fsdp"], SameResult()] = "auto"
    """Data-parallel strategy: `ddp` replicates the model, `fsdp` shards parameters, gradients and optimizer state. `auto` is
    fsdp where these exceed a quarter of a process's memory. May be changed when a run resumes."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.size is None) == (self.from_ is None):
            raise PydanticCustomError(
                "model", "write either 'size' (train from scratch) or 'from' (continue from a checkpoint)", {}
            )
        if self.revision is not None and self.from_ is None:
            raise PydanticCustomError("model", "'revision' goes with 'from'; a new model has none", {})
        if self.resize_vocabulary and self.from_ is None:
            raise PydanticCustomError(
                "model", "'resize_vocabulary' goes with 'from'; a new model fits its tokenizer", {}
            )
        return self
