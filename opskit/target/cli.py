"""`opskit target`: options in, a server that runs until it is told to stop."""

from signal import SIGINT
from typing import TYPE_CHECKING, Annotated

import typer

from opskit import console, listen, options
from opskit.errors import Misuse
from opskit.outcome import ExitCode

if TYPE_CHECKING:
    from opskit.target.defects import Defect

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def target(
    host: Annotated[str, typer.Option(help="Listen on this name or address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Listen on this port; 0 takes any free one.")] = 8080,
    range_defect: Annotated[str, typer.Option(help="Have this fault; a wrong name lists them.")] = "",
    quiet: options.Quiet = False,
) -> int:
    """A real server to try the other tools on.

    Its URL is the first line of output. GET / lists its paths: search results, any number of bytes with
    correct Range support, any status, delays, chunked and dripping bodies, an echo. The answers are the same
    on every run. It serves no file and keeps nothing.

    Ctrl-C or SIGTERM ends it.

    Examples:

      opskit target              # then: curl http://127.0.0.1:8080/

      opskit target --port 0     # any free port

      opskit target --range-defect ifrange-ignored

    Exit codes: 0 ended by SIGTERM, 3 it cannot listen there, 130 ended by Ctrl-C.
    """
    from opskit.target.pages import site
    from opskit.target.server import serve

    pages = site(_defect(range_defect)) if range_defect else site()
    listener = listen.listening_socket(host, port)
    if not listen.is_loopback(host) and not quiet:
        console.warn(f"everyone who can reach {host} can use this server")
    signal, counts = serve(listener, pages, lambda: console.say(listen.url_of(listener, path="")))
    if not quiet:
        console.talk(f"requests answered: {counts.requests}, connections: {counts.connections}")
    return ExitCode.INTERRUPTED if signal == SIGINT else ExitCode.OK


def _defect(name: str) -> "Defect":
    """The fault of that name. Raises Misuse with all the names."""
    from opskit.target.defects import DEFECTS

    if name not in DEFECTS:
        raise Misuse(f"there is no fault '{name}'", hint=f"the faults are {', '.join(DEFECTS)}")
    return DEFECTS[name]
