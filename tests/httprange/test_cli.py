"""`opskit range` as it is typed: what it prints, writes, refuses, and its exit codes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from opskit.httprange import cases
from opskit.httprange.profiles import PROFILES
from tests.command import opskit
from tests.httprange import real
from tests.httprange.inspecting import failures, inspect, serving, typed
from tests.httprange.test_formats import FAST, SLOW
from tests.httprange.test_hostile import on_ranges, scripted
from tests.programs import free_port, need


@pytest.fixture(scope="module")
def good() -> Iterator[str]:
    with serving() as base:
        yield f"{base}/bytes/12438"


@pytest.fixture(scope="module")
def bad() -> Iterator[str]:
    """If-Range is ignored: 4 failures and a warning."""
    with serving("ifrange-ignored") as base:
        yield f"{base}/bytes/12438"


# What is printed


def test_the_first_and_the_last_line_say_for_whom_it_is_safe(bad: str) -> None:
    ran = opskit("range", bad)
    assert ran.code == 1
    assert ran.out.startswith("Safe for: resume ✗ (case 32: If-Range is ignored) · parallel ✓ · video ✓ · pip ✓")
    assert ran.out.rstrip().rpartition("\nSafe for: ")[2].startswith("resume ✗ (case 32")
    assert "FAIL    32 If-Range with another tag  [MUST, 13.1.5, 13.2.2]" in ran.out
    assert 'sent     Range: bytes=10-20, If-Range: "opskit-other"' in ran.out
    assert all(len(line) <= 80 for line in ran.out.splitlines())
    assert ran.err == ""


def test_a_server_without_ranges_is_safe_for_nobody() -> None:
    with serving("ignore-range") as base:
        ran = typed("range", f"{base}/bytes/2000")
    assert ran.code == 1
    assert ran.out.startswith("Safe for: nobody (case 4: Range is ignored)\n")


def test_a_locale_without_ticks_gets_words(bad: str) -> None:
    ran = opskit("range", bad, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"})
    assert ran.out.startswith("Safe for: resume NO (case 32: If-Range is ignored) - parallel yes - video yes")
    assert "?" not in ran.out.partition("\n")[0]


def test_every_case_is_shown_when_asked(good: str) -> None:
    ran = typed("range", "-v", good)
    assert ran.code == 0
    shown = [line.split()[1] for line in ran.out.splitlines() if line[:4] in ("PASS", "INFO", "N/A ")]
    assert {case.id for case in cases.by_id().values() if case.tier != "full"} <= set(shown)


def test_the_envelope_of_one_url(bad: str) -> None:
    ran = typed("range", "--json", bad)
    assert (ran.code, ran.json["schema"], ran.json["status"]) == (1, "range/1", "failed")
    result = next(r for r in ran.data["results"] if r["id"] == "32")
    assert set(result) == {
        "id", "title", "section", "level", "verdict", "expected", "sent", "got", "meaning", "hint", "waived",
        "broken_in", "ms",
    }  # fmt: skip
    assert (result["verdict"], result["level"], result["section"]) == ("FAIL", "MUST", "13.1.5, 13.2.2")
    assert ran.data["profiles"]["resume"] == "no"
    assert ran.data["profiles"]["video"] == "yes"
    assert list(ran.data["profiles"]) == list(PROFILES)


def test_several_urls_stand_side_by_side(good: str, bad: str) -> None:
    ran = typed("range", good, bad)
    assert ran.code == 1
    row = next(line for line in ran.out.splitlines() if "If-Range with another tag" in line)
    assert row.split()[-2:] == ["PASS", "FAIL"]
    assert "BYTES in capitals" not in ran.out
    assert [report["url"] for report in typed("range", "--json", good, bad).data["reports"]] == [good, bad]


def test_every_address_of_a_name_is_asked(good: str) -> None:
    port = good.split(":")[2].split("/", maxsplit=1)[0]
    ran = typed("range", "--all-addresses", "--json", "--only", "4", f"http://127.0.0.1:{port}/bytes/99")
    assert ran.data["address"] == "127.0.0.1"
    assert ran.data["results"][0]["verdict"] == "PASS"


def test_addresses_that_offer_different_files_are_found(good: str) -> None:
    from dataclasses import replace

    from opskit.httprange.engine import Inspected, agreed

    report = replace(inspect(good), address="127.0.0.1")
    other = replace(report, address="127.0.0.2", facts={**report.facts, "etag": '"another"'})
    same = agreed([Inspected(report, ()), Inspected(replace(report, address="127.0.0.2"), ())])
    assert [failures(one.report) for one in same] == [{}, {}]
    odd = agreed([Inspected(report, ()), Inspected(other, ())])
    assert [list(failures(one.report)) for one in odd] == [["47"], ["47"]]
    assert {p.name: p.verdict for p in odd[0].report.profiles}["parallel"] == "no"


# What counts


def test_strict_takes_warnings_for_failures() -> None:
    with serving("no-ar") as base:
        assert typed("range", f"{base}/bytes/99").code == 0
        assert typed("range", "--strict", f"{base}/bytes/99").code == 1


def test_a_waived_failure_does_not_count(bad: str) -> None:
    words = [word for case in ("32", "35", "36", "41") for word in ("--waive", f"{case}=files never change")]
    ran = typed("range", bad, *words)
    assert ran.code == 0
    assert "waived  32" in ran.out or "waived" in ran.out
    assert "files never change" in ran.out


def test_only_and_skip_choose_the_cases(bad: str) -> None:
    only = typed("range", "--json", "--only", "3,4", "--only", "I3", bad)
    assert [r["id"] for r in only.data["results"]] == ["3", "4", "I3"]
    assert only.data["profiles"]["video"] == "unknown"
    assert typed("range", "--skip", "32,35,36,41", bad).code == 0


def test_what_is_known_from_before_does_not_fail(bad: str, good: str, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text(typed("range", "--json", bad).out)
    assert typed("range", "--baseline", str(old), bad).code == 0
    document = json.loads(old.read_text())
    for result in document["data"]["results"]:
        result["verdict"] = "PASS" if result["id"] == "41" else result["verdict"]
    old.write_text(json.dumps(document))
    ran = typed("range", "--json", "--baseline", str(old), bad)
    assert ran.code == 1
    assert [r["id"] for r in ran.data["results"] if r["verdict"] == "FAIL" and not r["waived"]] == ["41"]


@pytest.mark.parametrize(("profile", "code"), [("resume", 1), ("video", 0)])
def test_a_profile_is_the_question(bad: str, profile: str, code: int) -> None:
    ran = typed("range", "--profile", profile, bad)
    assert ran.code == code
    mark = "✗ (case 32: If-Range is ignored)" if code else "✓"
    assert ran.out.startswith(f"Safe for: {profile} {mark}\n")


def test_every_client_is_happy_with_the_correct_server(good: str) -> None:
    ran = typed("range", "--json", *(word for name in PROFILES for word in ("--profile", name)), good)
    assert ran.code == 0, ran.data["profile_reasons"]
    assert set(ran.data["profiles"].values()) == {"yes"}


# Files that formats are made for


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """nginx with a wheel, videos, and things that only bear such names."""
    root = tmp_path_factory.mktemp("shelf")
    place = real.files(root)
    with zipfile.ZipFile(place / "demo-1.0-py3-none-any.whl", "w") as wheel:
        for number in range(300):
            wheel.writestr(f"demo/module{number}.py", "x = 1\n" * 200)
    (place / "false.whl").write_bytes(b"x" * 30_000)
    (place / "fast.mp4").write_bytes(FAST)
    (place / "slow.mp4").write_bytes(SLOW)
    with real.nginx(root) as url:
        yield url, root


@pytest.mark.parametrize(
    ("name", "profile", "problem"),
    [
        ("demo-1.0-py3-none-any.whl", "pip", ""),
        ("demo-1.0-py3-none-any.whl", "uv", ""),
        ("false.whl", "pip", "the zip directory cannot be read: there is no end record in the last 16 KiB"),
        ("fast.mp4", "video", ""),
        ("slow.mp4", "video", "moov comes after mdat"),
    ],
)
def test_a_file_is_read_as_its_client_would(
    shelf: tuple[str, Path], name: str, profile: str, problem: str
) -> None:
    ran = typed("range", "--json", "--profile", profile, f"{shelf[0]}/{name}")
    assert ran.code == (1 if problem else 0)
    assert [problem in reason for reason in ran.data["profile_reasons"][profile]] == ([True] if problem else [])


def test_a_wheel_is_read_without_being_asked(shelf: tuple[str, Path], tmp_path: Path) -> None:
    log = tmp_path / "log"
    ran = typed("range", "--json", "--tier", "full", "--transcript", str(log), f"{shelf[0]}/false.whl")
    assert ran.data["profiles"]["pip"] == "no"
    assert "# case profile pip: " in log.read_text()
    assert ran.data["requests"] <= 90


# What is written


def test_junit_tap_and_markdown(bad: str, tmp_path: Path) -> None:
    xml, tap, page = (tmp_path / name for name in ("r.xml", "r.tap", "r.md"))
    ran = typed("range", bad, "--junit", str(xml), "--tap", str(tap), "--markdown", str(page))
    assert ran.code == 1
    assert ran.out.startswith("Safe for: ")
    suite = ElementTree.parse(xml).getroot()[0]
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert int(suite.get("failures", 0)) == len(failed) == 4
    assert "32 If-Range with another tag" in failed
    lines = tap.read_text().splitlines()
    assert lines[0] == "TAP version 13"
    assert lines[1] == f"1..{len(suite)}"
    assert sum(line.startswith("not ok ") for line in lines) == 4
    assert "| FAIL | 32 | If-Range with another tag |" in page.read_text()


def test_a_dash_is_stdout(good: str) -> None:
    ran = typed("range", "--junit", "-", "--only", "3", good)
    assert ElementTree.fromstring(ran.out.partition("\n")[2]).tag == "testsuites"


@pytest.mark.skipif(shutil.which("prove") is None, reason="prove (Perl) is not installed")
def test_prove_reads_the_tap(good: str, tmp_path: Path) -> None:
    typed("range", "--tap", str(tmp_path / "r.tap"), good)
    done = subprocess.run(["prove", "--exec", "cat", str(tmp_path / "r.tap")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "Result: PASS" in done.stdout


def test_a_transcript_keeps_everything_but_secrets(good: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    url = good + "?token=s3cret"
    ran = typed("range", url, "-u", "me:pass-word", "-H", "X-Api-Key: abc-key", "--transcript", str(log))
    assert ran.code == 0
    text = log.read_text()
    assert "> Range: bytes=10-20\n" in text
    assert "< Content-Range: bytes 10-20/12438\n" in text
    assert "  00000000  30 30 30 30" in text
    assert "> X-Api-Key: ***" in text
    secrets = ("s3cret", "pass-word", "abc-key", "bWU6cGFzcy13b3Jk")
    assert [secret for secret in secrets if secret in text + ran.out + ran.err] == []


def test_curl_lines_can_be_pasted(good: str) -> None:
    ran = typed("range", "--curl", "--only", "4", good)
    line = next(line for line in ran.out.splitlines() if "bytes=10-20" in line)
    need("curl")
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert "Content-Range: bytes 10-20/12438" in done.stdout


# The probe


def test_a_probe_shows_what_went_over_the_wire(good: str) -> None:
    ran = typed("range", "--probe", "10-20", good)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "> GET /bytes/12438 HTTP/1.1"
    assert "> Range: bytes=10-20" in lines
    assert "< HTTP/1.1 206 Partial Content" in lines
    assert lines.index("< Content-Range: bytes 10-20/12438") < lines.index("< Content-Length: 11")
    assert lines[-1] == "206: ranges are answered; these are the bytes 10-20"
    assert any(line.startswith("  00000000  30 30 30 30 30 30 30 30  30 0a 30") for line in lines)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("99999-", "416: there are no such bytes, says the server (bytes */12438)"),
        ("abc", "200: the server ignores Range and sends the whole file"),
        ("opskit=1", "200: the server ignores Range and sends the whole file"),
        ("0-4,100-104", "206: ranges are answered, several of them in one multipart body"),
    ],
)
def test_a_probe_may_be_wrong_on_purpose(good: str, word: str, sentence: str) -> None:
    assert typed("range", "--probe", word, good).out.endswith(sentence + "\n")


def test_a_probe_in_http_1_0(good: str, tmp_path: Path) -> None:
    """The story: the same request, in the old version and in the new, to CherryPy."""
    with real.python_server("cherrypy", tmp_path) as url:
        old = typed("range", "--probe", "10-20", "--http", "1.0", f"{url}/file.bin").out
        new = typed("range", "--probe", "10-20", f"{url}/file.bin").out
    assert old.startswith("> GET /file.bin HTTP/1.0\n")
    assert old.endswith("200: the server ignores Range and sends the whole file\n")
    assert new.endswith("206: ranges are answered; these are the bytes 10-20\n")


def test_a_whole_run_in_http_1_0(good: str) -> None:
    ran = typed("range", "--http", "1.0", "--json", good)
    assert ran.code == 0, [r for r in ran.data["results"] if r["verdict"] == "FAIL"]


# TLS, HTTP/2, logins, proxies


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """nginx with TLS and HTTP/2 for `localhost`, and its certificate."""
    root = tmp_path_factory.mktemp("secure")
    subprocess.run(
        [
            need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", str(root / "key"), "-out", str(root / "cert"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    lines = f"ssl_certificate {root}/cert; ssl_certificate_key {root}/key;"
    with real.nginx(root, listen="ssl http2", server=lines) as url:
        yield url.replace("http://127.0.0.1", "https://localhost") + "/file.bin", root / "cert"


def test_https_with_its_certificate(secure: tuple[str, Path], tmp_path: Path) -> None:
    url, certificate = secure
    log = tmp_path / "log"
    ran = typed("range", "--json", "--cacert", str(certificate), "--transcript", str(log), url)
    assert ran.code == 0, ran.err
    assert "< HTTP/2 206" in log.read_text()
    assert next(r["got"] for r in ran.data["results"] if r["id"] == "44").startswith("HTTP/1.1")


def test_a_whole_run_in_http_2(secure: tuple[str, Path]) -> None:
    ran = typed("range", "--json", "--http", "2", "--cacert", str(secure[1]), secure[0])
    assert (ran.code, ran.data["facts"]["http_version"]) == (0, "2")


def test_every_address_by_the_right_name(secure: tuple[str, Path]) -> None:
    ran = typed("range", "--json", "--all-addresses", "--only", "4,44", "--cacert", str(secure[1]), secure[0])
    if ran.code == 3:  # localhost is ::1 too, where nobody listens
        assert "no connection" in ran.err
    else:
        assert ran.code == 0


def test_a_certificate_nobody_knows(secure: tuple[str, Path]) -> None:
    ran = typed("range", secure[0])
    assert ran.code == 3
    assert "certificate verify failed" in ran.err
    assert typed("range", "-k", "--only", "4", secure[0]).code == 0


def test_a_login_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("me:{PLAIN}secret\n")
    lines = f'auth_basic "x"; auth_basic_user_file {tmp_path}/users;'
    with real.nginx(tmp_path, server=lines) as url:
        without = typed("range", f"{url}/file.bin")
        within = typed("range", "-u", "me", f"{url}/file.bin", env={"OPSKIT_PASSWORD": "secret"})
        (tmp_path / "headers").write_text("Authorization: Basic bWU6c2VjcmV0\n")
        by_file = typed("range", "-H", f"@{tmp_path}/headers", f"{url}/file.bin")
    assert without.code == 3
    assert "hint: give a name and password: --user NAME" in without.err
    assert (within.code, by_file.code) == (0, 0)


def test_through_a_proxy(good: str, tmp_path: Path) -> None:
    lines = "location / { proxy_pass http://$http_host$request_uri; proxy_set_header Host $http_host; }"
    with real.nginx(tmp_path, server=lines) as proxy:
        ran = typed("range", "--json", "--tier", "polite", "--proxy", proxy, good)
        log = typed("range", "--only", "4", "--transcript", "-", "--proxy", proxy, good).out
    assert ran.code == 0, [r for r in ran.data["results"] if r["verdict"] == "FAIL"]
    assert "< Server: nginx" in log


# What is refused


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "there is no URL"),
        (["file.iso"], "'file.iso' is not a URL"),
        (["ftp://example.org/x"], "is not a URL"),
        (["http://"], "is not a URL"),
        (["http://a:99999/"], "is not a URL"),
        (["http://exa mple/"], "is not a URL"),
        (["."], "'.' is a directory, not a URL"),
        (["/etc/passwd"], "'/etc/passwd' is a file, not a URL"),
        (["--tier", "brave", "http://a/"], "there is no tier 'brave'"),
        (["--profile", "vidoe", "http://a/"], "there is no profile 'vidoe'; did you mean video"),
        (["--only", "99", "http://a/"], "there is no case '99'"),
        (["--waive", "32", "http://a/"], "'32' does not say why"),
        (["--waive", "77=x", "http://a/"], "there is no case '77'"),
        (["--timeout", "0", "http://a/"], "--timeout 0"),
        (["--timeout", "soon", "http://a/"], "'soon' is not a duration"),
        (["--max-bytes", "much", "http://a/"], "'much' is not a size"),
        (["--http", "3", "http://a/"], "there is no HTTP/3 here"),
        (["--http", "2", "http://a/"], "HTTP/2 is spoken over https only"),
        (["-H", "nonsense", "http://a/"], "'nonsense' is no header"),
        (["-H", "@/no/such", "http://a/"], "cannot read headers from /no/such"),
        (["http://me:secret@a/"], "a URL with a password in it"),
        (["-u", "me", "http://a/"], "there is no password for me"),
        (["--explain", "nothing"], "there is no case or profile 'nothing'"),
        (["--baseline", "/etc/passwd", "http://a/"], "/etc/passwd is not JSON"),
        (["--baseline", "/no/such", "http://a/"], "cannot read /no/such"),
        (["--probe", "\n", "http://a/"], "is no range of bytes"),
        (["--cacert", "/no/such", "https://127.0.0.1:1/"], "cannot use /no/such as a CA file"),
        (["http://a/"] * 17, "17 URLs are more than can be compared"),
    ],
)
def test_a_call_that_is_wrong(args: list[str], words: str) -> None:
    ran = typed("range", *args, env={"OPSKIT_PASSWORD": ""} if "x" in args else None)
    assert ran.code == 2
    assert words in ran.err
    assert ran.err.count("\n") == 2
    assert "hint: " in ran.err or "cannot" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"http://127.0.0.1:{free_port()}/x", "Connection refused"),
        ("http://no-such-host.invalid/x", "cannot find no-such-host.invalid"),
        ("http://" + "a" * 70 + ".invalid/x", "cannot find"),
    ],
)
def test_nobody_there(url: str, words: str) -> None:
    for extra in ([], ["--tier", "basic"], ["--probe", "0-0"]):
        ran = typed("range", *extra, url)
        assert ran.code == 3
        assert ran.err.startswith("error: cannot ")
        assert ran.err.count("\n") == 2
    assert words in typed("range", url).err


def test_a_port_that_speaks_something_else(secure: tuple[str, Path]) -> None:
    port = secure[0].split(":")[2].split("/")[0]
    ran = typed("range", f"https://127.0.0.1:{free_port()}/x")
    assert ran.code == 3
    plain = typed("range", f"http://127.0.0.1:{port}/x")
    assert plain.code == 3
    assert "answers 400 to a plain GET" in plain.err


def test_a_file_that_cannot_be_written_is_refused_first(good: str) -> None:
    ran = typed("range", "--junit", "/no/such/place/r.xml", good)
    assert ran.code == 3
    assert ran.err.startswith("error: cannot write /no/such/place/r.xml")


def test_a_full_disk_is_said(good: str) -> None:
    ran = typed("range", "--junit", "/dev/full", good)
    assert ran.code == 3
    assert "No space left on device" in ran.err


def test_ctrl_c_ends_with_what_was_found() -> None:
    asked = threading.Event()

    def silent(connection: socket.socket, request: bytes) -> None:
        asked.set()
        connection.recv(1)  # until the client goes

    with scripted(on_ranges(silent)) as url:
        process = subprocess.Popen(
            [sys.executable, "-m", "opskit", "range", "--json", "--timeout", "60s", url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    assert json.loads(out)["status"] == "interrupted"
    assert json.loads(out)["data"]["results"][0]["verdict"] == "PASS"


def test_a_reader_that_goes_away_is_no_error(bad: str) -> None:
    done = subprocess.run(
        f"{sys.executable} -m opskit range -v {bad} | head -1",
        shell=True, capture_output=True, text=True, env={**os.environ, "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.stdout.startswith("Safe for: ")
    assert done.stderr == ""


# Explaining


def test_every_case_is_listed_and_explained() -> None:
    listed = typed("range", "--list-cases")
    assert listed.code == 0
    for case in cases.by_id().values():
        assert case.title in listed.out
    every = typed("range", "--list-cases", "--json").data["cases"]
    assert len(every) == len(cases.by_id()) + 12


@pytest.mark.parametrize("name", ["32", "I3", "pmtiles"])
def test_one_is_explained(name: str) -> None:
    ran = typed("range", "--explain", name)
    assert ran.code == 0
    assert ran.out.startswith(f"{name}: ")
    assert all(len(line) <= 80 for line in ran.out.splitlines())


def test_a_polite_run_on_loopback_a_basic_one_elsewhere(good: str) -> None:
    from opskit.httprange.engine import default_tier

    assert typed("range", "--json", "--only", "3", good).data["tier"] == "polite"
    assert default_tier("http://10.1.2.3/x", "") == "polite"
    assert default_tier("http://93.184.215.14/x", "") == "basic"
    assert default_tier("http://10.1.2.3/x", "http://proxy:1") == "basic"


def test_a_basic_run_is_short_and_well_formed(good: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    ran = typed("range", "--tier", "basic", "--json", "--transcript", str(log), good)
    assert ran.data["requests"] <= 20
    assert "bytes=abc" not in log.read_text()
