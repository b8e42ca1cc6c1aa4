"""The command lines of `opskit bench` and `opskit report`: options in, a plan carried out, a report out."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from opskit.options import Json, Quiet
from opskit.outcome import ErrorNote, ExitCode, Outcome
from opskit.panels import Panelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opskit.bench.answers.exchanges import FailingExchanges
    from opskit.bench.compare.compared import Baseline, Compared
    from opskit.bench.compare.repeating import Sides
    from opskit.bench.plan import Plan
    from opskit.bench.results import Results, Run
    from opskit.bench.rows import RowSpool
    from opskit.console import Stdout

app = typer.Typer(add_completion=False, rich_markup_mode=None)
report_app = typer.Typer(add_completion=False, rich_markup_mode=None)

FORMATS = ("text", "ab", "html", "csv")

# The headings of the help.
WHAT = "What is asked"
MUCH = "How much, and how fast"
WHO = "Who does it"
WAY = "The way to the server"
TLS = "TLS"
GOOD = "What is a good answer, what a good run"
COMPARE = "Comparing"
SEARCH = "The highest rate"
REPORT = "The report"


def _version(asked: bool) -> None:
    if asked:
        from opskit.cli import show_version

        show_version(asked)


@app.command(cls=Panelled, context_settings={"help_option_names": ["-h", "--help"]})
def bench(
    url: Annotated[str | None, typer.Argument(help="What to ask. With -R, each line is appended to it.")] = None,
    requests: Annotated[str | None, typer.Option("-R", "--requests", metavar="FILE", help="Take the next line of FILE for each request; - is stdin.", rich_help_panel=WHAT)] = None,
    requests_format: Annotated[str, typer.Option(help="How to read FILE: auto (by its name), lines, jsonl, or access-log.", rich_help_panel=WHAT)] = "auto",
    order: Annotated[str, typer.Option(help="sequential (and from the top again), random (shuffled), or once (end with the file).", rich_help_panel=WHAT)] = "sequential",
    seed: Annotated[int | None, typer.Option(help="Make what is drawn by chance repeat itself.", rich_help_panel=WHAT)] = None,
    script: Annotated[str | None, typer.Option("--script", metavar="FILE", help="Python functions that make requests, request(i), or are shown answers, response(r).", rich_help_panel=WHAT)] = None,
    method: Annotated[str | None, typer.Option("-m", "--method", help="Another method than GET.", rich_help_panel=WHAT)] = None,
    head: Annotated[bool, typer.Option("-i", "--head", help="HEAD instead of GET.", rich_help_panel=WHAT)] = False,
    post: Annotated[str | None, typer.Option("-p", "--post", metavar="FILE", help="POST the bytes of FILE.", rich_help_panel=WHAT)] = None,
    put: Annotated[str | None, typer.Option("-u", "--put", metavar="FILE", help="PUT the bytes of FILE.", rich_help_panel=WHAT)] = None,
    content_type: Annotated[str, typer.Option("-T", "--content-type", metavar="TYPE", help="Content-Type of -p and -u.", rich_help_panel=WHAT)] = "text/plain",
    header: Annotated[list[str] | None, typer.Option("-H", "--header", metavar="LINE", help="Add a header line; may repeat.", rich_help_panel=WHAT)] = None,
    cookie: Annotated[list[str] | None, typer.Option("-C", "--cookie", metavar="NAME=VALUE", help="Add a cookie; may repeat.", rich_help_panel=WHAT)] = None,
    cookies: Annotated[bool, typer.Option("--cookies", help="Send back the cookies that are set; each of -c has a jar of its own.", rich_help_panel=WHAT)] = False,
    auth: Annotated[str | None, typer.Option("-A", "--auth", metavar="USER:PASS", help="Basic authentication.", rich_help_panel=WHAT)] = None,
    redirects: Annotated[int, typer.Option("--redirects", metavar="N", help="Follow up to N redirects for each request; 0 follows none.", rich_help_panel=WHAT)] = 0,
    number: Annotated[int | None, typer.Option("-n", "--number", help="Requests in all. [1; with -R every line once; with -t no limit]", rich_help_panel=MUCH)] = None,
    seconds: Annotated[str | None, typer.Option("-t", "--time", metavar="TIME", help="End after this long: 30, 30s, 5m.", rich_help_panel=MUCH)] = None,
    concurrency: Annotated[int | None, typer.Option("-c", "--concurrency", help="Requests at a time. [1; with --find-rate as many as it takes]", rich_help_panel=MUCH)] = None,
    rate: Annotated[str | None, typer.Option("--rate", metavar="RATE", help="Open model: requests/s in all, as 500, 100,500@30s or 10..500@1m; -c is the limit.", rich_help_panel=MUCH)] = None,
    arrivals: Annotated[str, typer.Option("--arrivals", help="With --rate: even, or poisson.", rich_help_panel=MUCH)] = "even",
    warmup: Annotated[str | None, typer.Option("--warmup", metavar="TIME", help="Send this long before the run, and leave it out of the figures.", rich_help_panel=MUCH)] = None,
    limit: Annotated[str, typer.Option("-s", "--timeout", metavar="TIME", help="Longest time for one request, connecting included.", rich_help_panel=MUCH)] = "30",
    keep_going: Annotated[bool, typer.Option("-r", "--keep-going", help="Go on though the first 10 × c requests failed.", rich_help_panel=MUCH)] = False,
    processes: Annotated[str, typer.Option("--processes", metavar="N", help="So many processes share the run; auto is one a core.", rich_help_panel=WHO)] = "1",
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="PLACE", help="Workers of a Dask cluster share the run: tcp://HOST:8786, local:4, or ssh:FILE with a host a line.", rich_help_panel=WHO)] = None,
    keep_alive: Annotated[bool, typer.Option("-k", "--keep-alive", help="Keep connections; else each request opens one.", rich_help_panel=WAY)] = False,
    http2: Annotated[bool, typer.Option("--http2", help="HTTP/2: by ALPN for https, at once for http. Connections are kept.", rich_help_panel=WAY)] = False,
    streams: Annotated[int | None, typer.Option("--streams", metavar="N", help="With --http2: of the -c requests, N share a connection. [1]", rich_help_panel=WAY)] = None,
    unix_socket: Annotated[str | None, typer.Option("--unix-socket", metavar="PATH", help="Connect to this unix socket.", rich_help_panel=WAY)] = None,
    connect_to: Annotated[str | None, typer.Option("--connect-to", metavar="HOST:PORT", help="Connect there instead of to the URL's host.", rich_help_panel=WAY)] = None,
    proxy: Annotated[str | None, typer.Option("-X", "--proxy", metavar="HOST[:PORT]", help="Go through an HTTP proxy; https by CONNECT.", rich_help_panel=WAY)] = None,
    proxy_auth: Annotated[str | None, typer.Option("-P", "--proxy-auth", metavar="USER:PASS", help="Basic authentication for the proxy.", rich_help_panel=WAY)] = None,
    local_address: Annotated[str | None, typer.Option("-B", "--local-address", metavar="ADDRESS,…", help="Connect from these addresses, in turn.", rich_help_panel=WAY)] = None,
    buffer: Annotated[int | None, typer.Option("-b", "--buffer", metavar="BYTES", help="Socket buffers, both ways.", rich_help_panel=WAY)] = None,
    cacert: Annotated[str | None, typer.Option("--cacert", metavar="FILE", help="Trust the certificates in this PEM file.", rich_help_panel=TLS)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not verify the server's certificate.", rich_help_panel=TLS)] = False,
    certificate: Annotated[str | None, typer.Option("-E", "--cert", metavar="FILE", help="Client certificate: chain and key in one PEM file.", rich_help_panel=TLS)] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="FILE", help="The key of -E, where it has a PEM file of its own.", rich_help_panel=TLS)] = None,
    protocol: Annotated[str, typer.Option("-f", "--tls", metavar="VERSION", help="ALL, TLS1, TLS1.1, TLS1.2 or TLS1.3.", rich_help_panel=TLS)] = "ALL",
    tls_min: Annotated[str | None, typer.Option("--tls-min", metavar="VERSION", help="The lowest TLS version to accept, as for -f.", rich_help_panel=TLS)] = None,
    tls_max: Annotated[str | None, typer.Option("--tls-max", metavar="VERSION", help="The highest.", rich_help_panel=TLS)] = None,
    ciphers: Annotated[str | None, typer.Option("-Z", "--ciphers", help="OpenSSL cipher list, up to TLS 1.2.", rich_help_panel=TLS)] = None,
    no_sni: Annotated[bool, typer.Option("-I", "--no-sni", help="Send no server name; the certificate's name is not checked.", rich_help_panel=TLS)] = False,
    tls_resume: Annotated[bool, typer.Option("--tls-resume", help="Let new connections resume TLS sessions; else each handshake is in full.", rich_help_panel=TLS)] = False,
    check: Annotated[list[str] | None, typer.Option("--check", metavar="COND", help="What must hold of an answer: status=200,204, 'length > 0', 'body ~ REGEX', 'header.NAME ~ REGEX'; may repeat.", rich_help_panel=GOOD)] = None,
    check_sample: Annotated[str | None, typer.Option("--check-sample", metavar="SHARE", help="Check only so many of the answers, by chance: 1%.", rich_help_panel=GOOD)] = None,
    fail_status: Annotated[bool, typer.Option("--fail-status", help="Count a status of 400 or more as a failure.", rich_help_panel=GOOD)] = False,
    fail_length: Annotated[bool, typer.Option("--fail-length", help="Count a body of another length than the first as a failure.", rich_help_panel=GOOD)] = False,
    variable_length: Annotated[bool, typer.Option("-l", "--variable-length", help="No length is expected (for the ab format).", rich_help_panel=GOOD)] = False,
    fail_if: Annotated[list[str] | None, typer.Option("--fail-if", metavar="COND", help="Exit 1 if this holds: 'p99 > 250ms', 'failed > 0.1%', 'rate < 500/s', 'status.5xx > 0'; may repeat.", rich_help_panel=GOOD)] = None,
    save_failures: Annotated[str | None, typer.Option("--save-failures", metavar="FILE", help="Keep the first 20 failing exchanges, 5 of a kind, as HAR.", rich_help_panel=GOOD)] = None,
    repeat: Annotated[int | None, typer.Option("--repeat", metavar="N", help="Make N runs and show how they spread. [1; with --against 5]", rich_help_panel=COMPARE)] = None,
    baseline: Annotated[str | None, typer.Option("--baseline", metavar="FILE", help="Compare with the run or runs kept in FILE; exit 1 if worse.", rich_help_panel=COMPARE)] = None,
    against: Annotated[str | None, typer.Option("--against", metavar="URL", help="Compare with this URL, measured in turn with the first.", rich_help_panel=COMPARE)] = None,
    tolerance: Annotated[str, typer.Option("--tolerance", metavar="PERCENT", help="How much worse than the baseline is no failure.", rich_help_panel=COMPARE)] = "5%",
    force: Annotated[bool, typer.Option("--force", help="Compare with a baseline that asked something else.", rich_help_panel=COMPARE)] = False,
    find_rate: Annotated[list[str] | None, typer.Option("--find-rate", metavar="COND", help="Find the highest rate at which this holds: 'p99 < 200ms'; may repeat.", rich_help_panel=SEARCH)] = None,
    settle: Annotated[str, typer.Option("--settle", metavar="TIME", help="Before each step of --find-rate, at its rate.", rich_help_panel=SEARCH)] = "1s",
    step_time: Annotated[str | None, typer.Option("--step-time", metavar="TIME", help="How long a step measures. [5s, or 20 times the time in COND]", rich_help_panel=SEARCH)] = None,
    min_rate: Annotated[float, typer.Option("--min-rate", metavar="RATE", help="Where --find-rate begins, in requests/s.", rich_help_panel=SEARCH)] = 10,
    max_rate: Annotated[float, typer.Option("--max-rate", metavar="RATE", help="Where --find-rate ends.", rich_help_panel=SEARCH)] = 100_000,
    precision: Annotated[str, typer.Option("--precision", metavar="PERCENT", help="How closely --find-rate looks.", rich_help_panel=SEARCH)] = "2%",
    form: Annotated[str, typer.Option("--format", help="Report as text, ab (ab's lines), html (ab's -w) or csv.", rich_help_panel=REPORT)] = "text",
    as_json: Json = False,
    save: Annotated[str | None, typer.Option("--save", metavar="FILE", help="Keep the run, for opskit report.", rich_help_panel=REPORT)] = None,
    page: Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write a page with plots that opens offline; needs opskit[plot].", rich_help_panel=REPORT)] = None,
    junit: Annotated[str | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, a case for each --fail-if.", rich_help_panel=REPORT)] = None,
    csv: Annotated[str | None, typer.Option("-e", "--csv", metavar="FILE", help="Write percentiles as ab's CSV.", rich_help_panel=REPORT)] = None,
    gnuplot: Annotated[str | None, typer.Option("-g", "--gnuplot", metavar="FILE", help="Write a line for each request, as ab's TSV.", rich_help_panel=REPORT)] = None,
    html: Annotated[bool, typer.Option("-w", "--html-table", help="The same as --format html.", rich_help_panel=REPORT)] = False,
    table: Annotated[str | None, typer.Option("-x", metavar="ATTRS", help="Attributes of the HTML table.", rich_help_panel=REPORT)] = None,
    row: Annotated[str | None, typer.Option("-y", metavar="ATTRS", help="Attributes of its rows.", rich_help_panel=REPORT)] = None,
    cell: Annotated[str | None, typer.Option("-z", metavar="ATTRS", help="Attributes of its cells.", rich_help_panel=REPORT)] = None,
    no_percentiles: Annotated[bool, typer.Option("-d", "--no-percentiles", help="No percentiles in the ab format.", rich_help_panel=REPORT)] = False,
    no_spread: Annotated[bool, typer.Option("-S", "--no-spread", help="No deviation and median in the ab format.", rich_help_panel=REPORT)] = False,
    verbosity: Annotated[int, typer.Option("-v", "--verbosity", metavar="N", help="2 shows requests and answers, 3 every status.", rich_help_panel=REPORT)] = 0,
    quiet: Quiet = False,
    version: Annotated[bool, typer.Option("-V", callback=_version, is_eager=True, help="Show the version.", rich_help_panel=REPORT)] = False,
) -> Outcome:  # fmt: skip
    """Load-test a web server with a file of requests.

    The options are ab's, before or after the URL. With -R, the i-th request
    takes the i-th line of the file, appended to the URL:

    \b
      opskit bench -n 5000 -c 20 -k -R queries.txt http://127.0.0.1:8080/search?q=
      opskit bench -t 30s -c 50 -k http://127.0.0.1:8080/
      opskit bench -R urls.txt          every URL in the file once
      opskit bench --json -n 1000 http://127.0.0.1:8080/ | jq .data.rate

    \b
      URL=http://127.0.0.1:8080/
      opskit bench -k -t 30s -c 50 --rate 500 --fail-if 'p99 > 250ms' $URL
      opskit bench -k --find-rate 'p99 < 200ms' $URL
      opskit bench -k -n 20000 -c 20 --repeat 10 --save old.json $URL
      opskit bench -k -n 20000 -c 20 --repeat 10 --baseline old.json $URL

    Exit codes: 0 the run was carried out, whatever the server answered; 1 a
    --fail-if held, it is worse than the baseline, or no rate holds; 2 the
    call or the file is wrong; 3 not one request got an answer; 4 a bad line
    or the script ended the run; 130 Ctrl-C ended it. `opskit target` starts
    a server to try it on.
    """
    from opskit.bench import ending, wanted
    from opskit.bench import plan as plans
    from opskit.bench.checks import parse_checks
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
    file = wanted.requests_file(requests, requests_format, order, seed)
    thresholds = parse_thresholds(fail_if or ())
    hooks = wanted.hooks(script, file)
    time = parse_duration(seconds, bare="s") if seconds is not None else None
    target = plans.parse_url(url) if url is not None else None
    plan = plans.Plan(
        url=target,
        requests=file,
        number=wanted.number(number, file or time is not None or rate or find_rate or (hooks and hooks.request)),
        seconds=time,
        warmup=parse_duration(warmup, bare="s") if warmup is not None else 0.0,
        concurrency=1 if concurrency is None else concurrency,
        request_limit=parse_duration(limit, bare="s"),
        shape=wanted.shape(method, post, put, head, header, cookie, auth or (target.credentials if target else None), content_type, keep_alive or http2),
        route=wanted.route(unix_socket, connect_to, proxy, proxy_auth, local_address, buffer),
        tls=wanted.tls(insecure, cacert, certificate, key, protocol, tls_min, tls_max, ciphers, no_sni, tls_resume),
        schedule=wanted.schedule(rate, arrivals, seed),
        streams=wanted.streams(http2, streams),
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
        from opskit.bench.compare import several

        several.refuse_beside("--find-rate", {
            "--rate": rate, "-n": number, "-t": seconds, "--warmup": warmup, "--repeat": repeat, "--save": save,
            "--baseline": baseline, "--against": against, "--fail-if": fail_if, "--processes": processes != "1", "--cluster": cluster,
            "--arrivals": arrivals != "even", "--order once": order == "once", "--html": page,
            **one_run,
        })  # fmt: skip
        several.refuse_a_pipe(plan, "--find-rate")
        search = several.read_search(find_rate, settle, step_time, min_rate, max_rate, precision, concurrency)
        return several.searched(plan, search, quiet=quiet or as_json, as_json=as_json)
    times, tolerated = wanted.times(repeat, against), parse_share(tolerance, "--tolerance")
    before = _baseline(baseline, run_facts(plan, 0.0), tolerated, force=force)
    one_only = bool(gnuplot or save_failures or script) or verbosity >= 2
    place = wanted.place(cluster, processes, plan, one_only=one_only)
    crew = wanted.processes(processes, plan, one_only=one_only)
    for path in filter(None, (save, csv, gnuplot, junit, save_failures)):
        require_writable(path)
    _require_page(page)
    if place is None:  # workers elsewhere look at ports of their own
        _warn_of_ports(plan)
    if against or times > 1:
        from opskit.bench.compare import several

        several.refuse_beside(
            "--against" if against else "--repeat", {**one_run, "-v": verbosity >= 2, "--cluster": cluster}
        )
        several.refuse_a_pipe(plan, "--repeat")
        second = _against(plan, against, baseline)
        sides = several.measure_in_turn(plan, times, second, crew, quiet=quiet or as_json)
        unkept = tuple(
            ending.write_files(
                (save, lambda path: keep(sides.new, path)),
                (page, lambda path: _write_page(_sides(sides), path)),
            )
        )
        before = several.baseline_of_turns(sides, second, tolerated) if second else before
        return several.repeated(sides, before, thresholds, unkept, as_json=as_json)
    watch = progress(plan, quiet=quiet or as_json)
    rows, failing = _row_spool(gnuplot), _failing(save_failures)
    if place is not None:
        from opskit.bench.cluster.running import carry_out_on_cluster

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
        ending.write_files(
            (save, lambda path: keep([results], path)),
            (csv, lambda path: write_lines(path, ab.csv(results))),
            (gnuplot if rows else None, lambda path: write_lines(path, rows.lines() if rows else ())),
            (junit, lambda path: write_lines(path, ci.junit_lines(results, thresholds, over))),
            (save_failures, lambda path: _write_failures(failing, path)),
            (page, lambda path: _write_page({"": results}, path)),
        )
    )
    errors = (*((error.note(),) if error else ()), *lost, *ending.nothing_answered(results))
    too_bad = [ErrorNote("threshold", str(each), "--save keeps the run for a closer look") for each in over]
    found = _compared(results, before)
    too_bad += found.notes() if found else ()
    how = _Rendering(shown, table or "", row or "", cell or "bgcolor=white", no_percentiles, no_spread, quiet)
    return Outcome(
        command="bench",
        schema="bench/1",
        data=_data(results, found),
        render=how.of(results, found),
        exit_code=ending.exit_code(results)
        or (ExitCode.UNABLE if lost else ExitCode.BAD if too_bad else ExitCode.OK),
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
    from opskit.bench.compare import several
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
    before = _baseline(baseline, runs[0].run, tolerated, force=force)
    named = {
        path if len(each) == 1 else f"{path}, run {number}": run
        for path, each in kept.items()
        for number, run in enumerate(each, 1)
    }
    _require_page(page)
    if page is not None:
        _write_page(named, page)
    if len(kept) > 1:
        data = {"runs": [{"name": name, **_data(run, None)} for name, run in named.items()]}
        return Outcome("report", "bench-runs/1", data, _side_by_side(named), as_json=as_json)
    if len(runs) > 1:
        several.refuse_beside(f"{files[0]}, which holds {len(runs)} runs,", one_run)
        return several.reported(runs, before, as_json=as_json)
    results = runs[0]
    found = _compared(results, before)
    how = _Rendering(shown, "", "", "bgcolor=white", no_percentiles, no_spread, quiet=False)
    data = _data(results, found)
    notes = tuple(found.notes()) if found else ()
    return Outcome(
        "report", "bench/1", data, how.of(results, found), ExitCode.BAD if notes else ExitCode.OK, notes, as_json
    )


def _data(results: "Results", found: "Compared | None") -> dict[str, Any]:
    """The `data` of the JSON envelope."""
    from opskit.bench import verdict

    comparison = {"comparison": found.to_dict()} if found is not None else {}
    return {**results.to_dict(), "verdict": verdict.to_dict(results), **comparison}


def _baseline(path: str | None, new: "Run", tolerance: float, *, force: bool) -> "Baseline | None":
    if path is None:
        return None
    from opskit.bench.compare.compared import read_baseline

    return read_baseline(path, new, tolerance=tolerance, force=force)


def _compared(results: "Results", before: "Baseline | None") -> "Compared | None":
    if before is None:
        return None
    from opskit.bench.compare.compared import compared

    return compared([results], before)


def _write_failures(failing: "FailingExchanges | None", path: str) -> None:
    from opskit.bench.answers import har

    har.write(path, failing.kept if failing else ())


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

    from opskit.bench.compare import several
    from opskit.bench.plan import parse_url
    from opskit.errors import Misuse

    if url is None:
        return None
    several.refuse_beside("--against", {"--baseline": baseline})
    if plan.url is None:
        raise Misuse("--against takes the place of the URL, and there is none", hint="give a URL beside -R")
    return replace(plan, url=parse_url(url))


def _row_spool(gnuplot: str | None) -> "RowSpool | None":
    from opskit.bench.rows import RowSpool

    return RowSpool() if gnuplot else None


def _failing(save_failures: str | None) -> "FailingExchanges | None":
    from opskit.bench.answers.exchanges import FailingExchanges

    return FailingExchanges() if save_failures else None


def _warn_of_ports(plan: "Plan") -> None:
    from opskit.bench.ports import ports_of
    from opskit.console import warn

    ports = ports_of(plan)
    if ports is not None and ports.short:
        warn(f"this run may run out of ports: {ports.evidence()}", "-k keeps connections")


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

            if self._form == "text":
                text.show(results, out.rich, ascii_only=out.plain_ascii)
                if found is not None:
                    from opskit.bench.compare.several import show_comparison

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
