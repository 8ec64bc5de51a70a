"""Models whose fields are documented by the string under them, which is read when it is asked for.

pydantic can read these strings itself (`use_attribute_docstrings`), but does so for every class as it is defined: that took most
of the time of `rexplug check`.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rexplug.renamed import Renamed, current_options


class Documented(BaseModel):
    """A model that puts the string under each field into its JSON Schema, and accepts the former names of its fields."""

    renamed_options: ClassVar[Mapping[str, Renamed]] = {}
    """Former name of an option -> what replaces it. The former name is accepted with a warning."""

    @model_validator(mode="before")
    @classmethod
    def _take_former_names(cls, options: Any) -> Any:
        return current_options(options, cls.renamed_options, getattr(cls, "name", "") or cls.__name__)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of pydantic, with a description for every field that has one."""
        reference = handler(schema)
        properties = handler.resolve_ref_schema(reference).get("properties", {})
        for name, text in field_docs(cls).items():
            for key in (name, cls.model_fields[name].alias):
                if key in properties:
                    properties[key].setdefault("description", text)
        return reference


@lru_cache(maxsize=1024)
def field_docs(model: type[BaseModel]) -> Mapping[str, str]:
    """Field -> its documentation: `Field(description=...)`, or else the string under it in the class or a base class."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            docs |= strings_under_fields(base)
    fields = model.model_fields
    given = {name: field.description for name, field in fields.items() if field.description is not None}
    return {name: given.get(name, docs.get(name, "")) for name in fields if name in given or name in docs}


def strings_under_fields(model: type) -> dict[str, str]:
    """Field -> the string under it in the class, of a model or a dataclass; fields of base classes are left out."""
    node = _classes_in(_file_of(model)).get(model.__qualname__)
    docs = {}
    for field, text in zip(node.body, node.body[1:], strict=False) if node is not None else ():
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            value: Any = text.value.value if isinstance(text.value, ast.Constant) else None
            if isinstance(value, str):
                docs[field.target.id] = inspect.cleandoc(value)
    return docs


def _file_of(model: type) -> str:
    """The file that defines a class; of one that was defined in a notebook, its cell."""
    for member in tuple(vars(model).values()):
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isfunction(function) and function.__qualname__.startswith(f"{model.__qualname__}."):
            file = str(function.__code__.co_filename)
            if model.__qualname__ in _classes_in(file):  # not for methods that `dataclass` adds
                return file
    return str(getattr(sys.modules.get(model.__module__), "__file__", None) or "")


@lru_cache(maxsize=256)
def _classes_in(file: str) -> Mapping[str, ast.ClassDef]:
    """Qualified name -> class, of a source file."""
    classes: dict[str, ast.ClassDef] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                classes[prefix + child.name] = child
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                visit(child, f"{prefix}{child.name}.<locals>.")
            else:
                visit(child, prefix)

    try:
        visit(ast.parse("".join(linecache.getlines(file))), "")
    except SyntaxError:
        return {}
    return classes
