"""What the words of the command line ask for, as the parts of a plan. Every function raises Misuse."""

from pathlib import Path
from typing import TYPE_CHECKING

from opskit import __version__
from opskit.bench.hooks import Hooks, load_hooks
from opskit.bench.plan import (
    Plan,
    RequestsFile,
    Route,
    Schedule,
    Shape,
    Tls,
    one_of,
    parse_cookie,
    parse_header,
    parse_host_port,
    parse_method,
    parse_value,
    refuse_undividable,
)
from opskit.bench.requests import FORMATS as READ_FORMATS
from opskit.bench.requests import format_of
from opskit.bench.schedule import parse_rate
from opskit.errors import Misuse, os_reason

REPEAT_AGAINST = 5  # pairs, where --against says no number

if TYPE_CHECKING:
    from opskit.bench.cluster.scheduler import Place


def number(given: int | None, ends_otherwise: object) -> int | None:
    """-n: one request, where nothing else says how many there are to be."""
    return given if given is not None or ends_otherwise else 1


def requests_file(path: str | None, form: str, order: str, seed: int | None) -> RequestsFile | None:
    one_of(form, ("auto", *READ_FORMATS), "--requests-format")
    one_of(order, ("sequential", "random", "once"), "--order")
    if path is None:
        return None
    return RequestsFile(path, format_of(path) if form == "auto" else form, order, seed)


def hooks(script: str | None, file: RequestsFile | None) -> Hooks | None:
    if script is None:
        return None
    found = load_hooks(script)
    if found.request is not None and file is not None:
        raise Misuse(
            f"--script {script} has a request(i), and -R names requests too", hint="leave one of them out"
        )
    return found


def shape(
    method: str | None,
    post: str | None,
    put: str | None,
    head: bool,
    header: list[str] | None,
    cookie: list[str] | None,
    credentials: str | None,
    content_type: str,
    keep_alive: bool,
) -> Shape:
    if sum(map(bool, (post, put, head))) > 1:
        raise Misuse("-p, -u and -i exclude each other", hint="with -p or -u, -m METHOD names another method")
    body = post or put
    return Shape(
        method=parse_method(method)
        if method
        else ("POST" if post else "PUT" if put else "HEAD" if head else "GET"),
        headers=tuple(parse_header(line) for line in header or ()),
        cookies=tuple(parse_cookie(each) for each in cookie or ()),
        credentials=credentials or "",
        body=_body(body) if body else None,
        content_type=parse_value(content_type, "-T"),
        keep_alive=keep_alive,
        user_agent=f"opskit-bench/{__version__}",
    )


def _body(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misuse(f"{path}: {os_reason(error)}", hint="-p and -u take a file with the body to send") from error


def route(
    unix_socket: str | None,
    connect_to: str | None,
    proxy: str | None,
    proxy_auth: str | None,
    local_address: str | None,
    buffer: int | None,
) -> Route:
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
    addresses = tuple(part.strip() for part in text.split(",")) if text is not None else ()
    if not all(addresses):
        raise Misuse(f"-B {text}: an address is missing", hint="-B 192.0.2.1,192.0.2.2, for instance")
    return addresses


def schedule(rate: str | None, arrivals: str, seed: int | None) -> Schedule | None:
    poisson = one_of(arrivals, ("even", "poisson"), "--arrivals") == "poisson"
    return Schedule(parse_rate(rate), poisson, seed) if rate is not None else None


_TLS_VERSIONS = {"ALL": None, "TLS1": "TLSv1", "TLS1.1": "TLSv1_1", "TLS1.2": "TLSv1_2", "TLS1.3": "TLSv1_3"}


def tls(
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
) -> Tls:
    if key and not certificate:
        raise Misuse(f"--key {key} has no certificate", hint="give that with -E FILE")
    lowest, highest = _tls_versions(protocol, tls_min, tls_max)
    return Tls(not insecure, ca_file, certificate, key, lowest, highest, ciphers, not no_sni, resume)


def _tls_versions(protocol: str, tls_min: str | None, tls_max: str | None) -> tuple[str | None, str | None]:
    exact = _TLS_VERSIONS[one_of(_tls_name(protocol), _TLS_VERSIONS, "-f")]
    names = [name for name in _TLS_VERSIONS if name != "ALL"]
    lowest, highest = (
        _TLS_VERSIONS[one_of(_tls_name(given), names, option)] if given is not None else exact
        for given, option in ((tls_min, "--tls-min"), (tls_max, "--tls-max"))
    )
    if exact and (tls_min or tls_max):
        raise Misuse("-f names one version, --tls-min and --tls-max a range", hint="give either")
    if lowest and highest and lowest > highest:
        raise Misuse(f"--tls-min {tls_min} is above --tls-max {tls_max}", hint="exchange them")
    return lowest, highest


def _tls_name(text: str) -> str:
    """A version in ab's spelling, where it is in that of OpenSSL (TLSv1.2) or a number alone; else as it is."""
    if text.upper() == "ALL":
        return "ALL"
    name = f"TLS{text.upper().removeprefix('TLS').removeprefix('V')}"
    return name if name in _TLS_VERSIONS else text


def streams(http2: bool, number: int | None) -> int | None:
    if number is not None and not http2:
        raise Misuse("--streams are what HTTP/2 has", hint="add --http2")
    return (1 if number is None else number) if http2 else None


def place(text: str | None, processes: str, plan: Plan, *, one_only: bool) -> "Place | None":
    if text is None:
        return None
    from opskit.bench.cluster.running import refuse_unshippable
    from opskit.bench.cluster.scheduler import parse_place, require_extra

    found = parse_place(text)
    if processes != "1":
        raise Misuse(
            "--cluster and --processes exclude each other: a worker is one process",
            hint="a worker for each core: dask worker ADDRESS --nworkers auto --nthreads 1",
        )
    if one_only:
        raise Misuse("-g and -v tell of every request, and need one process", hint="leave --cluster out")
    refuse_unshippable(plan)
    require_extra(found)
    return found


def processes(text: str, plan: Plan, *, one_only: bool) -> int:
    if text == "1":
        return 1
    from opskit.bench.processes import cores

    count = min(cores(), plan.concurrency) if text == "auto" else int(text) if text.isdecimal() else 0
    if count < 1:
        raise Misuse(f"--processes {text}: not a number of processes", hint="--processes 2, or auto")
    if count > 1:
        refuse_undividable(plan, count, f"--processes {count}")
        if one_only:
            raise Misuse("-g, -v, --save-failures and --script need one process", hint="leave --processes out")
    return count


def times(number: int | None, against: str | None) -> int:
    """How many runs a side. Raises Misuse."""
    if number is not None and number < 1:
        raise Misuse(f"--repeat {number}: at least one run is needed", hint="--repeat 5, for instance")
    return number or (REPEAT_AGAINST if against else 1)
