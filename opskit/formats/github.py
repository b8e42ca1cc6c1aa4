"""Workflow commands of GitHub Actions: lines that its runner turns into annotations.

Its documentation of workflow commands gives the escapes. The runner reads stderr too, so stdout stays data.
"""

import os
from collections.abc import Mapping


def on_runner() -> bool:
    """Whether a runner of GitHub Actions listens."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def command(kind: str, properties: Mapping[str, object], message: str) -> str:
    """`::error title=…::message`; `kind` is error, warning or notice."""
    shown = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{kind} {shown}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
