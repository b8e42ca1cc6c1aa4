"""Every form of a report, judged by the programs that read it; and secrets, which are in none of them."""

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.command import opskit
from tests.programs import free_port, need
from tests.smoke.nginx import Nginx, nginx
from tests.smoke.smoking import smoke


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx(tmp_path_factory.mktemp("nginx")) as running:
        yield running


@pytest.fixture
def mixed(tmp_path: Path, server: Nginx) -> Path:
    """A file whose checks come to everything that a check can come to, with texts that formats trip over."""
    file = tmp_path / "checks.toml"
    file.write_text(f"""\
[http.good]
url = "{server.url}/"

[http.bad]
url  = "{server.url}/broken"
hint = "see <runbook> & ask | 100% sure, #1"

[command.odd]
run = "printf 'a ]]> \\\\001 <b> # c \\\\\\\\ 💥 ```\\\\n' >&2; exit 1"

[dns.nobody]
name    = "www.example.org"
server  = "127.0.0.1:{free_port()}"
timeout = "300ms"

[tcp.later]
address = "127.0.0.1:9"
needs   = "http.bad"

[command.warned]
run      = "false"
severity = "warning"
""")
    return file


def test_the_exit_code_says_what_it_came_to(mixed: Path) -> None:
    codes = {
        ("--only", "http.good"): 0,
        ("--only", "http.bad"): 1,
        ("--only", "dns.*"): 3,
        ("--only", "command.warned"): 0,
        ("--only", "command.warned", "--strict"): 1,
        ("--only", "nothing"): 2,
        ("--skip", "*"): 2,
        ("--tag", "none"): 2,
        (): 1,
    }
    assert {words: opskit("smoke", str(mixed), *words).code for words in codes} == codes


def test_the_text_says_why(mixed: Path, server: Nginx) -> None:
    ran = opskit("smoke", str(mixed))
    assert re.search(rf"✓ http.good +{re.escape(server.url)}/ +[\d.]+ ms\n", ran.out)
    expected = (
        "    status\n      expected  2xx\n      got       503 Service Temporarily Unavailable\n"
        "    | upstream is down\n    hint: see <runbook> & ask | 100% sure, #1\n"
    )
    assert expected in ran.out
    assert f"at {mixed}:4" in ran.out
    assert "- tcp.later" in ran.out
    assert "skipped: http.bad did not pass" in ran.out
    assert "6 checks: 1 passed, 2 failed, 1 could not be evaluated, 1 with a warning, 1 skipped" in ran.out
    assert "\x1b" not in ran.out
    assert all(len(line) <= 100 for line in ran.out.splitlines() if "|" not in line and "at /" not in line)


def test_the_text_in_a_locale_without_signs(mixed: Path) -> None:
    ran = opskit("smoke", str(mixed), env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"})
    assert ran.code == 1
    assert "FAIL  http.bad" in ran.out
    assert ran.out.isascii()


def test_the_json_document(mixed: Path) -> None:
    ran = opskit("smoke", str(mixed), "--json")
    assert ran.json["schema"] == "smoke/1"
    assert ran.json["status"] == "failed"
    assert ran.data["summary"] == {"checks": 6, "passed": 1, "failed": 2, "errors": 1, "skipped": 1, "warnings": 1}
    bad = ran.data["checks"][1]
    assert (bad["id"], bad["status"], bad["line"]) == ("http.bad", "fail", 4)
    assert bad["findings"][0] == {
        "what": "status", "good": False, "expected": "2xx", "actual": "503 Service Temporarily Unavailable",
    }  # fmt: skip
    assert bad["attempts"][0]["status"] == "fail"


def test_junit_keeps_the_schema_that_jenkins_keeps(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "smoke.xml"
    assert opskit("smoke", str(mixed), "--junit", str(out)).code == 1
    schema = Path(__file__).parent / "junit.xsd"
    judged = subprocess.run(
        [need("xmllint"), "--noout", "--schema", str(schema), str(out)], capture_output=True, text=True
    )
    assert judged.returncode == 0, judged.stderr
    import xml.etree.ElementTree as ET

    suite = ET.parse(out).getroot()[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6", "failures": "2", "errors": "1", "skipped": "1",
    }  # fmt: skip
    bad = suite[1]
    assert (bad.get("classname"), bad.get("name")) == ("smoke.http", "bad")
    assert f"at {mixed}:4" in str(bad[0].text)
    # GitLab shows only the text, not the message.
    assert "expected 2xx, got 503" in str(bad[0].text)


def test_tap_is_read_by_prove(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "smoke.tap"
    opskit("smoke", str(mixed), "--tap", str(out))
    judged = subprocess.run(
        [need("prove"), "-v", "--ext", "tap", "--source", "File", str(out)], capture_output=True, text=True
    )
    assert "Parse errors" not in judged.stdout
    assert "Failed 3/6 subtests" in judged.stdout
    assert "(less 1 skipped subtest" in judged.stdout


def test_the_markdown_is_one_table_and_the_reasons(mixed: Path) -> None:
    ran = opskit("smoke", str(mixed), "--markdown", "-")
    rows = [line for line in ran.out.splitlines() if line.startswith("|")][:8]
    assert len(rows) == 8
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
    assert "#### command.odd" in ran.out
    assert "\n````text\n" in ran.out  # a fence longer than the one inside


def test_nagios_speaks_as_a_plugin(mixed: Path) -> None:
    ran = opskit("smoke", str(mixed), "--nagios")
    assert ran.code == 2
    first, *rest = ran.out.splitlines()
    # text | 'label'=value[UOM];[warn];[crit];[min];[max], separated by spaces
    words, _, data = first.partition(" | ")
    assert words.startswith("SMOKE CRITICAL - 4 of 6 not good: http.bad")
    assert "|" not in words
    assert re.fullmatch(r"(?:'[^'=]+'=\d+(?:\.\d+)?s(?:;[\d.]*){0,4} ?)+", data)
    assert rest[0].startswith("http.bad: ")
    assert not any("|" in line for line in rest)
    codes = {"http.good": 0, "command.warned": 1, "dns.nobody": 3}
    assert {name: opskit("smoke", str(mixed), "--nagios", "--only", name).code for name in codes} == codes


def test_a_faulty_file_is_unknown_to_nagios(tmp_path: Path) -> None:
    ran = opskit("smoke", str(tmp_path / "none.toml"), "--nagios")
    assert ran.code == 3
    assert ran.out.startswith("SMOKE UNKNOWN - ")


METRIC = re.compile(r'[a-z_]+(\{[a-z]+="(?:[^"\\]|\\.)*"(,[a-z]+="(?:[^"\\]|\\.)*")*\})? -?\d+(\.\d+)?')


def test_prometheus(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "smoke.prom"
    opskit("smoke", str(mixed), "--prometheus", str(out))
    lines = out.read_text().splitlines()
    assert all(METRIC.fullmatch(line) for line in lines if not line.startswith("#"))
    assert 'opskit_smoke_success{check="http.bad",type="http",severity="error"} 0' in lines
    assert 'opskit_smoke_success{check="http.good",type="http",severity="error"} 1' in lines


def test_github_gets_annotations_at_the_lines_of_the_checks(mixed: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    ran = opskit("smoke", str(mixed), "--json", env=env)
    assert json.loads(ran.out)
    lines = [line for line in ran.err.splitlines() if line.startswith("::")]
    assert lines[0].startswith(f"::error file={mixed},line=4,title=http.bad::status: expected 2xx, got 503")
    assert lines[0].endswith("%0Ahint: see <runbook> & ask | 100%25 sure, #1")
    assert lines[-1].startswith("::warning ")
    assert len(lines) == 4
    assert summary.read_text().startswith("before\n### opskit smoke: 6 checks")


def test_github_gets_no_more_annotations_than_it_shows(tmp_path: Path) -> None:
    text = "".join(f'[command.c{number}]\nrun = "false"\n' for number in range(30))
    ran = smoke(tmp_path, text, env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": ""}).ran
    lines = [line for line in ran.err.splitlines() if line.startswith("::error")]
    assert len(lines) == 10
    assert "and 21 more" in lines[-1]


def test_github_gets_the_mistakes_of_a_file_at_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "checks.toml"
    file.write_text("[swap.x]\ntypo = 1\n")
    ran = opskit("smoke", str(file), env={"GITHUB_ACTIONS": "true"})
    assert ran.code == 2
    assert f"::error file={file},line=2,col=1,title=faulty checks file::unknown key" in ran.err


@pytest.mark.parametrize("option", ["--junit", "--tap", "--markdown", "--prometheus"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path, option: str) -> None:
    file = tmp_path / "checks.toml"
    file.write_text(f'[command.x]\nrun = "touch {tmp_path}/ran"\n')
    ran = opskit("smoke", str(file), option, str(tmp_path / "no" / "such"))
    assert ran.code == 3
    assert not (tmp_path / "ran").exists()
    on_stdout = opskit("smoke", str(file), option, "-")
    assert on_stdout.code == 0
    assert "1 check" not in on_stdout.out or option == "--markdown"


# Quotes, a percent sign, a backslash and letters beyond ASCII: what formats escape each in its own way.
SECRET = "p&s\"<'w0rd%2F\\é+/="
FORMS = {
    SECRET, quote(SECRET, safe=""), quote(SECRET), json.dumps(SECRET)[1:-1],
    base64.b64encode(SECRET.encode()).decode(), "w0rd",
}  # fmt: skip


def test_secrets_are_in_no_output(server: Nginx, tmp_path: Path) -> None:
    """The secret is sent in every place there is, and echoed by the server and by commands."""
    file = tmp_path / "checks.toml"
    file.write_text(f"""\
secret = ["pin"]
[vars]
token = "{{env.SMOKE_TOKEN}}"
pin   = "12345678"
site  = "{server.url}"

[http.echo]
url     = "{{site}}/echo?{{token}}"
headers = {{ x-token = "abc{{pin}}def" }}
body    = {{ equals = "no {{token}} {{pin}}" }}
auth    = "ann:{{token}}"
data    = "{{token}}"
hint    = "try {{token}}"

[http.inline]
url  = "{{site}}/echo"
auth = "ann:written-down-w0rd"
body = "nothing like it"

[http.url]
url = "http://ann:{{env.SMOKE_TOKEN_QUOTED}}@127.0.0.1:{server.port}/broken"

[command.echo]
run = ["sh", "-c", 'printf "%s\\n" "$1" "$1" >&2; printf "%s" "$1" | base64 >&2; exit 1', "x", "{{token}}"]
env = {{ PIN = "{{pin}}" }}

[command.missing]
run = ["/no/such/{{pin}}"]

[file.name]
path = "/no/such/{{pin}}"

[tcp.said]
address = "127.0.0.1:{server.port}"
send    = "GET /echo?{{pin}} HTTP/1.0\\r\\n\\r\\n"
expect  = "never {{pin}}"
""")
    env = {
        "SMOKE_TOKEN": SECRET, "SMOKE_TOKEN_QUOTED": "hunter2-w0rd", "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "PYTHONUTF8": "1",
    }  # fmt: skip
    written = [tmp_path / name for name in ("a.xml", "a.tap", "a.md", "a.prom")]
    options = [
        word
        for option, path in zip(("--junit", "--tap", "--markdown", "--prometheus"), written, strict=True)
        for word in (option, str(path))
    ]
    outputs = [
        opskit("smoke", str(file), *options, *more, env=env)
        for more in ((), ("--json",), ("--nagios",), ("--list",))
    ]
    assert [ran.code for ran in outputs] == [1, 1, 2, 0]
    texts = [ran.out + ran.err for ran in outputs] + [
        path.read_text() for path in (*written, tmp_path / "summary")
    ]
    for text in texts:
        assert text
        for form in {*FORMS, "12345678", "hunter2"}:
            assert form not in text, form
    assert all("***" in text for text in texts[:2])
    assert len(outputs[1].data["checks"][0]["findings"][1]["actual"]) > 10


def test_the_mistakes_of_a_file_show_no_secrets(tmp_path: Path) -> None:
    file = tmp_path / "checks.toml"
    file.write_text(
        '[vars]\ntoken = { a = "hunter2" }\n[http.x]\nurl = "http://x/"\nauth = "hunter2"\npassword = "hunter2"\n'
    )
    ran = opskit("smoke", str(file))
    assert ran.code == 2
    assert "hunter2" not in ran.err
