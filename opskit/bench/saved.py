"""A run, or the runs of `--repeat`, kept in a file and read back."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opskit import __version__
from opskit.bench.results import Results, from_saved, to_saved
from opskit.errors import Misuse, os_reason
from opskit.files import whole_file

SCHEMA = "bench-run/1"
REPEATED = "bench-run/2"  # holds several of the first in `runs`


def keep(runs: Sequence[Results], path: str) -> None:
    """Write the runs with their histograms. Raises Unable."""
    document: dict[str, Any] = {"opskit": __version__}
    if len(runs) == 1:
        document |= {"schema": SCHEMA, **to_saved(runs[0])}
    else:
        document |= {"schema": REPEATED, "runs": [to_saved(each) for each in runs]}
    with whole_file(path) as file:
        file.write(json.dumps(document, indent=1).encode() + b"\n")


def load(path: str) -> tuple[Results, ...]:
    """Read what `keep` wrote: one run or more. Raises Misuse for anything else."""
    document = _document(path)
    schema = document.get("schema")
    if schema not in (SCHEMA, REPEATED):
        raise Misuse(f"{path} is not a saved run of this version: its schema is {schema}", hint=_HINT)
    try:
        runs = tuple(from_saved(each) for each in (document["runs"] if schema == REPEATED else [document]))
        if not runs:
            raise ValueError("it holds no run")
        return runs
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
