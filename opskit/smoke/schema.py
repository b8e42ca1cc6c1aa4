"""The JSON Schema of checks files, for editors: made of the same fields that read the files.

Only what draft 4 has as well is used (`definitions`, `anyOf`), because one common engine knows no later one.
"""

from collections.abc import Mapping
from typing import Any

from opskit.smoke.checks import TYPES, probe_type
from opskit.smoke.fields import Field, TextMatch
from opskit.smoke.model import Common, keys_of
from opskit.smoke.reference import summary


def schema() -> dict[str, Any]:
    """The whole document."""
    variable = {"anyOf": [{"type": "string"}, {"type": "number"}]}
    top: dict[str, Any] = {
        "vars": {
            "description": "Values for {name} in any string of the file; {env.NAME} is from the environment.",
            "type": "object",
            "additionalProperties": variable,
        },
        "secret": {
            "description": "Names of [vars] whose values are never shown.",
            "type": "array",
            "items": {"type": "string"},
        },
        "defaults": {
            "description": "Keys for every check that has not its own.",
            **_table(keys_of(Common), required=False),
        },
    }
    types = {name: _type(name) for name in TYPES}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "opskit smoke: a file of checks",
        "type": "object",
        "additionalProperties": False,
        "properties": {**top, **types},
        "definitions": {
            "text-test": TextMatch.definition(),
            **{name: _table({**keys_of(probe_type(name)), **keys_of(Common)}) for name in TYPES},
        },
    }


def _type(name: str) -> dict[str, Any]:
    return {
        "description": summary(name),
        "type": "object",
        "additionalProperties": {"$ref": f"#/definitions/{name}"},
    }


def _table(keys: Mapping[str, Field], *, required: bool = True) -> dict[str, Any]:
    needed = [name for name, each in keys.items() if each.required and required]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"description": each.help, **_own(each)} for name, each in keys.items()},
        **({"required": needed} if needed else {}),
    }


def _own(each: Field) -> dict[str, Any]:
    """A field's schema; beside a $ref a description would be lost, so that stands in an anyOf."""
    own = each.reader.schema()
    return {"anyOf": [own]} if "$ref" in own else own
