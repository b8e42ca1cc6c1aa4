"""The front door: the table of tools, the lazy root, and the only place that ends the process."""

import errno
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, TypeGuard

import typer
from typer.core import TyperGroup

from opskit import __version__, console
from opskit.errors import OpskitError, os_reason
from opskit.outcome import ErrorNote, ExitCode, Outcome, envelope


@dataclass(frozen=True)
class Tool:
    """One entry of the front door: the module and the name of its typer app, and its line in the help."""

    module: str
    app: str
    help: str


# Only what works is listed; a contract test compares each `help` with the tool's own first line.
TOOLS: dict[str, Tool] = {
    "bench": Tool("opskit.bench.cli", "app", "Load-test a web server with a file of requests."),
    "report": Tool("opskit.bench.cli", "report_app", "Show saved load tests again, in any format, side by side."),
    "range": Tool("opskit.httprange.cli", "app", "Check whether a server really does Range requests."),
    "smoke": Tool("opskit.smoke.cli", "app", "Check a deployment against a file of checks."),
    "wait": Tool("opskit.smoke.cli", "wait_app", "Wait until services answer, then run a command."),
    "target": Tool("opskit.target.cli", "app", "A real server to try the other tools on."),
    "gccmacros": Tool("opskit.gccmacros.cli", "app", "List a compiler's macros; find which flag sets them."),
    "pypi": Tool("opskit.pypi.cli", "app", "A private package index for pip, uv and twine."),
    "zfs": Tool("opskit.zfs.cli", "app", "Prepare mirrored swap: ZFS, md or gmirror."),
}


class LazyTools(TyperGroup):
    """A root that imports a tool only when it is called; help and first-word completion read the table.

    Stubs stand in for the tools, so `get_command` stays cheap and "did you mean" sees every name.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in TOOLS:
            command = load(name)
        return name, command, rest


def load(name: str) -> Any:
    """The real command behind a name in the table; Any, because typer's own click is private."""
    tool = TOOLS[name]
    command = typer.main.get_command(getattr(import_module(tool.module), tool.app))
    command.name = name
    return command


def show_version(asked: bool) -> None:
    """Print the version and end, as an option's callback."""
    if asked:
        sys.stdout.write(f"opskit {__version__}\n")
        raise typer.Exit


app = typer.Typer(cls=LazyTools, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of a fault in opskit itself.")
    ] = False,
) -> int | None:
    """One command for the jobs around a running service.

    Each tool has its own help: opskit TOOL --help.

    Exit codes: 0 good, 1 the thing tested is bad, 2 the call is wrong, 3 it could not be done, 4 stopped
    part-way, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        sys.stdout.write(ctx.get_help() + "\n")
        return ExitCode.USAGE
    return None


for _name, _tool in TOOLS.items():
    app.add_typer(typer.Typer(), name=_name, help=_tool.help)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code. Every exception ends here."""
    console.replace_closed_streams()
    console.tolerate_narrow_encodings()
    try:
        result = typer.main.get_command(app).main(args=list(args), prog_name="opskit", standalone_mode=False)
        return _deliver(result) if isinstance(result, Outcome) else _end(result or ExitCode.OK)
    except OpskitError as error:
        return _fail(args, error.exit_code, error.note(), error.status)
    except typer.TyperException as error:
        return _fail(args, error.exit_code, _usage_note(error))
    except (KeyboardInterrupt, typer.Abort):
        return _fail(args, ExitCode.INTERRUPTED, ErrorNote("interrupted", "interrupted"))
    except BrokenPipeError:
        return _end(ExitCode.OK)
    except Exception as error:
        if _is_lost_output(error):
            return _output_lost(error)
        if _flag(args, "--debug"):
            raise
        return _fail(args, ExitCode.BUG, _bug_note(error))


def _deliver(outcome: Outcome) -> int:
    """Show an outcome on stdout and its errors on stderr."""
    try:
        if outcome.as_json:
            _write_json(outcome.envelope())
        else:
            outcome.render(console.Stdout())
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    for note in outcome.errors:
        console.show_error(note)
    return _end(outcome.exit_code)


def _is_lost_output(error: Exception) -> TypeGuard[OSError]:
    """A full or broken device under stdout; files that a command writes are mapped where they are written."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO)


def _output_lost(error: OSError) -> int:
    _forget_stdout()
    console.show_error(
        ErrorNote("output", f"cannot write to standard output: {os_reason(error)}", "the result was not kept")
    )
    return ExitCode.UNABLE


def _fail(args: Sequence[str], exit_code: int, note: ErrorNote, status: str = "") -> int:
    console.show_error(note)
    if _flag(args, "--json"):
        command = _tool_word(args)
        try:
            _write_json(envelope(command, f"{command}/1", exit_code, {}, (note,), status))
        except OSError:
            return _end(exit_code)
    return _end(exit_code)


def _write_json(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def _end(exit_code: int) -> int:
    """Flush what is left; a reader that went away (`| head -1`) is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    except OSError as error:
        return _output_lost(error)
    return exit_code


def _forget_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's own flush at exit stays quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _flag(args: Sequence[str], name: str) -> bool:
    """Whether a flag stands before `--`; needed where the command line could not be parsed."""
    before = list(args)[: list(args).index("--")] if "--" in args else args
    return name in before


def _tool_word(args: Sequence[str]) -> str:
    return next((arg for arg in args if arg in TOOLS), "opskit")


def _usage_note(error: typer.TyperException) -> ErrorNote:
    """Typer's own usage errors, in the toolkit's form."""
    message = error.format_message().strip().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "opskit"
    return ErrorNote("misuse", message[:1].lower() + message[1:], f"{path} --help shows what it takes")


def _bug_note(error: Exception) -> ErrorNote:
    return ErrorNote(
        "bug",
        f"a fault in opskit {__version__}: {type(error).__name__}: {error}",
        "run `opskit --debug …` for the traceback and report it as CONTRIBUTING.md says",
    )
