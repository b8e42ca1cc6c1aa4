"""The types of checks, one file each in the same shape: a frozen dataclass `Check` that can look.

A new type is a file with that class, and its name in TYPES; keys, schema and documents follow from its fields.
"""

from functools import cache
from importlib import import_module
from typing import Any

TYPES = (
    "http",
    "range",
    "bench",
    "index",
    "tcp",
    "tls",
    "dns",
    "process",
    "port",
    "command",
    "file",
    "swap",
    "zpool",
    "macro",
)


@cache
def probe_type(name: str) -> Any:
    """The class of a type of check; only the types that a file uses are imported."""
    return import_module(f"opskit.smoke.checks.{name}").Check
