"""The command lines around a run: the verb that may be left out, choosing, adding, completion, lost outputs."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import opskit
from tests.programs import free_port
from tests.servers import Running, target
from tests.smoke.certificates import Authority, tls_server


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with target() as running:
        yield running


@pytest.fixture
def three(tmp_path: Path) -> str:
    file = tmp_path / "checks.toml"
    file.write_text("""\
[command.a]
run  = "true"
tags = "fast"
[command.b]
run   = "true"
needs = "command.a"
tags  = ["slow", "deploy"]
[swap.c]
skip = "never"
""")
    return str(file)


def chosen(*words: str) -> list[str]:
    ran = opskit("smoke", *words, "--list", "--json")
    assert ran.code == 0, ran.err
    return [check["id"] for check in ran.data["checks"]]


def test_the_verb_may_be_left_out(three: str) -> None:
    assert opskit("smoke", three).code == opskit("smoke", "run", three).code == 0
    assert opskit("smoke", "--quiet", three).code == 0
    assert opskit("smoke").code == 2
    help_text = opskit("smoke", "--help").out
    assert "--fail-fast" in help_text
    assert "schema" in help_text


def test_choosing_brings_needs_along(three: str) -> None:
    assert chosen(three) == ["command.a", "command.b", "swap.c"]
    assert chosen(three, "--only", "command.b") == ["command.a", "command.b"]
    assert chosen(three, "--only", "c*", "--skip", "command.b") == ["command.a"]
    assert chosen(three, "--tag", "slow") == ["command.a", "command.b"]
    assert chosen(three, "--tag", "fast") == ["command.a"]


def test_a_need_that_is_left_out_is_said(three: str) -> None:
    ran = opskit("smoke", three, "--skip", "command.a", "--json")
    assert [check["message"] for check in ran.data["checks"]] == ["command.a was not chosen", "never"]


def test_a_wrong_choice_is_suggested_a_right_one(three: str) -> None:
    ran = opskit("smoke", three, "--only", "comand.a")
    assert ran.code == 2
    assert 'did you mean "command.a"?' in ran.err


def test_programs_can_be_forbidden(three: str) -> None:
    ran = opskit("smoke", three, "--no-command")
    assert ran.code == 2
    assert "command.a starts a program" in ran.err


def test_completion_offers_options_and_verbs() -> None:
    def offered(words: str) -> list[str]:
        env = {
            "_OPSKIT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", "from opskit.cli import run; run([])"],
            capture_output=True, text=True, env={**os.environ, **env},
        )  # fmt: skip
        return done.stdout.split()

    assert {"add", "schema", "types"} <= set(offered("opskit smoke "))
    assert "--fail-fast" in offered("opskit smoke --f")
    assert offered("opskit smoke sch") == ["schema"]


def test_several_files_are_one_run(three: str, tmp_path: Path) -> None:
    more = tmp_path / "more.toml"
    more.write_text('[command.d]\nrun = "true"\nneeds = "command.a"\n')
    ran = opskit("smoke", three, str(more), "--json")
    assert ran.code == 0
    assert [(check["id"], check["status"]) for check in ran.data["checks"]][-1] == ("command.d", "pass")


def test_stdout_that_is_full_or_goes_away(three: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "opskit", "smoke", three], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    piped = subprocess.run(
        f"{sys.executable} -m opskit smoke {three} | head -1", shell=True, capture_output=True, text=True
    )
    assert piped.stderr == ""


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/", {"status": 200, "header": {"content-type": {"matches": "^text/html"}}}),
        ("/redirect/bytes/5", {"redirect": "/bytes/5"}),
        ("/status/404", {"status": 404}),
    ],
)
def test_what_is_added_passes(server: Running, tmp_path: Path, path: str, keys: dict[str, object]) -> None:
    file = tmp_path / "mine.toml"
    assert opskit("smoke", "add", "http", server.url + path, "--to", str(file), "--name", "one").code == 0
    assert opskit("smoke", "add", "http", server.url, "--to", str(file), "--name", "two").code == 0
    added = tomllib.loads(file.read_text())["http"]["one"]
    for key, value in keys.items():
        assert added[key] == value or (
            key == "header" and added[key]["content-type"]["matches"].startswith("^text")
        )
    ran = opskit("smoke", str(file))
    assert ran.code == 0, ran.out


def test_the_facts_of_a_json_answer_are_added(server: Running) -> None:
    ran = opskit("smoke", "add", "http", f"{server.url}/search?q=x", "--json")
    assert ran.code == 0
    assert tomllib.loads(ran.data["toml"])["http"]


def test_tls_tcp_dns_and_files_can_be_added(server: Running, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    with tls_server(Authority(tmp_path / "ca").self_signed("mine")) as port:
        for kind, what in (
            ("tls", f"127.0.0.1:{port}"),
            ("tcp", server.url.removeprefix("http://")),
            ("file", str(tmp_path)),
        ):
            ran = opskit("smoke", "add", kind, what, "--to", str(file))
            assert ran.code == 0, ran.err
        done = opskit("smoke", str(file))
    assert done.code == 0, done.out
    assert {"tls", "tcp", "file"} == set(tomllib.loads(file.read_text()))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("htp", "http://x/"), 2, 'did you mean "http"?'),
        (("http", "nowhere"), 2, "is no URL"),
        (("http", "http://127.0.0.1:CLOSED/"), 3, "refused"),
        (("http", "http://x/", "--name", "a b"), 2, "is no name"),
        (("file", "/no/such/file"), 3, "No such file"),
        (("tcp", "127.0.0.1:CLOSED"), 3, "refused"),
    ],
)
def test_what_cannot_be_added(words: tuple[str, ...], code: int, message: str) -> None:
    closed = str(free_port())
    ran = opskit("smoke", "add", *(word.replace("CLOSED", closed) for word in words))
    assert ran.code == code
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_a_name_that_is_taken_and_a_faulty_file_are_left_alone(server: Running, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    words = ("smoke", "add", "http", server.url, "--name", "a", "--to", str(file))
    assert opskit(*words).code == 0
    before = file.read_text()
    again = opskit(*words)
    assert again.code == 2
    assert "is in" in again.err
    assert file.read_text() == before
    file.write_text("[http.x]\ntypo = 1\n")
    assert opskit(*words).code == 2
    assert file.read_text() == "[http.x]\ntypo = 1\n"


def test_the_schema_and_the_types_are_shown() -> None:
    assert json.loads(opskit("smoke", "schema").out)["definitions"]["tcp"]["required"] == ["address"]
    assert "[tls.mail]" in opskit("smoke", "types", "tls").out
    wrong = opskit("smoke", "types", "tsl")
    assert wrong.code == 2
    assert 'did you mean "tls"?' in wrong.err
    assert all(len(line) <= 80 for line in opskit("smoke", "types").out.splitlines())


def test_a_check_of_nothing_but_closed_doors(tmp_path: Path) -> None:
    """Everything at once against ports where nobody is: no verdict is lost and nothing hangs."""
    port = free_port()
    file = tmp_path / "checks.toml"
    file.write_text(f"""\
[defaults]
timeout = "3s"
[http.a]
url = "http://127.0.0.1:{port}/"
[range.a]
url = "http://127.0.0.1:{port}/"
[bench.a]
url = "http://127.0.0.1:{port}/"
requests = 3
[index.a]
index = "http://127.0.0.1:{port}/simple/"
require = "x"
[tcp.a]
address = "127.0.0.1:{port}"
[tls.a]
address = "127.0.0.1:{port}"
[dns.a]
name = "x.test"
server = "127.0.0.1:{port}"
""")
    ran = opskit("smoke", str(file), "--json")
    assert ran.code == 1
    found = {check["id"]: check["status"] for check in ran.data["checks"]}
    assert found.pop("dns.a") == "error"
    assert set(found.values()) == {"fail"}
