"""`opskit smoke` and `opskit wait`: options in, checks run, reports out."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from opskit.options import Json, Junit, Quiet
from opskit.outcome import ErrorNote, ExitCode, Outcome
from opskit.verbs import DefaultVerb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opskit.console import Stdout
    from opskit.smoke.load import Mistake
    from opskit.smoke.model import Checks, Report

Many = list[str] | None


class SmokeVerbs(DefaultVerb):
    default = "run"


app = typer.Typer(cls=SmokeVerbs, add_completion=False, rich_markup_mode=None)


@app.callback()
def smoke() -> None:
    """Check a deployment against a file of checks.

    Checks are tables in a TOML file. It says why a check fails, and every
    mistake in the file with its place. The verb run may be left out.

    \b
      opskit smoke checks.toml
      opskit smoke checks.toml --only 'http.*' --junit smoke.xml
      opskit smoke add http http://127.0.0.1:8080/ >> checks.toml
      opskit smoke types http
      opskit smoke checks.toml --every 1m --on-fail './page-me'

    Exit codes: 0 all passed, 1 a check failed, 2 the file or the call is
    wrong, 3 something could not be evaluated, 130 interrupted.
    """


@app.command()
def run(
    files: Annotated[list[str], typer.Argument(metavar="CHECKS.toml...", help="Files of checks, taken together.")],
    only: Annotated[Many, typer.Option(metavar="NAME", help="Run only these, and what they need: http.home, 'http.*'.")] = None,
    skip: Annotated[Many, typer.Option(metavar="NAME", help="Leave these out.")] = None,
    tag: Annotated[Many, typer.Option(metavar="TAG", help="Run only checks with this tag, and what they need.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the checks; run none.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End with the first failure.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for failures.")] = False,
    no_command: Annotated[bool, typer.Option("--no-command", help="Refuse files that start programs of their own.")] = False,
    as_json: Json = False,
    junit: Junit = "",
    tap: Annotated[str, typer.Option(metavar="FILE", help="Write TAP to this file; - is stdout.")] = "",
    markdown: Annotated[str, typer.Option(metavar="FILE", help="Write Markdown to this file; - is stdout.")] = "",
    prometheus: Annotated[str, typer.Option(metavar="FILE", help="Write metrics to this file; - is stdout.")] = "",
    nagios: Annotated[bool, typer.Option("--nagios", help="Report as a monitoring plugin; exit code 0, 1, 2 or 3.")] = False,
    every: Annotated[str, typer.Option(metavar="TIME", help="Keep checking, so often: 30s, 5m.")] = "",
    on_fail: Annotated[str, typer.Option(metavar="COMMAND", help="With --every: call this when a check fails.")] = "",
    on_ok: Annotated[str, typer.Option(metavar="COMMAND", help="With --every: call this when it is good again.")] = "",
    confirm: Annotated[int, typer.Option(metavar="N", min=1, help="With --every: fail N times in a row before a call.")] = 3,
    repeat: Annotated[str, typer.Option(metavar="TIME", help="With --every: call again after this, then twice it, and so on.")] = "10m",
    state: Annotated[str, typer.Option(metavar="FILE", help="With --every: keep what is known here, over restarts.")] = "",
    rounds: Annotated[int, typer.Option(metavar="N", min=0, help="With --every: end after N rounds. [no end]")] = 0,
    quiet: Quiet = False,
) -> Outcome | int:  # fmt: skip
    """Run the checks of files; this is the default.

    \b
      opskit smoke run checks.toml --tag deploy --fail-fast
      opskit smoke run checks.toml --json | jq .data.summary
      opskit smoke run checks.toml --every 1m --on-fail ./page --state s.json
    """
    from opskit.smoke import report as reports
    from opskit.smoke import running

    sinks = reports.Sinks(junit=junit, tap=tap, markdown=markdown, prometheus=prometheus, nagios=nagios)
    sinks.require_writable()
    watch = None
    if every or on_fail or on_ok or state or rounds:
        from opskit.smoke import watching

        watch = watching.plan(every, on_fail, on_ok, confirm, repeat, state, rounds)
    checks, mistakes = running.load_files(files, only or (), skip or (), tag or (), no_command=no_command)
    if mistakes:
        return _faulty(mistakes, nagios=nagios, as_json=as_json)
    if listing:
        return _listing(checks, as_json)
    if watch is not None:
        return watching.keep_checking(checks, watch, sinks, quiet=quiet)
    report = running.run(checks, fail_fast=fail_fast, quiet=quiet)
    sinks.write(report)
    return _outcome(report, sinks, strict=strict, as_json=as_json)


@app.command()
def add(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="http, tcp, tls, dns or file.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A URL, host:port, name or path.")],
    name: Annotated[str, typer.Option(help="Name of the check. [from the target]")] = "",
    to: Annotated[str, typer.Option(metavar="FILE", help="Append it to this file. [stdout]")] = "",
    timeout: Annotated[str, typer.Option(help="The longest that looking may take.")] = "10s",
    as_json: Json = False,
) -> Outcome:
    """Look at something, and write the check that it passes.

    \b
      opskit smoke add http http://127.0.0.1:8080/ --to checks.toml
      opskit smoke add tls example.org:443
    """
    from opskit.smoke import adding

    added = adding.observe(kind, target, name=name, file=to, timeout=timeout)
    if to:
        adding.append(to, added)

    def render(out: "Stdout") -> None:
        out.write(f"{added.id} is in {to} now\n" if to else added.text)

    return Outcome("smoke", "smoke-add/1", added.to_dict(), render, as_json=as_json)


@app.command("schema")
def show_schema() -> Outcome:
    """Print the JSON Schema of checks files, for editors.

    \b
      opskit smoke schema > smoke.schema.json
    and the first line of a checks file:
      #:schema ./smoke.schema.json
    """
    import json

    from opskit.smoke.schema import schema

    document = schema()
    return Outcome(
        "smoke", "smoke-schema/1", document, lambda out: out.write(json.dumps(document, indent=2) + "\n")
    )


@app.command("types")
def show_types(
    name: Annotated[str, typer.Argument(metavar="[TYPE]", help="Show the keys of this type.")] = "",
    as_markdown: Annotated[bool, typer.Option("--markdown", help="All types, as in the documents.")] = False,
) -> Outcome:
    """List the types of checks, or the keys of one.

    \b
      opskit smoke types
      opskit smoke types bench
    """
    from opskit.errors import Misuse
    from opskit.smoke import reference
    from opskit.smoke.checks import TYPES
    from opskit.smoke.fields import suggestion

    if name and name not in TYPES:
        raise Misuse(f"there is no check of type '{name}'", hint=suggestion(name, TYPES))
    text = reference.markdown() if as_markdown else reference.text(name) if name else reference.overview()
    return Outcome("smoke", "smoke-types/1", {"types": list(TYPES)}, lambda out: out.write(text))


class WithCommand(TyperCommand):
    """A command whose words after `--` are another command, kept as they are in ctx.meta."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.meta["opskit.command"] = args[place + 1 :]
            args = args[:place]
        return super().parse_args(ctx, args)


wait_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@wait_app.command(cls=WithCommand)
def wait(
    ctx: typer.Context,
    targets: Annotated[list[str], typer.Argument(metavar="URL... [-- COMMAND...]", help="http, https, tcp, unix or file URL, or host:port.")],
    timeout: Annotated[str, typer.Option("-t", "--timeout", metavar="TIME", help="Give up after this long.")] = "60s",
    every: Annotated[str, typer.Option(metavar="TIME", help="Time between tries. [0.1s, doubling up to 2s]")] = "",
    insecure: Annotated[bool, typer.Option("-k", "--insecure", help="Do not verify TLS certificates.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> Outcome | int:  # fmt: skip
    """Wait until services answer, then run a command.

    It waits for all of them at the same time. The command takes the place of
    this process, so that signals and the exit code are its own.

    \b
      opskit wait tcp://db:5432 http://web/health -t 60s -- ./run-tests
      opskit wait unix:///run/app.sock file:///run/app.ready
      opskit wait localhost:5432 && echo up

    An http or https URL is up when it answers 2xx or 3xx. Exit codes: those of
    the command; without one 0 all are up, 1 one is not, 2 the call is wrong,
    3 it could not be told, 130 interrupted.
    """
    from opskit import process
    from opskit.smoke import running, waiting

    command = ctx.meta.get("opskit.command")
    checks = waiting.checks(targets, timeout, every, insecure=insecure, command=command)
    report = running.run(checks, quiet=quiet)
    outcome = _outcome(report, None, strict=False, as_json=as_json, command="wait")
    if outcome.exit_code == ExitCode.OK:
        if command:
            process.become(command)
        if quiet and not as_json:
            return ExitCode.OK
    return outcome


def _faulty(mistakes: "Sequence[Mistake]", *, nagios: bool, as_json: bool) -> Outcome:
    """Every mistake, with nothing run."""
    from opskit.smoke import report as reports

    reports.annotate_mistakes(mistakes)
    notes = tuple(ErrorNote("faulty_checks", str(mistake), mistake.hint) for mistake in mistakes)
    data = {"mistakes": [reports.mistake_dict(mistake) for mistake in mistakes]}

    def render(out: "Stdout") -> None:
        if nagios:
            out.write("SMOKE UNKNOWN - faulty checks file\n")

    code = reports.NAGIOS_UNKNOWN if nagios else ExitCode.USAGE
    return Outcome("smoke", "smoke/1", data, render, code, notes, as_json)


def _listing(checks: "Checks", as_json: bool) -> Outcome:
    from opskit.smoke import report as reports

    data, text = reports.listing(checks)
    return Outcome("smoke", "smoke-list/1", data, lambda out: out.write(text), as_json=as_json)


def _outcome(report: "Report", sinks: Any, *, strict: bool, as_json: bool, command: str = "smoke") -> Outcome:
    from opskit.smoke import report as reports

    code = reports.exit_code(report, strict=strict)
    if sinks is not None and sinks.nagios:
        code = reports.nagios_code(report)
    return Outcome(
        command, f"{command}/1", report.to_dict(), reports.rendering(report, sinks), code, as_json=as_json
    )
