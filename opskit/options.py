"""Options that several tools share: the same flag means the same thing everywhere."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no hints on stderr.")]
