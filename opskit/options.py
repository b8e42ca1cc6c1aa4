"""Options that several tools share: the same flag means the same thing everywhere."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
# Reaching a server: what every tool that asks one takes.
Header = Annotated[
    list[str] | None,
    typer.Option("-H", "--header", help="Send this header, 'Name: value'; @FILE reads them from a file."),
]
User = Annotated[str, typer.Option("-u", "--user", help="Log in as NAME:PASSWORD, or NAME with OPSKIT_PASSWORD.")]
Insecure = Annotated[bool, typer.Option("-k", "--insecure", help="Do not verify the TLS certificate.")]
CaFile = Annotated[str, typer.Option("--cacert", help="Verify it by the CA certificates in this file.")]
Proxy = Annotated[str, typer.Option("--proxy", help="Go through this HTTP proxy.")]
Junit = Annotated[str, typer.Option("--junit", help="Write JUnit XML to this file; - is stdout.")]

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no hints on stderr.")]
