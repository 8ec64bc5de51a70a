"""What filters and readers of datatrove have in common: a class that a recipe names, and options that fit its signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from rexplug.corpus.datatrove.blocks import Kind, UnknownBlockError, checked_options, find_block, is_datatrove


class NamedBlock(BaseModel):
    """Checks the fields `class_` and `options`, which subclasses declare with their own documentation."""

    block_kind: ClassVar[Kind]
    class_: str
    options: dict[str, Any]

    @field_validator("class_")
    @classmethod
    def _class_exists(cls, name: str) -> str:
        try:
            find_block(cls.block_kind, name)
        except UnknownBlockError as error:
            raise PydanticCustomError("datatrove_class", "{message}", {"message": str(error)}) from None
        return name

    @field_validator("options")
    @classmethod
    def _options_fit(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "class_" in info.data:
            checked_options(cls.block_kind, info.data["class_"], options)
        return options

    def foreign_classes(self) -> Sequence[type]:
        """The class, if it is not datatrove's own."""
        block = find_block(self.block_kind, self.class_)
        return () if is_datatrove(block) else (block,)

    @property
    def called(self) -> str:
        """`datatrove.` and the name of the class without its package."""
        return f"datatrove.{self.class_.rpartition('.')[2]}"
