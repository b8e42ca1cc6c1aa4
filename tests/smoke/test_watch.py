"""`opskit smoke --every`: when calls are due, and that they are made, told and remembered."""

import itertools
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from opskit.smoke.alarm import Call, Known, Rules, called, seen
from opskit.smoke.load import load
from opskit.smoke.model import Check, Result, Status
from tests.command import opskit


@pytest.fixture
def check(tmp_path: Path) -> Check:
    file = tmp_path / "c.toml"
    file.write_text("[swap.x]\n")
    return load([str(file)], {})[0].checks[0]


def story(check: Check, statuses: str, rules: Rules, every: float = 60.0) -> list[tuple[int, Call]]:
    """The rounds in which calls are made; f fails, p passes, s is skipped, e is an error."""
    words = {"f": Status.FAIL, "p": Status.PASS, "s": Status.SKIP, "e": Status.ERROR}
    known, calls = Known(), []
    for number, letter in enumerate(statuses):
        known, call = seen(known, Result(check, words[letter], ""), number * every, rules)
        if call:
            known = called(known, call, number * every)
            calls.append((number, call))
    return calls


def test_a_call_needs_confirmation(check: Check) -> None:
    assert story(check, "ffpffp", Rules(confirm=3)) == []
    assert story(check, "pfefp", Rules(confirm=3)) == [(3, Call.FAIL), (4, Call.OK)]
    assert story(check, "fp", Rules(confirm=1)) == [(0, Call.FAIL), (1, Call.OK)]


def test_skipped_rounds_change_nothing(check: Check) -> None:
    assert story(check, "fsfsfs", Rules(confirm=3)) == [(4, Call.FAIL)]


def test_repeats_grow(check: Check) -> None:
    calls = story(check, "f" * 40, Rules(confirm=1, repeat=120.0))
    assert [number for number, _ in calls] == [0, 2, 6, 14, 30]


def test_a_repeat_is_never_longer_than_a_day(check: Check) -> None:
    calls = story(check, "f" * 100, Rules(confirm=1, repeat=3600.0), every=3600.0 * 6)
    assert {later - earlier for (earlier, _), (later, _) in itertools.pairwise(calls[6:])} == {4}


def test_a_call_that_was_not_made_stays_due(check: Check) -> None:
    rules = Rules(confirm=1)
    known, call = seen(Known(), Result(check, Status.FAIL, ""), 0.0, rules)
    assert call is Call.FAIL
    known, call = seen(known, Result(check, Status.FAIL, ""), 1.0, rules)
    assert call is Call.FAIL


def test_a_warning_calls_nobody(check: Check) -> None:
    warned = replace(check, common=replace(check.common, severity="warning"))
    assert seen(Known(), Result(warned, Status.FAIL, ""), 0.0, Rules(confirm=1)) == (Known(), None)


CALLED = """\
import json, os, sys
told = {name: os.environ[name] for name in os.environ if name.startswith("OPSKIT_")}
told["words"] = sys.argv[1:]
told["stdin"] = json.load(sys.stdin)["id"]
with open("calls", "a") as file:
    file.write(json.dumps(told) + "\\n")
"""


def test_calls_are_made_told_and_remembered_over_restarts(tmp_path: Path) -> None:
    flag, state = tmp_path / "flag", tmp_path / "state.json"
    (tmp_path / "call.py").write_text(CALLED)
    file = tmp_path / "checks.toml"
    file.write_text(f'[file.x]\npath = "{flag}"\nhint = "$(touch injected); `touch injected`"\n')
    command = f"{sys.executable} call.py"

    def rounds(number: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [
                sys.executable, "-m", "opskit", "smoke", str(file), "--every", "50ms", "--rounds", str(number),
                "--confirm", "3", "--state", str(state), "--on-fail", f"{command} fail 'two words'", "--on-ok", f"{command} ok",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def calls() -> list[dict[str, object]]:
        path = tmp_path / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    assert rounds(2).returncode == 1
    assert calls() == []
    again = rounds(2)
    assert again.returncode == 1
    [call] = calls()
    assert (call["OPSKIT_CHECK"], call["OPSKIT_STATUS"], call["words"]) == (
        "file.x",
        "fail",
        ["fail", "two words"],
    )
    assert call["stdin"] == "file.x"
    assert call["OPSKIT_HINT"] == "$(touch injected); `touch injected`"
    assert abs(time.time() - int(str(call["OPSKIT_SINCE"]))) < 60
    flag.touch()
    good = rounds(2)
    assert good.returncode == 0
    assert [each["words"] for each in calls()[1:]] == [["ok"]]
    assert not (tmp_path / "injected").exists()
    assert good.stdout.count("1 passed") == 2
    assert json.loads(state.read_text())["checks"]["file.x"]["failures"] == 0


def test_a_call_that_fails_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "checks.toml"
    file.write_text(f'[file.x]\npath = "{tmp_path}/none"\n')
    ran = opskit(
        "smoke", str(file), "--every", "50ms", "--rounds", "3", "--confirm", "1", "--on-fail",
        f"sh -c 'echo >> {tmp_path}/tries; echo no pager >&2; exit 1'",
    )  # fmt: skip
    assert (tmp_path / "tries").read_text() == "\n\n\n"
    assert ran.err.count("warning: sh ended with 1 no pager") == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--on-fail", "true"), "belong to --every"),
        (("--every", "soon"), "not a duration"),
        (("--every", "0"), "need a time"),
        (("--every", "1m", "--on-fail", "no-such-program x"), "there is no program no-such-program"),
        (("--every", "1m", "--on-ok", "'open"), "no closing quotation"),
        (("--every", "1m", "--confirm", "0"), "confirm"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    file = tmp_path / "checks.toml"
    file.write_text("[swap.x]\n")
    ran = opskit("smoke", str(file), *words)
    assert ran.code == 2
    assert message in ran.err


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "smoke-state/1", "checks": {"a": 3}}', "\0"])
def test_a_damaged_state_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "checks.toml").write_text("[swap.x]\n")
    (tmp_path / "state").write_text(text)
    ran = opskit(
        "smoke",
        str(tmp_path / "checks.toml"),
        "--every",
        "1s",
        "--rounds",
        "1",
        "--state",
        str(tmp_path / "state"),
    )
    assert ran.code == 2
    assert "is not a state" in ran.err
    assert (tmp_path / "state").read_text() == text
