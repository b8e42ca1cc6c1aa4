"""--check and --save-failures against real servers, the files read by a reader of HAR that is not ours."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from haralyzer import HarParser
from haralyzer.assets import HarEntry

from tests.command import opskit
from tests.nginx import Nginx
from tests.programs import free_port
from tests.scripted import OK, Peer, answers, scripted


def entries(path: Path) -> list[dict[str, Any]]:
    """The raw entries of a file, after a strange reader has taken every one of them."""
    document = json.loads(path.read_text())
    read = HarParser(document)
    assert (read.creator["name"], read.version) == ("opskit bench", "1.2")
    found: list[dict[str, Any]] = document["log"]["entries"]
    for raw in found:
        entry = HarEntry(raw)
        assert entry.request.url == raw["request"]["url"]
        assert entry.response.text == raw["response"]["content"]["text"]
        assert isinstance(entry.startTime, datetime)
        assert_valid(raw)
    return found


# What http://www.softwareishard.com/blog/har-12-spec/ demands of every entry, and of what type.
_DEMANDED: dict[str, type | tuple[type, ...]] = {
    "startedDateTime": str, "time": (int, float),
    "request.method": str, "request.url": str, "request.httpVersion": str, "request.cookies": list,
    "request.headers": list, "request.queryString": list, "request.headersSize": int, "request.bodySize": int,
    "response.status": int, "response.statusText": str, "response.httpVersion": str, "response.cookies": list,
    "response.headers": list, "response.content.size": int, "response.content.mimeType": str,
    "response.redirectURL": str, "response.headersSize": int, "response.bodySize": int,
    "cache": dict, "timings.send": (int, float), "timings.wait": (int, float), "timings.receive": (int, float),
}  # fmt: skip


def assert_valid(entry: dict[str, Any]) -> None:
    for path, kind in _DEMANDED.items():
        value: Any = entry
        for word in path.split("."):
            value = value[word]
        assert isinstance(value, kind), path
    assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo
    parts = {name: ms for name, ms in entry["timings"].items() if name != "ssl" and ms != -1}
    assert all(ms >= 0 for ms in parts.values())
    assert entry["time"] == pytest.approx(sum(parts.values()))


def test_a_check_that_fails_is_one_failure_and_says_which(nginx: Nginx, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("search\nstatus/404\n1k\n")
    ran = opskit(
        "bench", "--json", "-k", "-n", "30", "-c", "3", "-R", str(lines),
        "--check", "status=200", "--check", "body ~ ^(found|x+)\\s*$", "--check", "length > 5",
        f"{nginx.url}/",
    )  # fmt: skip
    assert ran.code == 0
    assert ran.data["failures"] == {"check": 10}
    assert ran.data["requests"]["good"] == 20
    assert ran.data["checks"] == {
        "checked": 30,
        "failed": {"status=200": 10, "body ~ ^(found|x+)\\s*$": 10, "length > 5": 0},
    }


def test_the_report_names_the_checks_and_a_threshold_makes_them_the_exit_code(nginx: Nginx) -> None:
    ran = opskit("bench", "-n", "4", "--check", "body ~ lost", "--fail-if", "failed > 0", f"{nginx.url}/search")
    assert ran.code == 1
    assert "4  check           the answer is not as --check says" in ran.out
    assert "4 × body ~ lost" in ran.out
    assert "Checked      4 of 4 answers, by 1 check" in ran.out


def test_a_status_under_its_own_name_is_not_counted_again(nginx: Nginx) -> None:
    ran = opskit("bench", "--json", "-n", "5", "--fail-status", "--check", "status=200", f"{nginx.url}/status/404")
    assert ran.data["failures"] == {"status": 5}
    assert ran.data["checks"]["failed"] == {"status=200": 5}


def test_a_sample_is_checked(nginx: Nginx) -> None:
    to = ("bench", "--json", "-k", "-n", "2000", "-c", "4", "--check", "body ~ lost", f"{nginx.url}/search")
    ran = opskit(*to, "--check-sample", "5%")
    checked = ran.data["checks"]["checked"]
    assert 30 < checked < 200
    assert ran.data["failures"] == {"check": checked}


def test_large_and_chunked_bodies_are_looked_into(tmp_path: Path) -> None:
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b"a" * 100_000, b"needle", b"b" * 50_000))
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
    with scripted(answers(chunked, then="keep")) as server:
        ran = opskit("bench", "--json", "-k", "-n", "6", "--check", "body ~ aneedleb", server.url)
    assert (ran.code, ran.data["failures"]) == (0, {})
    assert ran.data["bytes"]["body"] == 6 * 150_006


def test_checks_survive_saving(nginx: Nginx, tmp_path: Path) -> None:
    run = tmp_path / "run.json"
    ran = opskit("bench", "--json", "-n", "4", "--check", "status=404", "--save", str(run), f"{nginx.url}/search")
    assert opskit("report", "--json", str(run)).data["checks"] == ran.data["checks"]


def test_failing_exchanges_are_kept_as_har(nginx: Nginx, tmp_path: Path) -> None:
    path, body = tmp_path / "failures.har", tmp_path / "body"
    body.write_text("name=me&password=hunter2")
    ran = opskit(
        "bench", "-n", "50", "-c", "5", "-k", "-A", "me:hunter2", "-C", "sid=hunter2", "-p", str(body),
        "-T", "application/x-www-form-urlencoded", "--fail-status", "--save-failures", str(path),
        f"{nginx.url}/status/404?token=hunter2&q=1",
    )  # fmt: skip
    assert ran.code == 0
    assert "hunter2" not in path.read_text()
    found = entries(path)
    assert len(found) == 5
    first = found[0]
    assert first["request"]["url"] == f"{nginx.url}/status/404?token=***&q=1"
    assert first["request"]["postData"]["text"] == "name=me&password=***"
    assert first["request"]["cookies"] == [{"name": "sid", "value": "***"}]
    assert (first["response"]["status"], first["response"]["statusText"]) == (404, "Not Found")
    assert "404 Not Found" in first["response"]["content"]["text"]
    assert first["comment"] == "status: a status of 400 or more (--fail-status)"
    assert first["timings"]["connect"] > 0


def test_no_kind_of_failure_takes_all_the_room(tmp_path: Path) -> None:
    """Answers with a binary body that fails a check, resets, cut answers, silence of words: five of each."""
    path = tmp_path / "failures.har"

    def script(peer: Peer) -> None:
        for request in peer.requests():
            if b"/reset" in request:
                peer.reset()
                return
            if b"/cut" in request:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Type: text/plain\r\n\r\nhalf")
                return
            if b"/ssh" in request:
                peer.send(b"SSH-2.0-OpenSSH_9.2\r\n")
                return
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\x00" if b"/binary" in request else OK)

    lines = tmp_path / "lines"
    lines.write_text("binary\nbinary\nbinary\nreset\ncut\nssh\nfine\n")
    with scripted(script) as server:
        ran = opskit(
            "bench", "--json", "-k", "-n", "140", "-c", "2", "-R", str(lines), "--check", "body ~ ok",
            "--save-failures", str(path), server.url,
        )  # fmt: skip
    assert ran.data["failures"] == {"check": 60, "reset": 20, "truncated": 20, "bad_framing": 20}
    found = entries(path)
    by_name = {name: [e for e in found if e["_failure"] == name] for name in ran.data["failures"]}
    assert {name: len(each) for name, each in by_name.items()} == dict.fromkeys(by_name, 5)
    assert by_name["check"][0]["response"]["content"] == {
        "size": 2, "mimeType": "x-unknown", "text": "/wA=", "encoding": "base64",
    }  # fmt: skip
    assert by_name["reset"][0]["response"]["status"] == 0
    assert by_name["truncated"][0]["response"]["content"]["text"] == "half"
    assert by_name["bad_framing"][0]["response"]["content"]["text"].startswith("SSH-2.0")


def test_a_refused_connection_over_tls_and_plain_is_kept_too(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "failures.har"
    port = free_port()
    opskit("bench", "--save-failures", str(path), f"http://127.0.0.1:{port}/")
    assert entries(path)[0]["comment"] == f"refused: 127.0.0.1:{port} refused the connection"
    opskit("bench", "--save-failures", str(path), f"{nginx.tls_url}/1k")
    assert entries(path)[0]["_failure"] == "tls"
    opskit("bench", "--insecure", "--check", "length=1", "--save-failures", str(path), f"{nginx.tls_url}/1k")
    timings = entries(path)[0]["timings"]
    assert 0 < timings["ssl"] < timings["connect"]


def test_no_failure_makes_an_empty_archive(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "failures.har"
    opskit("bench", "--save-failures", str(path), f"{nginx.url}/search")
    assert json.loads(path.read_text())["log"]["entries"] == []


def test_a_place_that_cannot_be_written_is_refused_before_the_run(nginx: Nginx, tmp_path: Path) -> None:
    ran = opskit("bench", "--save-failures", str(tmp_path / "none/x.har"), f"{nginx.url}/search")
    assert ran.code == 3
    assert "there is no directory" in ran.err
    assert nginx.requests(0) == []


def test_a_bad_check_is_refused_before_the_run(nginx: Nginx) -> None:
    ran = opskit("bench", "--check", "body ~ a(b", f"{nginx.url}/search")
    assert ran.code == 2
    assert "not a regular expression" in ran.err
    assert "(in 'body ~ a(b', at character 9)" in ran.err
    assert nginx.requests(0) == []


def test_a_warm_up_is_not_checked_and_parts_add_up(nginx: Nginx, tmp_path: Path) -> None:
    path = tmp_path / "failures.har"
    check = ("bench", "--json", "-k", "-n", "40", "-c", "2", "--check", "body ~ lost", f"{nginx.url}/search")
    warm = opskit(*check, "--warmup", "300ms", "--save-failures", str(path))
    assert (warm.data["checks"]["checked"], warm.data["failures"]) == (40, {"check": 40})
    assert len(entries(path)) == 5
    shared = opskit(*check, "--processes", "2")
    assert shared.data["checks"] == {"checked": 40, "failed": {"body ~ lost": 40}}
    refused = opskit(*check, "--processes", "2", "--save-failures", str(path))
    assert (refused.code, "need one process" in refused.err) == (2, True)
