"""A run kept in a file, and read back."""

import json
from pathlib import Path
from typing import Any

from opskit import __version__
from opskit.bench.results import Results, from_saved, to_saved
from opskit.errors import Misuse, os_reason
from opskit.files import whole_file

SCHEMA = "bench-run/1"


def keep(results: Results, path: str) -> None:
    """Write the run with its histograms. Raises Unable."""
    document = {"opskit": __version__, "schema": SCHEMA, **to_saved(results)}
    with whole_file(path) as file:
        file.write(json.dumps(document, indent=1).encode() + b"\n")


def load(path: str) -> Results:
    """Read what `keep` wrote. Raises Misuse for anything else."""
    document = _document(path)
    schema = document.get("schema")
    if schema != SCHEMA:
        raise Misuse(f"{path} is not a saved run of this version: its schema is {schema}", hint=_HINT)
    try:
        return from_saved(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Misuse(f"{path} is damaged: {type(error).__name__} {error}", hint=_HINT) from error


_HINT = "opskit bench --save run.json URL writes one"


def _document(path: str) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise Misuse(f"{path}: {os_reason(error)}", hint=_HINT) from error
    except (ValueError, RecursionError) as error:
        raise Misuse(f"{path} is not JSON: {error}", hint=_HINT) from error
    if not isinstance(document, dict):
        raise Misuse(f"{path} is not a saved run", hint=_HINT)
    return document
