"""The command lines of `opskit bench` and `opskit report`: options in, a plan carried out, a report out."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opskit.options import Json, Quiet
from opskit.outcome import ErrorNote, ExitCode, Outcome

if TYPE_CHECKING:
    from opskit.bench.compared import Compared
    from opskit.bench.exchanges import FailingExchanges
    from opskit.bench.hooks import Hooks
    from opskit.bench.plan import Plan, RequestsFile, Route, Schedule, Shape, Tls
    from opskit.bench.repeating import Sides
    from opskit.bench.results import Results
    from opskit.bench.rows import RowSpool
    from opskit.bench.scheduler import Place
    from opskit.console import Stdout

app = typer.Typer(add_completion=False, rich_markup_mode=None)
report_app = typer.Typer(add_completion=False, rich_markup_mode=None)

FORMATS = ("text", "ab", "html", "csv")


def _version(asked: bool) -> None:
    if asked:
        from opskit.cli import show_version

        show_version(asked)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def bench(
    url: Annotated[str | None, typer.Argument(help="What to ask. With -R, each line is appended to it.")] = None,
    requests: Annotated[
        str | None,
        typer.Option("-R", "--requests", metavar="FILE", help="Take the next line of FILE for each request; - is stdin."),
    ] = None,
    requests_format: Annotated[
        str,
        typer.Option(help="How to read FILE: auto (by its name), lines, jsonl, or access-log."),
    ] = "auto",
    order: Annotated[
        str, typer.Option(help="sequential (and from the top again), random (shuffled), or once (end with the file).")
    ] = "sequential",
    seed: Annotated[int | None, typer.Option(help="Make what is drawn by chance repeat itself.")] = None,
    number: Annotated[
        int | None, typer.Option("-n", "--number", help="Requests in all. [1; with -R every line once; with -t no limit]")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("-c", "--concurrency", help="Requests at a time. [1; with --find-rate as many as it takes]")
    ] = None,
    seconds: Annotated[
        str | None, typer.Option("-t", "--time", metavar="TIME", help="End after this long: 30, 30s, 5m.")
    ] = None,
    limit: Annotated[
        str, typer.Option("-s", "--timeout", metavar="TIME", help="Longest time for one request, connecting included.")
    ] = "30",
    rate: Annotated[str | None, typer.Option("--rate", metavar="RATE", help="Open model: requests/s in all, as 500, 100,500@30s or 10..500@1m; -c is the limit.")] = None,
    arrivals: Annotated[str, typer.Option("--arrivals", help="With --rate: even, or poisson.")] = "even",
    keep_alive: Annotated[bool, typer.Option("-k", "--keep-alive", help="Keep connections; else each request opens one.")] = False,
    header: Annotated[list[str] | None, typer.Option("-H", "--header", metavar="LINE", help="Add a header line; may repeat.")] = None,
    cookie: Annotated[list[str] | None, typer.Option("-C", "--cookie", metavar="NAME=VALUE", help="Add a cookie; may repeat.")] = None,
    auth: Annotated[str | None, typer.Option("-A", "--auth", metavar="USER:PASS", help="Basic authentication.")] = None,
    method: Annotated[str | None, typer.Option("-m", "--method", help="Another method than GET.")] = None,
    head: Annotated[bool, typer.Option("-i", "--head", help="HEAD instead of GET.")] = False,
    post: Annotated[str | None, typer.Option("-p", "--post", metavar="FILE", help="POST the bytes of FILE.")] = None,
    put: Annotated[str | None, typer.Option("-u", "--put", metavar="FILE", help="PUT the bytes of FILE.")] = None,
    content_type: Annotated[str, typer.Option("-T", "--content-type", metavar="TYPE", help="Content-Type of -p and -u.")] = "text/plain",
    keep_going: Annotated[bool, typer.Option("-r", "--keep-going", help="Go on though the first 10 × c requests failed.")] = False,
    fail_if: Annotated[list[str] | None, typer.Option("--fail-if", metavar="COND", help="Exit 1 if this holds: 'p99 > 250ms', 'failed > 0.1%', 'rate < 500/s', 'status.5xx > 0'; may repeat.")] = None,
    fail_status: Annotated[bool, typer.Option("--fail-status", help="Count a status of 400 or more as a failure.")] = False,
    fail_length: Annotated[bool, typer.Option("--fail-length", help="Count a body of another length than the first as a failure.")] = False,
    variable_length: Annotated[bool, typer.Option("-l", "--variable-length", help="No length is expected (for the ab format).")] = False,
    unix_socket: Annotated[str | None, typer.Option("--unix-socket", metavar="PATH", help="Connect to this unix socket.")] = None,
    connect_to: Annotated[str | None, typer.Option("--connect-to", metavar="HOST:PORT", help="Connect there instead of to the URL's host.")] = None,
    proxy: Annotated[str | None, typer.Option("-X", "--proxy", metavar="HOST[:PORT]", help="Go through an HTTP proxy; https by CONNECT.")] = None,
    proxy_auth: Annotated[str | None, typer.Option("-P", "--proxy-auth", metavar="USER:PASS", help="Basic authentication for the proxy.")] = None,
    local_address: Annotated[str | None, typer.Option("-B", "--local-address", metavar="ADDRESS,…", help="Connect from these addresses, in turn.")] = None,
    buffer: Annotated[int | None, typer.Option("-b", "--buffer", metavar="BYTES", help="Socket buffers, both ways.")] = None,
    cacert: Annotated[str | None, typer.Option("--cacert", metavar="FILE", help="Trust the certificates in this PEM file.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not verify the server's certificate.")] = False,
    certificate: Annotated[str | None, typer.Option("-E", "--cert", metavar="FILE", help="Client certificate: chain and key in one PEM file.")] = None,
    protocol: Annotated[str, typer.Option("-f", "--tls", metavar="VERSION", help="ALL, TLS1, TLS1.1, TLS1.2 or TLS1.3.")] = "ALL",
    ciphers: Annotated[str | None, typer.Option("-Z", "--ciphers", help="OpenSSL cipher list, up to TLS 1.2.")] = None,
    no_sni: Annotated[bool, typer.Option("-I", "--no-sni", help="Send no server name; the certificate's name is not checked.")] = False,
    check: Annotated[list[str] | None, typer.Option("--check", metavar="COND", help="What must hold of an answer: status=200,204, 'length > 0', 'body ~ REGEX', 'header.NAME ~ REGEX'; may repeat.")] = None,
    check_sample: Annotated[str | None, typer.Option("--check-sample", metavar="SHARE", help="Check only so many of the answers, by chance: 1%.")] = None,
    save_failures: Annotated[str | None, typer.Option("--save-failures", metavar="FILE", help="Keep the first 20 failing exchanges, 5 of a kind, as HAR.")] = None,
    redirects: Annotated[int, typer.Option("--redirects", metavar="N", help="Follow up to N redirects for each request; 0 follows none.")] = 0,
    script: Annotated[str | None, typer.Option("--script", metavar="FILE", help="Python functions that make requests, request(i), or are shown answers, response(r).")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="FILE", help="The key of -E, where it has a PEM file of its own.")] = None,
    tls_min: Annotated[str | None, typer.Option("--tls-min", metavar="VERSION", help="The lowest TLS version to accept, as for -f.")] = None,
    tls_max: Annotated[str | None, typer.Option("--tls-max", metavar="VERSION", help="The highest.")] = None,
    tls_resume: Annotated[bool, typer.Option("--tls-resume", help="Let new connections resume TLS sessions; else each handshake is in full.")] = False,
    repeat: Annotated[int | None, typer.Option("--repeat", metavar="N", help="Make N runs and show how they spread. [1; with --against 5]")] = None,
    baseline: Annotated[str | None, typer.Option("--baseline", metavar="FILE", help="Compare with the run or runs kept in FILE; exit 1 if worse.")] = None,
    against: Annotated[str | None, typer.Option("--against", metavar="URL", help="Compare with this URL, measured in turn with the first.")] = None,
    tolerance: Annotated[str, typer.Option("--tolerance", metavar="PERCENT", help="How much worse than the baseline is no failure.")] = "5%",
    force: Annotated[bool, typer.Option("--force", help="Compare with a baseline that asked something else.")] = False,
    find_rate: Annotated[list[str] | None, typer.Option("--find-rate", metavar="COND", help="Find the highest rate at which this holds: 'p99 < 200ms'; may repeat.")] = None,
    settle: Annotated[str, typer.Option("--settle", metavar="TIME", help="Before each step of --find-rate, at its rate.")] = "1s",
    step_time: Annotated[str | None, typer.Option("--step-time", metavar="TIME", help="How long a step measures. [5s, or 20 times the time in COND]")] = None,
    min_rate: Annotated[float, typer.Option("--min-rate", metavar="RATE", help="Where --find-rate begins, in requests/s.")] = 10,
    max_rate: Annotated[float, typer.Option("--max-rate", metavar="RATE", help="Where --find-rate ends.")] = 100_000,
    precision: Annotated[str, typer.Option("--precision", metavar="PERCENT", help="How closely --find-rate looks.")] = "2%",
    warmup: Annotated[str | None, typer.Option("--warmup", metavar="TIME", help="Send this long before the run, and leave it out of the figures.")] = None,
    processes: Annotated[str, typer.Option("--processes", metavar="N", help="So many processes share the run; auto is one a core.")] = "1",
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="PLACE", help="Workers of a Dask cluster share the run: tcp://HOST:8786, local:4, or ssh:FILE with a host a line.")] = None,
    junit: Annotated[str | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, a case for each --fail-if.")] = None,
    http2: Annotated[bool, typer.Option("--http2", help="HTTP/2: by ALPN for https, at once for http. Connections are kept.")] = False,
    streams: Annotated[int | None, typer.Option("--streams", metavar="N", help="With --http2: of the -c requests, N share a connection. [1]")] = None,
    page: Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write a page with plots that opens offline; needs opskit[plot].")] = None,
    cookies: Annotated[bool, typer.Option("--cookies", help="Send back the cookies that are set; each of -c has a jar of its own.")] = False,
    form: Annotated[str, typer.Option("--format", help="Report as text, ab (ab's lines), html (ab's -w) or csv.")] = "text",
    as_json: Json = False,
    save: Annotated[str | None, typer.Option("--save", metavar="FILE", help="Keep the run, for opskit report.")] = None,
    csv: Annotated[str | None, typer.Option("-e", "--csv", metavar="FILE", help="Write percentiles as ab's CSV.")] = None,
    gnuplot: Annotated[str | None, typer.Option("-g", "--gnuplot", metavar="FILE", help="Write a line for each request, as ab's TSV.")] = None,
    html: Annotated[bool, typer.Option("-w", "--html-table", help="The same as --format html.")] = False,
    table: Annotated[str | None, typer.Option("-x", metavar="ATTRS", help="Attributes of the HTML table.")] = None,
    row: Annotated[str | None, typer.Option("-y", metavar="ATTRS", help="Attributes of its rows.")] = None,
    cell: Annotated[str | None, typer.Option("-z", metavar="ATTRS", help="Attributes of its cells.")] = None,
    no_percentiles: Annotated[bool, typer.Option("-d", "--no-percentiles", help="No percentiles in the ab format.")] = False,
    no_spread: Annotated[bool, typer.Option("-S", "--no-spread", help="No deviation and median in the ab format.")] = False,
    verbosity: Annotated[int, typer.Option("-v", "--verbosity", metavar="N", help="2 shows requests and answers, 3 every status.")] = 0,
    quiet: Quiet = False,
    version: Annotated[bool, typer.Option("-V", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> Outcome:  # fmt: skip
    """Load-test a web server with a file of requests.

    The options are ab's, before or after the URL. With -R, the i-th request
    takes the i-th line of the file, appended to the URL:

    \b
      opskit bench -n 5000 -c 20 -k -R queries.txt http://127.0.0.1:8080/search?q=
      opskit bench -t 30s -c 50 -k http://127.0.0.1:8080/
      opskit bench -R urls.txt          every URL in the file once
      opskit bench --json -n 1000 http://127.0.0.1:8080/ | jq .data.rate

    Exit codes: 0 the run was carried out, whatever the server answered; 1 a
    --fail-if held, it is worse than the baseline, or no rate holds; 2 the
    call or the file is wrong; 3 not one request got an answer; 4 a bad line
    or the script ended the run; 130 Ctrl-C ended it. Start with
    `opskit target` for a server
    to try it on.
    """
    from opskit.bench import har, several
    from opskit.bench import plan as plans
    from opskit.bench.checks import parse_checks
    from opskit.bench.compared import compared, read_baseline
    from opskit.bench.progress import VerboseTrace, progress
    from opskit.bench.report import ab, ci
    from opskit.bench.run import carry_out, run_facts
    from opskit.bench.saved import keep
    from opskit.bench.thresholds import crossed, parse_thresholds
    from opskit.console import talk
    from opskit.files import require_writable, write_lines
    from opskit.formats.github import on_runner
    from opskit.interrupts import stop_on_interrupt
    from opskit.units import parse_duration, parse_share

    shown = plans.one_of("html" if html or table or row or cell else form, FORMATS, "--format")
    file = _requests_file(requests, requests_format, order, seed)
    thresholds = parse_thresholds(fail_if or ())
    hooks = _hooks(script, file)
    time = parse_duration(seconds, bare="s") if seconds is not None else None
    target = plans.parse_url(url) if url is not None else None
    plan = plans.Plan(
        url=target,
        requests=file,
        number=_number(number, file or time is not None or rate or find_rate or (hooks and hooks.request)),
        seconds=time,
        warmup=parse_duration(warmup, bare="s") if warmup is not None else 0.0,
        concurrency=1 if concurrency is None else concurrency,
        request_limit=parse_duration(limit, bare="s"),
        shape=_shape(method, post, put, head, header, cookie, auth or (target.credentials if target else None), content_type, keep_alive or http2),
        route=_route(unix_socket, connect_to, proxy, proxy_auth, local_address, buffer),
        tls=_tls(insecure, cacert, certificate, key, protocol, tls_min, tls_max, ciphers, no_sni, tls_resume),
        schedule=_schedule(rate, arrivals, seed),
        streams=_streams(http2, streams),
        keep_going=keep_going,
        fail_status=fail_status,
        fail_length=fail_length,
        variable_length=variable_length,
        checks=parse_checks(check or (), check_sample),
        redirects=redirects,
        cookies=cookies,
        script=script,
        seed=seed,
    )  # fmt: skip
    plans.refuse_contradictions(plan)
    one_run = {
        "-e": csv,
        "-g": gnuplot,
        "--junit": junit,
        "--format": shown if shown != "text" else None,
        "--script": script,
        "--save-failures": save_failures,
    }
    if find_rate:
        several.refuse_beside("--find-rate", {
            "--rate": rate, "-n": number, "-t": seconds, "--warmup": warmup, "--repeat": repeat, "--save": save,
            "--baseline": baseline, "--against": against, "--fail-if": fail_if, "--processes": processes != "1", "--cluster": cluster,
            "--arrivals": arrivals != "even", "--order once": order == "once", "--html": page,
            **one_run,
        })  # fmt: skip
        several.refuse_a_pipe(plan, "--find-rate")
        search = several.read_search(find_rate, settle, step_time, min_rate, max_rate, precision, concurrency)
        return several.searched(plan, search, quiet=quiet or as_json, as_json=as_json)
    times, tolerated = several.times_of(repeat, against), parse_share(tolerance, "--tolerance")
    before = read_baseline(baseline, run_facts(plan, 0.0), tolerance=tolerated, force=force) if baseline else None
    one_only = bool(gnuplot or save_failures or script) or verbosity >= 2
    place = _place(cluster, processes, plan, one_only=one_only)
    crew = _processes(processes, plan, one_only=one_only)
    for path in filter(None, (save, csv, gnuplot, junit, save_failures)):
        require_writable(path)
    _require_page(page)
    _warn_of_ports(plan)
    if against or times > 1:
        several.refuse_beside(
            "--against" if against else "--repeat", {**one_run, "-v": verbosity >= 2, "--cluster": cluster}
        )
        several.refuse_a_pipe(plan, "--repeat")
        second = _against(plan, against, baseline)
        sides = several.measure_in_turn(plan, times, second, crew, quiet=quiet or as_json)
        unkept = tuple(
            _write_files(
                (save, lambda path: keep(sides.new, path)),
                (page, lambda path: _write_page(_sides(sides), path)),
            )
        )
        before = several.baseline_of_turns(sides, second, tolerated) if second else before
        return several.repeated(sides, before, thresholds, unkept, as_json=as_json)
    watch = progress(plan, quiet=quiet or as_json)
    rows, failing = _row_spool(gnuplot), _failing(save_failures)
    if place is not None:
        from opskit.bench.cluster import carry_out_on_cluster

        results, error = carry_out_on_cluster(plan, place, observer=watch, interrupts=stop_on_interrupt)
    elif crew > 1:
        from opskit.bench.processes import carry_out_divided

        results, error = carry_out_divided(plan, crew, observer=watch, interrupts=stop_on_interrupt)
    else:
        results, error = carry_out(
            plan,
            observer=watch,
            trace=VerboseTrace(verbosity) if verbosity >= 2 else None,
            on_row=rows.add if rows else None,
            failing=failing,
            hooks=hooks,
            interrupts=stop_on_interrupt,
        )
    watch.done(results.completed)
    over = crossed(thresholds, results)
    if on_runner():
        for line in ci.annotations(results, over):
            talk(line)
    lost = tuple(
        _write_files(
            (save, lambda path: keep([results], path)),
            (csv, lambda path: write_lines(path, ab.csv(results))),
            (gnuplot if rows else None, lambda path: write_lines(path, rows.lines() if rows else ())),
            (junit, lambda path: write_lines(path, ci.junit_lines(results, thresholds, over))),
            (save_failures, lambda path: har.write(path, failing.kept if failing else ())),
            (page, lambda path: _write_page({"": results}, path)),
        )
    )
    errors = (*((error.note(),) if error else ()), *lost, *_nothing_answered(results))
    too_bad = [ErrorNote("threshold", str(each), "--save keeps the run for a closer look") for each in over]
    found = compared([results], before) if before else None
    too_bad += found.notes() if found else ()
    how = _Rendering(shown, table or "", row or "", cell or "bgcolor=white", no_percentiles, no_spread, quiet)
    return Outcome(
        command="bench",
        schema="bench/1",
        data={**_data(results), **several.comparison_data(found)},
        render=how.of(results, found),
        exit_code=_exit_code(results) or (ExitCode.UNABLE if lost else ExitCode.BAD if too_bad else ExitCode.OK),
        errors=(*errors, *too_bad),
        as_json=as_json,
    )


@report_app.command()
def report(
    files: Annotated[list[str], typer.Argument(metavar="RUN...", help="Files that `opskit bench --save` wrote.")],
    page: Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write a page with plots of all of them; needs opskit[plot].")] = None,
    baseline: Annotated[str | None, typer.Option("--baseline", metavar="FILE", help="Compare with the run or runs kept in FILE; exit 1 if worse.")] = None,
    tolerance: Annotated[str, typer.Option("--tolerance", metavar="PERCENT", help="How much worse than the baseline is no failure.")] = "5%",
    force: Annotated[bool, typer.Option("--force", help="Compare with a baseline that asked something else.")] = False,
    form: Annotated[str, typer.Option("--format", help="text, ab, html or csv.")] = "text",
    as_json: Json = False,
    no_percentiles: Annotated[bool, typer.Option("-d", "--no-percentiles", help="No percentiles in the ab format.")] = False,
    no_spread: Annotated[bool, typer.Option("-S", "--no-spread", help="No deviation and median in the ab format.")] = False,
) -> Outcome:  # fmt: skip
    """Show saved load tests again, in any format, side by side.

    \b
      opskit bench -k -n 1000 --save run.json http://127.0.0.1:8080/
      opskit report run.json
      opskit report run.json --format ab
      opskit report new.json --baseline old.json
      opskit report old.json new.json --html both.html
    """
    from opskit.bench import several
    from opskit.bench.compared import compared, read_baseline
    from opskit.bench.plan import one_of
    from opskit.bench.saved import load
    from opskit.units import parse_share

    shown = one_of(form, FORMATS, "--format")
    tolerated = parse_share(tolerance, "--tolerance")
    kept = {path: load(path) for path in files}
    one_run = {"--format": shown if shown != "text" else None}
    if len(kept) > 1:
        several.refuse_beside("several files", {"--baseline": baseline, **one_run})
    runs = kept[files[0]]
    before = read_baseline(baseline, runs[0].run, tolerance=tolerated, force=force) if baseline else None
    named = {
        path if len(each) == 1 else f"{path}, run {number}": run
        for path, each in kept.items()
        for number, run in enumerate(each, 1)
    }
    _require_page(page)
    if page is not None:
        _write_page(named, page)
    if len(kept) > 1:
        data = {"runs": [{"name": name, **_data(run)} for name, run in named.items()]}
        return Outcome("report", "bench-runs/1", data, _side_by_side(named), as_json=as_json)
    if len(runs) > 1:
        several.refuse_beside(f"{files[0]}, which holds {len(runs)} runs,", one_run)
        return several.reported(runs, before, as_json=as_json)
    results = runs[0]
    found = compared(runs, before) if before else None
    how = _Rendering(shown, "", "", "bgcolor=white", no_percentiles, no_spread, quiet=False)
    data = {**_data(results), **several.comparison_data(found)}
    notes = tuple(found.notes()) if found else ()
    return Outcome(
        "report", "bench/1", data, how.of(results, found), ExitCode.BAD if notes else ExitCode.OK, notes, as_json
    )


def _data(results: "Results") -> dict[str, Any]:
    """The `data` of the JSON envelope."""
    from opskit.bench import verdict

    return {**results.to_dict(), "verdict": verdict.to_dict(results)}


def _side_by_side(runs: "Mapping[str, Results]") -> "Callable[[Stdout], None]":
    def render(out: "Stdout") -> None:
        from opskit.bench.report import columns, text

        text.print_lines(columns.lines([columns.Named(*each) for each in runs.items()]), out.rich)

    return render


def _require_page(path: str | None) -> None:
    """Refuse a page before any work that could not be drawn or written after it. Raises Unable."""
    if path is None:
        return
    from opskit.bench.report.plots import require_plots
    from opskit.files import require_writable

    require_plots()
    require_writable(path)


def _sides(sides: "Sides") -> "Mapping[str, Results]":
    """Repeats, and those that they are measured against, by what they are called on a page."""
    named = {f"run {number}": run for number, run in enumerate(sides.new, 1)}
    return named | {f"against it, run {number}": run for number, run in enumerate(sides.old, 1)}


def _write_page(runs: "Mapping[str, Results]", path: str) -> None:
    """The page of `--html`, of runs by what they are called."""
    from opskit.bench.report import page
    from opskit.bench.report.columns import Named

    page.write([Named(*each) for each in runs.items()], path)


def _against(plan: "Plan", url: str | None, baseline: str | None) -> "Plan | None":
    """The plan with another URL."""
    from dataclasses import replace

    from opskit.bench import several
    from opskit.bench.plan import parse_url
    from opskit.errors import Misuse

    if url is None:
        return None
    several.refuse_beside("--against", {"--baseline": baseline})
    if plan.url is None:
        raise Misuse("--against takes the place of the URL, and there is none", hint="give a URL beside -R")
    return replace(plan, url=parse_url(url))


def _number(number: int | None, ends_otherwise: object) -> int | None:
    """-n: one request, where nothing else says how many there are to be."""
    return number if number is not None or ends_otherwise else 1


def _requests_file(path: str | None, form: str, order: str, seed: int | None) -> "RequestsFile | None":
    from opskit.bench.plan import RequestsFile, one_of
    from opskit.bench.requests import FORMATS as READ_FORMATS
    from opskit.bench.requests import format_of

    one_of(form, ("auto", *READ_FORMATS), "--requests-format")
    one_of(order, ("sequential", "random", "once"), "--order")
    if path is None:
        return None
    return RequestsFile(path, format_of(path) if form == "auto" else form, order, seed)


def _hooks(script: str | None, file: "RequestsFile | None") -> "Hooks | None":
    from opskit.errors import Misuse

    if script is None:
        return None
    from opskit.bench.hooks import load_hooks

    hooks = load_hooks(script)
    if hooks.request is not None and file is not None:
        raise Misuse(
            f"--script {script} has a request(i), and -R names requests too", hint="leave one of them out"
        )
    return hooks


def _shape(
    method: str | None,
    post: str | None,
    put: str | None,
    head: bool,
    header: list[str] | None,
    cookie: list[str] | None,
    credentials: str | None,
    content_type: str,
    keep_alive: bool,
) -> "Shape":
    from opskit import __version__
    from opskit.bench.plan import Shape, parse_header, parse_method, parse_value
    from opskit.errors import Misuse

    if sum(map(bool, (post, put, head))) > 1:
        raise Misuse("-p, -u and -i exclude each other", hint="with -p or -u, -m METHOD names another method")
    body = post or put
    return Shape(
        method=parse_method(method)
        if method
        else ("POST" if post else "PUT" if put else "HEAD" if head else "GET"),
        headers=tuple(parse_header(line) for line in header or ()),
        cookies=tuple(parse_value(each, "-C") for each in cookie or ()),
        credentials=credentials or "",
        body=_body(body) if body else None,
        content_type=parse_value(content_type, "-T"),
        keep_alive=keep_alive,
        user_agent=f"opskit-bench/{__version__}",
    )


def _body(path: str) -> bytes:
    from pathlib import Path

    from opskit.errors import Misuse, os_reason

    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misuse(f"{path}: {os_reason(error)}", hint="-p and -u take a file with the body to send") from error


def _route(
    unix_socket: str | None,
    connect_to: str | None,
    proxy: str | None,
    proxy_auth: str | None,
    local_address: str | None,
    buffer: int | None,
) -> "Route":
    from opskit.bench.plan import Route, parse_host_port
    from opskit.errors import Misuse

    if sum(map(bool, (unix_socket, connect_to, proxy))) > 1:
        raise Misuse("--unix-socket, --connect-to and -X exclude each other", hint="give one of them")
    return Route(
        unix_socket=unix_socket,
        connect_to=parse_host_port(connect_to, "--connect-to") if connect_to else None,
        proxy=parse_host_port(proxy, "-X", default_port=80) if proxy else None,
        proxy_credentials=proxy_auth or "",
        local_addresses=_local_addresses(local_address),
        socket_buffer=buffer,
    )


def _local_addresses(text: str | None) -> tuple[str, ...]:
    from opskit.errors import Misuse

    addresses = tuple(part.strip() for part in text.split(",")) if text is not None else ()
    if not all(addresses):
        raise Misuse(f"-B {text}: an address is missing", hint="-B 192.0.2.1,192.0.2.2, for instance")
    return addresses


def _schedule(rate: str | None, arrivals: str, seed: int | None) -> "Schedule | None":
    from opskit.bench.plan import Schedule, one_of
    from opskit.bench.schedule import parse_rate

    poisson = one_of(arrivals, ("even", "poisson"), "--arrivals") == "poisson"
    return Schedule(parse_rate(rate), poisson, seed) if rate is not None else None


_TLS_VERSIONS = {"ALL": None, "TLS1": "TLSv1", "TLS1.1": "TLSv1_1", "TLS1.2": "TLSv1_2", "TLS1.3": "TLSv1_3"}


def _tls(
    insecure: bool,
    ca_file: str | None,
    certificate: str | None,
    key: str | None,
    protocol: str,
    tls_min: str | None,
    tls_max: str | None,
    ciphers: str | None,
    no_sni: bool,
    resume: bool,
) -> "Tls":
    from opskit.bench.plan import Tls
    from opskit.errors import Misuse

    if key and not certificate:
        raise Misuse(f"--key {key} has no certificate", hint="give that with -E FILE")
    lowest, highest = _tls_versions(protocol, tls_min, tls_max)
    return Tls(not insecure, ca_file, certificate, key, lowest, highest, ciphers, not no_sni, resume)


def _tls_versions(protocol: str, tls_min: str | None, tls_max: str | None) -> tuple[str | None, str | None]:
    from opskit.bench.plan import one_of
    from opskit.errors import Misuse

    exact = _TLS_VERSIONS[one_of(protocol.upper(), _TLS_VERSIONS, "-f")]
    names = [name for name in _TLS_VERSIONS if name != "ALL"]
    lowest, highest = (
        _TLS_VERSIONS[one_of(given.upper(), names, option)] if given is not None else exact
        for given, option in ((tls_min, "--tls-min"), (tls_max, "--tls-max"))
    )
    if exact and (tls_min or tls_max):
        raise Misuse("-f names one version, --tls-min and --tls-max a range", hint="give either")
    if lowest and highest and lowest > highest:
        raise Misuse(f"--tls-min {tls_min} is above --tls-max {tls_max}", hint="exchange them")
    return lowest, highest


def _streams(http2: bool, streams: int | None) -> int | None:
    from opskit.errors import Misuse

    if streams is not None and not http2:
        raise Misuse("--streams are what HTTP/2 has", hint="add --http2")
    return (1 if streams is None else streams) if http2 else None


def _row_spool(gnuplot: str | None) -> "RowSpool | None":
    from opskit.bench.rows import RowSpool

    return RowSpool() if gnuplot else None


def _failing(save_failures: str | None) -> "FailingExchanges | None":
    from opskit.bench.exchanges import FailingExchanges

    return FailingExchanges() if save_failures else None


def _write_files(*wanted: "tuple[str | None, Callable[[str], None]]") -> Iterator[ErrorNote]:
    """Write the files that were asked for; the report is shown all the same when one cannot be written."""
    from opskit.errors import OpskitError

    for path, write in wanted:
        try:
            if path:
                write(path)
        except OpskitError as error:
            yield error.note()


def _warn_of_ports(plan: "Plan") -> None:
    from opskit.bench.ports import ports_of
    from opskit.console import warn

    ports = ports_of(plan)
    if ports is not None and ports.short:
        warn(f"this run may run out of ports: {ports.evidence()}", "-k keeps connections")


def _place(text: str | None, processes: str, plan: "Plan", *, one_only: bool) -> "Place | None":
    if text is None:
        return None
    from opskit.bench.cluster import refuse_unshippable
    from opskit.bench.scheduler import parse_place, require_extra
    from opskit.errors import Misuse

    place = parse_place(text)
    if processes != "1":
        raise Misuse(
            "--cluster and --processes exclude each other: a worker is one process",
            hint="start as many workers on a machine as it has cores: dask worker ADDRESS --nworkers auto --nthreads 1",
        )
    if one_only:
        raise Misuse("-g and -v tell of every request, and need one process", hint="leave --cluster out")
    refuse_unshippable(plan)
    require_extra(place)
    return place


def _processes(text: str, plan: "Plan", *, one_only: bool) -> int:
    from opskit.errors import Misuse

    if text == "1":
        return 1
    from opskit.bench.plan import refuse_undividable
    from opskit.bench.processes import cores

    number = min(cores(), plan.concurrency) if text == "auto" else int(text) if text.isdecimal() else 0
    if number < 1:
        raise Misuse(f"--processes {text}: not a number of processes", hint="--processes 2, or auto")
    if number > 1:
        refuse_undividable(plan, number, f"--processes {number}")
        if one_only:
            raise Misuse("-g, -v, --save-failures and --script need one process", hint="leave --processes out")
    return number


def _exit_code(results: "Results") -> int:
    from opskit.bench.results import Stop

    if results.stop is Stop.INTERRUPTED:
        return ExitCode.INTERRUPTED
    if not results.answered:
        return ExitCode.UNABLE
    lost = results.together is not None and results.together.lost > 0
    return ExitCode.PARTIAL if lost or results.stop in (Stop.BAD_REQUEST, Stop.SCRIPT) else ExitCode.OK


def _nothing_answered(results: "Results") -> Iterator[ErrorNote]:
    from opskit.bench.results import Stop

    if results.answered or results.stop in (Stop.INTERRUPTED, Stop.BAD_REQUEST, Stop.SCRIPT):
        return
    asked = "the request got no" if results.started == 1 else f"not one of {results.started:,} requests got an"
    yield ErrorNote("no_answer", f"{asked} answer: {results.reason}", _next_step(results))


def _next_step(results: "Results") -> str:
    """What to try when nothing answered."""
    from opskit.bench.results import Failure

    reason = results.reason
    if Failure.NO_HTTP2 in results.failures:
        return "leave out --http2 to ask it in HTTP/1.1"
    if "expired" in reason or "mismatch" in reason or "not valid for" in reason:
        return "the certificate itself must be put right; --insecure skips the check"
    if "certificate" in reason:
        return "trust its issuer with --cacert FILE, or skip the check with --insecure"
    return "is the server up, and is this its port? `opskit target` starts one to try"


class _Rendering:
    """How the results are to be shown on stdout."""

    def __init__(
        self, form: str, table: str, row: str, cell: str, no_percentiles: bool, no_spread: bool, quiet: bool
    ) -> None:
        self._form = form
        self._attributes = {"table": table, "row": row, "cell": cell}
        self._ab: dict[str, Any] = {
            "percentiles": not no_percentiles, "spread": not no_spread, "heartbeat": not quiet
        }  # fmt: skip

    def of(self, results: "Results", found: "Compared | None") -> "Callable[[Stdout], None]":
        """The report, and a comparison after the one for people."""

        def render(out: "Stdout") -> None:
            from opskit.bench.report import ab, text
            from opskit.bench.several import show_comparison

            if self._form == "text":
                text.show(results, out.rich, ascii_only=out.plain_ascii)
                show_comparison(found, out)
                return
            pages = {
                "ab": lambda: ab.text(results, **self._ab),
                "html": lambda: ab.page(results, **self._attributes),
                "csv": lambda: ab.csv(results),
            }
            for piece in pages[self._form]():
                out.write(piece)

        return render
