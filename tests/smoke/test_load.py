"""Mistakes in checks files: all found at once, each at its place; and no text makes the reader crash."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opskit.smoke.checks import TYPES, probe_type
from opskit.smoke.fields import Limit
from opskit.smoke.load import load
from opskit.smoke.model import Common, keys_of
from tests.command import opskit
from tests.smoke.smoking import mistakes, run

MANY = """\
[defaults]
timeout = 5
[http.a]
url = "{sitee}/x"
statsu = 200
status = ["2xx", 20]
header = { content-type = { matchs = "x" } }
[http.b]
url = "nowhere"
json = {}
[htp.c]
url = 1
[tcp.d]
[tcp.e]
address = "x:1"
wait = "5 sec"
[bench.f]
url = "http://h/"
p95 = "< 200"
"""


def test_all_mistakes_are_found_at_once_with_their_places(tmp_path: Path) -> None:
    assert mistakes(MANY, tmp_path) == [
        (2, 11, "5 has no unit"),
        (4, 8, 'unknown variable "sitee"'),
        (5, 1, 'unknown key "statsu" in a check of type http'),
        (6, 18, "20 is no status"),
        (7, 29, 'unknown test "matchs"'),
        (9, 7, '"nowhere" is no URL'),
        (10, 8, "this tests nothing"),
        (11, 2, 'unknown type of check "htp"'),
        (13, 6, 'tcp.d has no "address"'),
        (16, 8, "'5 sec' is not a duration"),
        (19, 10, "'200' is not a duration"),
    ]


def test_a_mistake_is_shown_like_a_compiler_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "checks.toml"
    file.write_text('[http.home]\nurl = "http://127.0.0.1/"\nstatsu = 200\n')
    ran = opskit("smoke", str(file))
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err == (
        'error: unknown key "statsu" in a check of type http\n'
        f" --> {file}:3:1\n3 | statsu = 200\n  | ^^^^^^\n"
        'hint: did you mean "status"?\n'
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no check in it"),
        ("[vars]\na = 1\n", "there is no check in it"),
        ("[http]\nurl = 'http://x/'\n", "a check needs a name"),
        ("http = 3\n", "a check needs a name"),
        ("[[http.a]]\nurl = 'http://x/'\n", "a check needs a name"),
        ('["http"."a b"]\nurl = "http://x/"\n', '"a b" is not a name'),
        ("[tcp.a]\naddress = 'h:1'\n[tcp.a]\naddress = 'h:2'\n", "not TOML: cannot declare"),
        ("[tcp.a]\naddress = h:1\n", "not TOML: invalid value"),
        ("[tcp.a\n", "not TOML"),
        ('[tcp.a]\naddress = "h:1', "not TOML"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("[tcp.a]\naddress = 'h:99999'\n", "is no address"),
        ("[tcp.a]\naddress = 'h:1'\nsend = 'x'\n", "nothing is expected"),
        ("[tcp.a]\naddress = 'h:1'\nneeds = 'tcp.b'\n", 'unknown check "tcp.b"'),
        ("[tcp.a]\naddress = 'h:1'\nneeds = 'tcp.a'\n", "circle: tcp.a needs tcp.a"),
        ("[http.a]\nurl = 'http://x/'\nbody = { matches = '(' }\n", "not a regular expression"),
        ("[http.a]\nurl = 'http://x/'\nbody = { lacks = [] }\n", "this list is empty"),
        ("[http.a]\nurl = 'http://x/'\nstatus = []\n", "nothing would be tested"),
        ("[http.a]\nurl = 'http://x/'\nheader = {}\n", "this tests nothing"),
        ("[command.a]\nrun = 'true'\nstderr = []\n", "this list is empty"),
        ("[process.a]\nuser = 'x'\n", "it is not said which process"),
        ("[bench.a]\nurl = 'http://x/'\nfailed = '< 16k'\n", "is not a share"),
        ("[file.a]\npath = '/x'\nsize = '< 16k'\n", "is not a size"),
        ("[file.a]\npath = '/x'\nexists = false\nmode = '0644'\n", "nothing can be asked"),
        ("[dns.a]\nname = 'x'\ntype = 'AA'\n", 'unknown value "AA"'),
        ("[dns.a]\nname = 'x'\nserver = 'ns.example'\n", "is no IP address"),
        ("[tls.a]\naddress = 'h:1'\nfingerprint = '12'\n", "64 hex digits"),
        ("[index.a]\nindex = 'http://x/'\nrequire = ['-e .']\n", "is no requirement"),
        ("[range.a]\nurl = 'http://x/'\nprofile = 'vidio'\n", 'unknown client "vidio"'),
        ("[macro.a]\nmacro = 'A'\nundefined = true\nequals = '1'\n", "equals nothing"),
        ("[swap.a]\noff = true\ntotal = '> 1GB'\n", "nothing else can be asked"),
        ("[zpool.a]\npool = 'tank'\nstate = 'FINE'\n", 'unknown value "FINE"'),
        ("secret = 3\n[swap.a]\n", "secret must be a list"),
        ("vars = 3\n[swap.a]\n", "[vars] must be a table"),
        ("defaults = 3\n[swap.a]\n", "[defaults] must be a table"),
        ("[vars]\na = { b = 1 }\n[swap.a]\n", "a variable is a string"),
        ("[swap.a]\nhint = '{env.NO_SUCH_THING}'\n", "the environment has no NO_SUCH_THING"),
        ("[swap.a]\nseverity = 1979-05-27\n", "not a date or time"),
        ("[swap.a]\nwait = true\n", "not true or false"),
    ],
)  # fmt: skip
def test_each_mistake(tmp_path: Path, text: str, words: str) -> None:
    found = mistakes(text, tmp_path)
    assert len(found) == 1, found
    assert words in found[0][2]


def test_a_circle_of_three_is_told_once_in_its_order(tmp_path: Path) -> None:
    text = "".join(f"[tcp.{a}]\naddress = 'h:1'\nneeds = 'tcp.{b}'\n" for a, b in ("ab", "bc", "ca"))
    assert mistakes(text, tmp_path) == [
        (3, 1, "needs go round in a circle: tcp.a needs tcp.b needs tcp.c needs tcp.a")
    ]


def test_the_same_check_in_two_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text("[swap.x]\n")
    _, found = load([str(tmp_path / "a.toml"), str(tmp_path / "b.toml")], {})
    assert [mistake.problem for mistake in found] == [f"swap.x is already in {tmp_path}/a.toml, line 1"]


@pytest.mark.parametrize("name", ["directory", "missing", "binary", "large", "/dev/null"])
def test_what_is_no_checks_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "directory":
        path.mkdir()
    elif name == "binary":
        path.write_bytes(b"a = 1\n\xff\xfe\x00")
    elif name == "large":
        path.write_bytes(b"# comment\n" * 1_000_000)
    ran = opskit("smoke", str(path))
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err
    assert "hint: " in ran.err


def test_variables(tmp_path: Path) -> None:
    text = (
        '[vars]\nname = "world"\nn = 3\nhost = "{env.HOST:-here}"\n'
        "[command.x]\nrun = ['echo', 'hello {name} {n} {host} {{name} {2} {\"a\": 1}']\n"
        'stdout = { equals = "hello world 3 here {{name} {2} {\\"a\\": 1}\\n" }\n'
    )
    report = run(text, tmp_path, {"PATH": os.environ["PATH"]})
    assert report.results[0].status.value == "pass", report.results[0].message


def test_defaults_hold_where_a_check_has_not_its_own(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[defaults]\ntimeout = "3s"\ntags = "a"\n[swap.x]\n[swap.y]\ntimeout = "1s"\n')
    checks, _ = load([str(file)], {})
    assert [(check.common.timeout, check.common.tags) for check in checks.checks] == [(3.0, ("a",)), (1.0, ("a",))]


def test_the_examples_of_all_types_are_sound(tmp_path: Path) -> None:
    file = tmp_path / "all.toml"
    file.write_text("\n".join(probe_type(name).EXAMPLE for name in TYPES))
    checks, found = load([str(file)], {})
    assert [str(mistake) for mistake in found] == []
    assert {check.type for check in checks.checks} == set(TYPES)


def test_the_line_of_every_check_is_its_header(tmp_path: Path) -> None:
    file = tmp_path / "all.toml"
    text = 'x = """\n[tcp.no]\n"""\n'.replace("x", "vars.x") + "\n".join(
        probe_type(name).EXAMPLE for name in TYPES
    )
    file.write_text(text)
    checks, _ = load([str(file)], {})
    lines = text.splitlines()
    assert [lines[check.line - 1] for check in checks.checks] == [f"[{check.id}]" for check in checks.checks]
    assert [check.line for check in checks.checks] == sorted(check.line for check in checks.checks)


KEYS = sorted({key for name in TYPES for key in keys_of(probe_type(name))} | set(keys_of(Common)))
SCALARS = st.one_of(
    st.sampled_from(
        ["http://127.0.0.1:1/", "h:1", "< 5s", "2xx", "10MB", "{a}", "{env.B}", "(", "", "5s", "tcp.x"]
    ),
    st.integers(-5, 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(alphabet='ab{}<>%:/."\\\n0', max_size=6),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["equals", "contains", "lacks", "matches", "a", "a b"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def toml(value: Any) -> str:
    import json

    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from([*TYPES, "vars", "defaults", "secret", "htp"]),
        st.dictionaries(st.sampled_from([*KEYS, "typo"]), VALUES, max_size=5),
        max_size=4,
    )
)
def test_no_file_makes_the_reader_crash(tmp_path: Path, tables: dict[str, dict[str, Any]]) -> None:
    text = "".join(
        f"[{name}{'' if name in ('vars', 'defaults', 'secret') else '.x'}]\n"
        + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())
        for name, keys in tables.items()
    )
    tomllib.loads(text)
    file = tmp_path / "checks.toml"
    file.write_text(text)
    lines = text.splitlines()
    for mistake in load([str(file)], {})[1]:
        assert mistake.line <= max(1, len(lines))
        assert str(mistake)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text(alphabet="[]{}=.\"'#\n abtcp1,", max_size=60).map(str.encode))
def test_no_bytes_make_the_reader_crash(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "checks.toml"
    file.write_bytes(raw)
    _, found = load([str(file)], {})
    assert found


def test_limits_say_what_they_take() -> None:
    for name in TYPES:
        for each in keys_of(probe_type(name)).values():
            assert each.help.strip()
            assert each.reader.words
            if isinstance(each.reader, Limit):
                assert each.reader.words.startswith("a limit")
