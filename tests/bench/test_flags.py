"""What each option means: by the plan it makes, by what arrives at a server, by what is refused."""

import base64
import re
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opskit import __version__
from opskit.bench import run
from opskit.bench.cli import app
from opskit.bench.plan import Origin, Plan, RequestsFile, Route, Tls
from opskit.errors import Misuse
from tests.command import opskit
from tests.servers import Running, target

URL = "http://h:81/p?q="
AGENT = f"User-Agent: opskit-bench/{__version__}"


class Planned(Exception):
    """Carries the plan out of the command, before anything is done."""

    def __init__(self, plan: Plan, how: dict[str, Any]) -> None:
        super().__init__()
        self.plan, self.how = plan, how


@pytest.fixture(autouse=True)
def only_plan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def carry_out(plan: Plan, **how: Any) -> None:
        raise Planned(plan, how)

    monkeypatch.setattr(run, "carry_out", carry_out)


def planned(*args: str) -> Planned:
    result = CliRunner().invoke(app, [*args], standalone_mode=False)
    if isinstance(result.exception, Planned):
        return result.exception
    assert result.exception is not None, result.output
    raise result.exception


def plan(*args: str) -> Plan:
    return planned(*args).plan


@pytest.mark.parametrize(
    ("args", "number", "seconds"),
    [
        ((URL,), 1, None),
        (("-n", "5", URL), 5, None),
        (("-n5", URL), 5, None),
        (("-t", "2", URL), None, 2.0),
        (("-t", "500ms", URL), None, 0.5),
        (("-t", "2", "-n", "9", URL), 9, 2.0),
        (("-n", "9", "-t", "2", URL), 9, 2.0),
        (("-R", "f", URL), None, None),
        (("-R", "f", "-n", "7", URL), 7, None),
    ],
)
def test_n_and_t_end_the_run_whichever_comes_first(
    args: tuple[str, ...], number: int | None, seconds: float | None
) -> None:
    made = plan(*args)
    assert (made.number, made.seconds) == (number, seconds)


def test_options_are_bundled_and_may_follow_the_url() -> None:
    made = plan("-kc50", URL, "-n100", "-rl")
    assert (made.shape.keep_alive, made.concurrency, made.number) == (True, 50, 100)
    assert (made.keep_going, made.variable_length) == (True, True)
    assert made.url is not None
    assert (made.url.origin, made.url.target) == (Origin("http", "h", 81), b"/p?q=")


def test_without_options_a_run_is_abs_but_for_its_faults() -> None:
    made = plan(URL)
    assert (made.concurrency, made.request_limit, made.shape.method) == (1, 30.0, "GET")
    assert [made.shape.keep_alive, made.keep_going, made.variable_length, made.fail_length] == [False] * 4
    assert made.tls == Tls()
    assert made.tls.verify
    assert made.route == Route()


@pytest.mark.parametrize(
    ("args", "method", "body"),
    [
        (("-i",), "HEAD", None),
        (("-m", "DELETE"), "DELETE", None),
        (("-i", "-m", "OPTIONS"), "OPTIONS", None),
        (("-p", "BODY"), "POST", b"a\0\xff"),
        (("-u", "BODY"), "PUT", b"a\0\xff"),
        (("-p", "BODY", "-m", "PATCH"), "PATCH", b"a\0\xff"),
        (("-m", "PATCH", "-p", "BODY"), "PATCH", b"a\0\xff"),
    ],
)
def test_the_method_and_the_body(tmp_path: Path, args: tuple[str, ...], method: str, body: bytes | None) -> None:
    (tmp_path / "BODY").write_bytes(b"a\0\xff")
    shape = plan(*(str(tmp_path / "BODY") if arg == "BODY" else arg for arg in args), URL).shape
    assert (shape.method, shape.body) == (method, body)


def test_a_body_has_the_type_of_T() -> None:
    assert plan(URL).shape.content_type == "text/plain"
    assert plan("-T", "text/csv", URL).shape.content_type == "text/csv"


def test_headers_and_cookies_repeat() -> None:
    shape = plan("-H", "Host: x", "-H", "A:1", "-C", "a=1", "-C", "b=2", "-A", "u:p", URL).shape
    assert shape.headers == (("Host", "x"), ("A", "1"))
    assert shape.cookies == ("a=1", "b=2")
    assert shape.credentials == "u:p"
    assert shape.user_agent == f"opskit-bench/{__version__}"


def test_credentials_in_the_url_are_used_unless_A_gives_others() -> None:
    assert plan("http://me:pw@h/").shape.credentials == "me:pw"
    assert plan("-A", "u:p", "http://me:pw@h/").shape.credentials == "u:p"


@pytest.mark.parametrize(
    ("args", "route"),
    [
        (("-X", "proxy:3128", "-P", "u:p"), Route(proxy=("proxy", 3128), proxy_credentials="u:p")),
        (("-X", "proxy"), Route(proxy=("proxy", 80))),
        (("-B", "127.0.0.2"), Route(local_addresses=("127.0.0.2",))),
        (("-B", "127.0.0.2,::1"), Route(local_addresses=("127.0.0.2", "::1"))),
        (("-b", "65536"), Route(socket_buffer=65536)),
        (("--connect-to", "[::1]:8080"), Route(connect_to=("::1", 8080))),
        (("--unix-socket", "/run/x"), Route(unix_socket="/run/x")),
    ],
)
def test_the_way_to_the_server(args: tuple[str, ...], route: Route) -> None:
    assert plan(*args, URL).route == route


@pytest.mark.parametrize(
    ("args", "tls"),
    [
        (("-f", "ALL"), Tls()),
        (("-f", "tls1.2"), Tls(lowest="TLSv1_2", highest="TLSv1_2")),
        (("-f", "TLS1.3"), Tls(lowest="TLSv1_3", highest="TLSv1_3")),
        (("-f", "TLS1"), Tls(lowest="TLSv1", highest="TLSv1")),
        (("-f", "TLS1.1"), Tls(lowest="TLSv1_1", highest="TLSv1_1")),
        (("-Z", "ECDHE+AESGCM"), Tls(ciphers="ECDHE+AESGCM")),
        (("-E", "me.pem"), Tls(certificate="me.pem")),
        (("-I",), Tls(server_name=False)),
        (("--insecure",), Tls(verify=False)),
        (("--cacert", "ca.pem"), Tls(ca_file="ca.pem")),
    ],
)
def test_how_tls_is_spoken(args: tuple[str, ...], tls: Tls) -> None:
    assert plan(*args, "https://h/").tls == tls


@pytest.mark.parametrize(
    ("args", "file"),
    [
        (("-R", "f.txt"), RequestsFile("f.txt")),
        (("--requests", "-"), RequestsFile("-")),
        (("-R", "f.jsonl"), RequestsFile("f.jsonl", "jsonl")),
        (("-R", "f.jsonl", "--requests-format", "lines"), RequestsFile("f.jsonl")),
        (("-R", "log", "--requests-format", "access-log"), RequestsFile("log", "access-log")),
        (("-R", "f", "--order", "random", "--seed", "5"), RequestsFile("f", order="random", seed=5)),
        (("-R", "f", "--order", "once"), RequestsFile("f", order="once")),
    ],
)
def test_the_file_of_requests(args: tuple[str, ...], file: RequestsFile) -> None:
    assert plan(*args, URL).requests == file


def test_limits_and_what_counts_as_a_failure() -> None:
    made = plan("-s", "5", "--fail-status", "--fail-length", URL)
    assert (made.request_limit, made.fail_status, made.fail_length) == (5.0, True, True)
    assert plan("-s", "250ms", URL).request_limit == 0.25


@pytest.mark.parametrize(
    ("args", "traced"), [((), False), (("-v", "1"), False), (("-v", "2"), True), (("-v4",), True)]
)
def test_v_shows_exchanges_from_2(args: tuple[str, ...], traced: bool) -> None:
    assert (planned(*args, URL).how["trace"] is not None) is traced


def test_g_asks_for_a_row_of_each_request(tmp_path: Path) -> None:
    assert planned(URL).how["on_row"] is None
    assert planned("-g", str(tmp_path / "rows"), URL).how["on_row"] is not None


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("-p", "f", "-u", "g"), "-p, -u and -i exclude each other"),
        (("-p", "f", "-i"), "-p, -u and -i exclude each other"),
        (("-p", "/no/such"), "/no/such: No such file"),
        (("-p", "/"), "/: Is a directory"),
        (("-m", "GE T"), "is no method"),
        (("-m", "GÄT"), "is no method"),
        (("-H", "nonsense"), "is not a header"),
        (("-C", "a=1\r\nX: y"), "-C .* holds a line break"),
        (("-C", "word"), "takes a cookie: name=value"),
        (("-C", "=word"), "takes a cookie: name=value"),
        (("--cookie", "http://127.0.0.1/?q=1"), "takes a cookie: name=value"),
        (("-T", "a\nb"), "-T .* holds a line break"),
        (("-f", "SSL3"), "-f SSL3: unknown"),
        (("-X", "a b"), "-X a b: not a host and port"),
        (("-X", "p", "--connect-to", "h:1"), "exclude each other"),
        (("-t", "soon"), "'soon' is not a duration"),
        (("-s", "-1"), "'-1' is not a duration"),
        (("--order", "backwards"), "--order backwards: unknown"),
        (("--requests-format", "xml"), "--requests-format xml: unknown"),
        (("--format", "pdf"), "--format pdf: unknown"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_hint(args: tuple[str, ...], says: str) -> None:
    with pytest.raises(Misuse, match=says) as raised:
        plan(*args, URL)
    assert raised.value.hint


# Through the command, to a real server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with target() as running:
        yield running


def test_q_and_the_number_of_requests_decide_on_progress_lines(server: Running) -> None:
    url = f"{server.url}/bytes/1"
    assert opskit("bench", "-n", "300", "-k", url).err == (
        "Completed 100 requests\nCompleted 200 requests\nCompleted 300 requests\nFinished 300 requests\n"
    )
    assert opskit("bench", "-n", "150", "-k", url).err == ""
    assert opskit("bench", "-q", "-n", "300", "-k", url).err == ""


def test_v2_shows_the_exchange_without_its_secrets(server: Running) -> None:
    ran = opskit("bench", "-v", "2", "-A", "me:hidden", "-C", "s=hidden", f"{server.url}/status/404")
    assert "INFO: GET /status/404 HTTP/1.1" in ran.err
    assert "WARNING: Response code not 2xx (404)" in ran.err
    assert "LOG: Response code" not in ran.err
    assert "hidden" not in ran.err
    assert base64.b64encode(b"me:hidden").decode() not in ran.err
    assert "LOG: Response code = 404" in opskit("bench", "-v", "3", f"{server.url}/status/404").err


def test_e_and_g_write_abs_files(server: Running, tmp_path: Path) -> None:
    csv, rows = tmp_path / "csv", tmp_path / "rows"
    ran = opskit("bench", "-n", "30", "-c", "3", "-e", str(csv), "-g", str(rows), f"{server.url}/delay/2")
    assert ran.code == 0
    assert csv.read_text().splitlines()[0] == "Percentage served,Time in ms"
    assert len(csv.read_text().splitlines()) == 102
    first, *others = rows.read_text().splitlines()
    assert first == "starttime\tseconds\tctime\tdtime\tttime\twait"
    assert len(others) == 30
    row = re.compile(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\t\d{10}\t(\d+)\t(\d+)\t(\d+)\t(\d+)")
    totals = [int(match[3]) for match in map(row.fullmatch, others) if match]
    assert len(totals) == 30
    assert totals == sorted(totals)
    assert totals[0] >= 2


def test_w_and_its_attributes_give_the_html_table(server: Running) -> None:
    url = f"{server.url}/bytes/1"
    assert "<table >" in opskit("bench", "-w", url).out
    assert "<table border>" in opskit("bench", "-x", "border", url).out
    assert "<tr a=b>" in opskit("bench", "-y", "a=b", url).out
    assert "<td colspan=2 c=d>" in opskit("bench", "-z", "c=d", url).out


def test_d_and_S_shorten_the_report(server: Running) -> None:
    url = f"{server.url}/bytes/1"
    both = opskit("bench", "--format", "ab", "-n", "2", "-d", "-S", url).out
    assert "Percentage" not in both
    assert "min   avg   max" in both


def test_V_and_h_end_well() -> None:
    assert opskit("bench", "-V").out == f"opskit {__version__}\n"
    assert opskit("bench", "-h").out == opskit("bench", "--help").out


def test_l_expects_no_length(server: Running) -> None:
    ran = opskit("bench", "--format", "ab", "-l", "-n", "3", f"{server.url}/bytes/1")
    assert "Document Length:        Variable" in ran.out


@dataclass
class Listener:
    """Answers each connection's first request, and keeps what came: the bytes, and from which address."""

    port: int
    heard: list[tuple[str, str]]


@pytest.fixture
def listener() -> Iterator[Listener]:
    heard: list[tuple[str, str]] = []

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data = b""
            while b"\r\n\r\n" not in data or (b"Content-Length: 5" in data and not data.endswith(b"hello")):
                data += self.request.recv(65536)
            heard.append((data.decode(), self.client_address[0]))
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Listener(server.server_address[1], heard)
        server.shutdown()


BASIC = "Basic " + base64.b64encode(b"u:p").decode()


@pytest.mark.parametrize(
    ("args", "first", "fields"),
    [
        ((), "GET /p?q= HTTP/1.1", ["Host: HERE", AGENT, "Accept: */*", "Connection: close"]),
        (("-k",), "GET /p?q= HTTP/1.1", ["Host: HERE", AGENT, "Accept: */*", "Connection: keep-alive"]),
        (("-i",), "HEAD /p?q= HTTP/1.1", ["Host: HERE", AGENT, "Accept: */*", "Connection: close"]),
        (
            ("-H", "Host: x", "-H", "Accept: a/b", "-H", "User-Agent: me", "-C", "a=1", "-C", "b=2", "-A", "u:p"),
            "GET /p?q= HTTP/1.1",
            ["Connection: close", "Cookie: a=1; b=2", f"Authorization: {BASIC}", "Host: x", "Accept: a/b", "User-Agent: me"],
        ),
        (
            ("-u", "BODY", "-T", "text/csv"),
            "PUT /p?q= HTTP/1.1",
            ["Host: HERE", AGENT, "Accept: */*", "Connection: close", "Content-Length: 5", "Content-Type: text/csv", "", "hello"],
        ),
    ],
    ids=["plain", "-k", "-i", "-H -C -A", "-u -T"],
)  # fmt: skip
def test_what_arrives_is_what_was_asked_for(
    listener: Listener, tmp_path: Path, args: tuple[str, ...], first: str, fields: list[str]
) -> None:
    (tmp_path / "BODY").write_text("hello")
    here = f"127.0.0.1:{listener.port}"
    args = tuple(str(tmp_path / arg) if arg == "BODY" else arg for arg in args)
    assert opskit("bench", *args, f"http://{here}/p?q=").code == 0
    assert listener.heard[0][0].rstrip("\r\n").split("\r\n") == [first, *(f.replace("HERE", here) for f in fields)]


def test_a_proxy_is_sent_the_whole_url_and_its_own_credentials(listener: Listener) -> None:
    ran = opskit("bench", "-X", f"127.0.0.1:{listener.port}", "-P", "u:p", "http://far.example:81/a?b")
    assert ran.code == 0
    lines = listener.heard[0][0].split("\r\n")
    assert lines[0] == "GET http://far.example:81/a?b HTTP/1.1"
    assert "Host: far.example:81" in lines
    assert f"Proxy-Authorization: {BASIC}" in lines


def test_a_path_that_looks_like_a_host_is_a_path(listener: Listener) -> None:
    ran = opskit("bench", "--format", "ab", "-v", "2", f"http://127.0.0.1:{listener.port}//[x")
    assert ran.code == 0
    assert listener.heard[0][0].startswith("GET //[x HTTP/1.1\r\n")
    assert "Document Path:          //[x\n" in ran.out


def test_B_is_the_address_that_requests_come_from(listener: Listener) -> None:
    assert opskit("bench", "-B", "127.0.0.2", f"http://127.0.0.1:{listener.port}/").code == 0
    assert listener.heard[0][1] == "127.0.0.2"


def test_connect_to_changes_the_way_but_not_the_request(listener: Listener) -> None:
    ran = opskit("bench", "--connect-to", f"127.0.0.1:{listener.port}", "http://far.example/")
    assert ran.code == 0
    assert "Host: far.example\r\n" in listener.heard[0][0]


def test_lines_of_standard_input_arrive_in_order(listener: Listener) -> None:
    url = f"http://127.0.0.1:{listener.port}/s?q="
    ran = opskit("bench", "-R", "-", "-n", "5", "--json", url, stdin="a\nb c\n")
    assert [heard.split(" ")[1] for heard, _ in listener.heard] == [
        "/s?q=a", "/s?q=b%20c", "/s?q=a", "/s?q=b%20c", "/s?q=a",
    ]  # fmt: skip
    assert ran.data["requests_file"] == {"lines": 2, "encoded": 1, "skipped": 0, "wrapped": 2}
