"""`opskit range`: options → plan → engine → report."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opskit import options
from opskit.errors import Misuse, Unable, os_reason
from opskit.outcome import ExitCode, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opskit.console import Stdout
    from opskit.httprange.cases.base import Case
    from opskit.httprange.engine import Inspected
    from opskit.httprange.invariants import Invariant
    from opskit.httprange.plan import Plan
    from opskit.httprange.results import Report
    from opskit.httprange.web import Access

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Many = list[str] | None


@app.command()
def range_(
    urls: Annotated[Many, typer.Argument(metavar="URL...", help="One file, or several to compare.")] = None,
    profile: Annotated[Many, typer.Option(help="Ask for this client only: resume, video, pip, …")] = None,
    tier: Annotated[str, typer.Option(help="Dare this much: basic, polite or full.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for failures.")] = False,
    only: Annotated[Many, typer.Option(help="Ask only these cases: 31,32.")] = None,
    skip: Annotated[Many, typer.Option(help="Leave these cases out.")] = None,
    waive: Annotated[Many, typer.Option(help="Accept a failure: ID=reason.")] = None,
    baseline: Annotated[str, typer.Option(help="Fail only on what this older --json report has not.")] = "",
    probe: Annotated[str, typer.Option(help="One exchange for these bytes (10-20), shown raw.")] = "",
    http: Annotated[str, typer.Option("--http", help="Speak this version: 1.0, 1.1 or 2.")] = "1.1",
    header: options.Header = None,
    user: options.User = "",
    insecure: options.Insecure = False,
    cacert: options.CaFile = "",
    proxy: options.Proxy = "",
    all_addresses: Annotated[
        bool, typer.Option("--all-addresses", help="Compare every address of the name.")
    ] = False,
    empty_url: Annotated[str, typer.Option(help="An empty file on the same server, for case 12.")] = "",
    unsafe_methods: Annotated[
        bool, typer.Option("--unsafe-methods", help="Send POST and PUT too; they may change things.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="Wait this long for each answer.")] = "10s",
    max_bytes: Annotated[str, typer.Option(help="Read no more than this from each URL.")] = "4MiB",
    as_json: options.Json = False,
    junit: options.Junit = "",
    tap: Annotated[str, typer.Option(help="Write TAP to this file; - is stdout.")] = "",
    markdown: Annotated[str, typer.Option(help="Write Markdown to this file; - is stdout.")] = "",
    transcript: Annotated[str, typer.Option(help="Keep every exchange in this file.")] = "",
    curl: Annotated[bool, typer.Option("--curl", help="Print each request as a curl line.")] = False,
    list_cases: Annotated[bool, typer.Option("--list-cases", help="List cases and profiles.")] = False,
    explain: Annotated[str, typer.Option(help="Explain one case or profile: 32, I3, video.")] = "",
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every case.")] = False,
    quiet: options.Quiet = False,
) -> Outcome:
    """Check whether a server really does Range requests.

    Compares what it answers with RFC 9110, and says for which clients it is safe: resumed downloads, video,
    pip, Parquet and others. Servers on the internet get well-formed requests only; --tier full also sends
    what can hurt. Never more than --max-bytes is read, however large the file is.

    Examples:

      opskit range http://127.0.0.1:8080/file.iso

      opskit range --profile pip https://example.org/x-1.0-py3-none-any.whl

      opskit range --probe 10-20 http://127.0.0.1:8080/

      opskit range https://origin.example/a.mp4 https://cdn.example/a.mp4

      opskit range --explain 32

    Exit codes: 0 nothing failed, 1 something did, 2 the call is wrong, 3 it could not be checked, 4 the file
    changed while it was checked, 130 interrupted.
    """
    from opskit.httprange import engine, plan

    if list_cases or explain:
        return _about(explain, as_json)
    _writable(junit, tap, markdown, transcript)
    access = _access(header, user, insecure, cacert, proxy, http, timeout, max_bytes)
    if not urls:
        raise Misuse("there is no URL", hint="opskit range http://127.0.0.1:8080/file.iso")
    if probe:
        return _probe(plan.url(urls[0]), probe, access, as_json)
    cases = _case_ids()
    planned = plan.Plan(
        plan.urls(urls), _tier(tier), _profiles(profile), strict,
        plan.chosen(only or [], cases, "case"), plan.chosen(skip or [], cases, "case"),
        plan.waivers(waive or [], cases), _known(baseline), unsafe_methods,
        plan.url(empty_url) if empty_url else "",
    )  # fmt: skip
    if access.version == "2" and any(url.startswith("http:") for url in planned.urls):
        raise Misuse("HTTP/2 is spoken over https only", hint="give an https URL, or leave --http 2 out")
    inspected = _inspect_all(planned, access, all_addresses, quiet)
    reports = [one.report for one in inspected]
    verdict = engine.exit_verdict(reports, planned.profiles)
    shown = _rendering(inspected, planned, (junit, tap, markdown, transcript), curl, verbose)
    code = {"FAIL": ExitCode.BAD, "INCONCLUSIVE": ExitCode.PARTIAL}.get(verdict.value, ExitCode.OK)
    if any(report.interrupted for report in reports):
        code = ExitCode.INTERRUPTED
    return Outcome("range", "range/1", _data(reports), shown, code, as_json=as_json)


def _about(explain: str, as_json: bool) -> Outcome:
    """The list of cases, or one of them."""
    from opskit.httprange import cases, plan, profiles, report
    from opskit.httprange.invariants import INVARIANTS

    if explain:
        plan.chosen([explain], [*_case_ids(), *profiles.PROFILES], "case or profile")
    everything: list[Case | Invariant] = [*cases.by_id().values(), *INVARIANTS]
    data: dict[str, Any] = {
        "cases": [
            {"id": one.id, "title": one.title, "section": one.section, "level": one.level.value,
             "tier": getattr(one, "tier", "every answer"), "expected": one.expected, "meaning": one.meaning}
            for one in everything
            if explain in ("", one.id)
        ],
        "profiles": {
            p.name: {"who": p.who, "needs": [{"cases": list(n.cases), "why": n.why} for n in p.needs]}
            for p in profiles.PROFILES.values() if explain in ("", p.name)
        },
    }  # fmt: skip

    def shown(out: "Stdout") -> None:
        report.explain(explain, out) if explain else report.list_cases(out)

    return Outcome("range", "range-cases/1", data, shown, as_json=as_json)


def _case_ids() -> list[str]:
    from opskit.httprange import cases
    from opskit.httprange.invariants import INVARIANTS

    return [*cases.by_id(), *(rule.id for rule in INVARIANTS)]


def _writable(*names: str) -> None:
    from opskit.files import require_writable

    for name in names:
        if name and name != "-":
            require_writable(name)


def _access(
    header: Many, user: str, insecure: bool, cacert: str, proxy: str, version: str, timeout: str, size: str
) -> "Access":
    from opskit import http as shared
    from opskit.httprange import plan
    from opskit.httprange.web import Access
    from opskit.units import parse_duration, parse_size

    if version not in ("1.0", "1.1", "2"):
        raise Misuse(f"there is no HTTP/{version} here", hint="--http takes 1.0, 1.1 and 2")
    if version == "2" and not shared.can_http2():
        raise Unable("HTTP/2 needs one more package", hint="pip install 'opskit[http2]'")
    if version == "1.0" and proxy:
        raise Misuse("HTTP/1.0 does not go through --proxy", hint="leave one of them out")
    headers = plan.headers(header or [])
    if user:
        headers += (plan.basic_auth(user, os.environ.get("OPSKIT_PASSWORD")),)
    seconds = parse_duration(timeout, bare="s")
    if not seconds:
        raise Misuse("--timeout 0 leaves no time for an answer", hint="for example --timeout 5s")
    return Access(seconds, headers, insecure, cacert, plan.url(proxy) if proxy else "", version, parse_size(size))


def _tier(word: str) -> Any:
    from opskit.httprange.plan import chosen
    from opskit.httprange.results import Tier

    if not word:
        return None
    chosen([word], [tier.value for tier in Tier], "tier")
    return Tier(word)


def _profiles(words: Many) -> tuple[str, ...]:
    from opskit.httprange.plan import chosen
    from opskit.httprange.profiles import PROFILES

    asked = chosen(words or [], PROFILES, "profile")
    return tuple(name for name in PROFILES if name in asked)


def _known(name: str) -> "dict[str, frozenset[str]]":
    import json
    from pathlib import Path

    from opskit.httprange.plan import known_failures

    if not name:
        return {}
    try:
        return known_failures(json.loads(Path(name).read_text()), name)
    except OSError as error:
        raise Misuse(f"cannot read {name}: {os_reason(error)}", hint="name a report of --json") from error
    except ValueError as error:
        raise Misuse(f"{name} is not JSON", hint="make one: opskit range --json URL > old.json") from error


def _inspect_all(plan: "Plan", access: "Access", all_addresses: bool, quiet: bool) -> "list[Inspected]":
    from dataclasses import replace

    from opskit.console import LiveLine
    from opskit.httprange import engine

    if all_addresses and access.proxy:
        raise Misuse("--all-addresses does not go through --proxy", hint="leave one of them out")
    places = [
        (url, address)
        for url in plan.urls
        for address in (engine.addresses(url) if all_addresses else [access.address])
    ]
    line = LiveLine(quiet=quiet)
    found: list[Inspected] = []
    try:
        for url, address in places:
            found.append(engine.inspect(plan, url, replace(access, address=address), line.update))
            if found[-1].report.interrupted:
                break
    finally:
        line.clear()
    return engine.agreed(found)


def _data(reports: "Sequence[Report]") -> dict[str, Any]:
    """One report as it is, several under `reports`."""
    if len(reports) == 1:
        return reports[0].to_dict()
    return {"reports": [report.to_dict() for report in reports]}


def _transcript(inspected: "Sequence[Inspected]") -> str:
    from opskit.httprange.exchange import transcript

    return "\n".join(transcript(exchange) for one in inspected for exchange in one.exchanges)


def _rendering(
    inspected: "Sequence[Inspected]", plan: "Plan", names: tuple[str, ...], curl: bool, verbose: bool
) -> "Callable[[Stdout], None]":
    """Write the files that were asked for; what goes to stdout takes the place of the table.

    `names` are those of JUnit, TAP, Markdown and transcript, "" for each that is not wanted.
    """
    from opskit.formats.junit import junit
    from opskit.formats.tap import tap
    from opskit.httprange import files, report
    from opskit.httprange.exchange import curl_line

    reports = [one.report for one in inspected]
    suites = files.suites(reports)
    makers: list[Callable[[], str]] = [
        lambda: junit(suites), lambda: tap(suites), lambda: files.markdown(reports),
        lambda: _transcript(inspected),
    ]  # fmt: skip
    texts = [_made(name, make()) for name, make in zip(names, makers, strict=True) if name]
    if curl:
        lines = (curl_line(exchange) for one in inspected for exchange in one.exchanges)
        texts.append("\n".join(dict.fromkeys(lines)) + "\n")
    if any(texts):
        return lambda out: out.write("".join(texts))
    if len(reports) > 1:
        return lambda out: report.matrix(reports, out)
    return lambda out: report.show(reports[0], out, verbose=verbose, profiles=plan.profiles)


def _made(name: str, text: str) -> str:
    """What is left for stdout: all of it for `-`, nothing once it is in its file."""
    if name == "-":
        return text
    _write(name, text)
    return ""


def _write(name: str, text: str) -> None:
    from opskit.files import whole_file

    with whole_file(name) as file:
        file.write(text.encode())


def _probe(url: str, word: str, access: "Access", as_json: bool) -> Outcome:
    """The telnet session: one exchange, byte by byte."""
    from opskit import http as shared
    from opskit.httprange import probe
    from opskit.httprange.plan import probe as range_value

    if access.proxy or access.version == "2":
        raise Misuse("a probe goes straight to the server in HTTP/1.0 or 1.1", hint="leave --proxy and 2 out")
    context = None
    if url.startswith("https:"):
        context = shared.tls_context(insecure=access.insecure, ca_file=access.ca_file)
    shown = probe.run(url, range_value(word), access, context)
    return Outcome("range", "range-probe/1", shown.to_dict(), shown.render, as_json=as_json)
