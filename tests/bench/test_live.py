"""The live view, as a person sees it on a terminal, and what is left of it afterwards: nothing."""

import os
import re
import socket
import sys
import termios
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyte
import pytest

from opskit.bench.live import sparkline
from opskit.console import LiveBlock, talk
from tests.servers import Running, target
from tests.terminal import Lines, on_terminal

ROWS = ("rate ", "p99 ", "failed ", "done ")
SGR = re.compile(rb"\x1b\[\d+m")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with target() as running:
        yield running


def starting_with(lines: Lines, word: str) -> Lines:
    return [line for line in lines if line.startswith(word)]


def view_is_up(lines: Lines) -> bool:
    """Whether the screen has each line of the view, once."""
    return [len(starting_with(lines, row)) for row in ROWS] == [1, 1, 1, 1]


def all_is_told(lines: Lines) -> bool:
    """Whether a second has ended, so that there are percentiles."""
    return view_is_up(lines) and "p50" in starting_with(lines, "p99 ")[0]


def assert_nothing_is_left(lines: Lines) -> None:
    assert not [line for line in lines if re.match(r"(rate|p99|failed|done|time|warm-up)  ", line)]


def test_a_run_is_watched_and_then_only_its_report_is_there(server: Running) -> None:
    with on_terminal("bench", "-k", "-c", "5", "-t", "3", "--rate", "200", f"{server.url}/bytes/9") as terminal:
        assert terminal.ended() == 0
        lines = terminal.wait_for(all_is_told, "the view")
        rate, p99, failed, done = (starting_with(lines, row)[0] for row in ROWS)
        assert re.fullmatch(r"rate +[\d,]+/s  .* mean [\d,]+/s", rate)
        assert re.fullmatch(r"p99 +[\d.]+ (ms|µs|s)  [▁-█ ]+  p50 [\d.]+ (ms|µs|s), max [\d.]+ (ms|µs|s)", p99)
        assert re.fullmatch(r"failed +0 +of [\d,]+", failed)
        assert re.fullmatch(r"done +\d+%  ━*─*  \d s, \d s left", done)
        assert all(len(line) <= 80 for line in lines)
        assert_nothing_is_left(terminal.left())
        assert terminal.left()[-1] == "  LOOPBACK-SHARED  client and server share this machine's cores"


def test_a_warm_up_is_shown_as_one(server: Running) -> None:
    with on_terminal(
        "bench", "-k", "-c", "2", "-n", "600", "--rate", "200", "--warmup", "2", f"{server.url}/bytes/9"
    ) as terminal:
        assert terminal.ended() == 0
        warming = terminal.wait_for(lambda lines: starting_with(lines, "warm-up"), "the warm-up")
        assert re.fullmatch(r"warm-up +\d+%  ━*─*  not counted, \d s left", starting_with(warming, "warm-up")[0])
        measuring = terminal.wait_for(view_is_up, "the run itself")
        assert int(starting_with(measuring, "failed ")[0].rpartition(" of ")[2]) < 600
        after = terminal.frames[terminal.frames.index(measuring) :]
        assert not [lines for lines in after if starting_with(lines, "warm-up")]
        assert_nothing_is_left(terminal.left())


def test_several_processes_are_watched_as_one(server: Running) -> None:
    with on_terminal(
        "bench", "-k", "-c", "2", "-t", "3", "--processes", "2", "--rate", "200", "--warmup", "1",
        f"{server.url}/bytes/9",
    ) as terminal:  # fmt: skip
        assert terminal.ended() == 0
        terminal.wait_for(lambda lines: starting_with(lines, "warm-up"), "the warm-up")
        terminal.wait_for(view_is_up, "the view")
        assert_nothing_is_left(terminal.left())


def test_ctrl_c_leaves_the_terminal_clean(server: Running) -> None:
    with on_terminal("bench", "-k", "-c", "2", "-t", "60", "--rate", "50", f"{server.url}/bytes/9") as terminal:
        terminal.wait_for(view_is_up, "the view")
        terminal.press(b"\x03")
        assert terminal.ended() == 130
        assert b"stopping; Ctrl-C again stops at once" in terminal.raw
        assert_nothing_is_left(terminal.left())
        assert b"\x1b[?25l" not in terminal.raw  # a cursor that was hidden would stay so after a kill


def test_an_error_stands_on_a_line_of_its_own() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as closed:
        port = closed.getsockname()[1]
    with on_terminal("bench", "-r", "-t", "1.5", f"http://127.0.0.1:{port}/") as terminal:
        assert terminal.ended() == 3
        lines = terminal.wait_for(view_is_up, "the view")
        assert re.fullmatch(r"failed +[\d,]+ .* 100.0% of [\d,]+", starting_with(lines, "failed ")[0])
        assert_nothing_is_left(terminal.left())
        assert starting_with(terminal.left(), "error: ")


def test_a_narrow_terminal_sees_less_and_nothing_wraps(server: Running) -> None:
    with on_terminal(
        "bench", "-k", "-c", "2", "-t", "3", "--rate", "100", f"{server.url}/bytes/9", columns=44
    ) as terminal:
        assert terminal.ended() == 0
        lines = terminal.wait_for(view_is_up, "the view")
        assert all(len(line) < 44 for line in lines)
        assert "mean" not in starting_with(lines, "rate ")[0]
        assert "left" in starting_with(lines, "done ")[0]
        assert_nothing_is_left(terminal.left())


def test_a_terminal_that_becomes_wider_is_used(server: Running) -> None:
    with on_terminal(
        "bench", "-k", "-c", "2", "-t", "60", "--rate", "100", f"{server.url}/bytes/9", columns=44
    ) as terminal:
        terminal.wait_for(view_is_up, "the view")
        terminal.resize(100)
        lines = terminal.wait_for(lambda lines: [line for line in lines if "  mean " in line], "the notes")
        assert view_is_up(lines)
        terminal.press(b"\x03")
        terminal.ended()


def test_a_terminal_of_three_lines_sees_one(server: Running) -> None:
    with on_terminal(
        "bench", "-k", "-c", "2", "-t", "2", "--rate", "100", f"{server.url}/bytes/9", rows=3
    ) as terminal:
        assert terminal.ended() == 0
        terminal.wait_for(lambda lines: starting_with(lines, "done "), "the progress")
        assert not [lines for lines in terminal.frames if starting_with(lines, "rate ")]


def test_a_run_without_an_end_says_for_how_long_it_lasts(server: Running, tmp_path: Path) -> None:
    requests = tmp_path / "requests.txt"
    requests.write_text("1\n" * 400)
    with on_terminal("bench", "-k", "-R", str(requests), "--rate", "200", f"{server.url}/bytes/") as terminal:
        assert terminal.ended() == 0
        lines = terminal.wait_for(lambda lines: starting_with(lines, "time "), "the time")
        assert re.fullmatch(r"time +\d s", starting_with(lines, "time ")[0])


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"NO_COLOR": ""}], ids=["no colour", "colour"])
def test_no_color_is_respected(server: Running, env: dict[str, str]) -> None:
    with on_terminal(
        "bench", "-k", "-t", "2", "--rate", "100", "--format", "csv", f"{server.url}/bytes/9", env=env
    ) as terminal:
        assert terminal.ended() == 0
        terminal.wait_for(view_is_up, "the view")
        assert bool(SGR.search(terminal.raw)) is not bool(env["NO_COLOR"])


def test_a_locale_without_blocks_gets_other_characters(server: Running) -> None:
    env = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    with on_terminal("bench", "-k", "-t", "3", "--rate", "100", f"{server.url}/bytes/9", env=env) as terminal:
        assert terminal.ended() == 0
        view = terminal.wait_for(all_is_told, "the view")
        lines = [line for row in ROWS for line in starting_with(view, row)]
        assert "".join(lines).isascii()
        assert "?" not in "".join(lines)
        assert re.search(r"  =+-+  ", lines[-1])
        assert "#" in lines[1]  # the highest of the sparkline


def test_a_dumb_terminal_gets_plain_lines(server: Running) -> None:
    with on_terminal(
        "bench",
        "-k",
        "-n",
        "400",
        "--rate",
        "400",
        "--format",
        "csv",
        f"{server.url}/bytes/9",
        env={"TERM": "dumb"},
    ) as terminal:
        assert terminal.ended() == 0
        assert b"\x1b" not in terminal.raw
        assert b"Completed 100 requests" in terminal.raw


@pytest.mark.parametrize("flag", ["-q", "--json"])
def test_quiet_and_json_show_nothing(server: Running, flag: str) -> None:
    with on_terminal("bench", "-k", flag, "-t", "1", "--rate", "100", f"{server.url}/bytes/9") as terminal:
        assert terminal.ended() == 0
        assert b"mean " not in terminal.raw
        assert b"\x1b[K" not in terminal.raw


# The block of lines itself


@contextmanager
def stderr_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    with closing(os.fdopen(slave, "w", encoding="utf-8")) as stream, monkeypatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setattr(sys, "stderr", stream)
        yield master, slave
    os.close(master)


def read_until(master: int, word: bytes) -> bytes:
    shown = b""
    while word not in shown:  # the kernel hands on what was written piece by piece
        shown += os.read(master, 65536)
    return shown


def test_a_terminal_that_is_held_does_not_hold_the_work_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with stderr_on_a_terminal(monkeypatch) as (master, slave):
        block = LiveBlock()
        termios.tcflow(slave, termios.TCOOFF)  # as Ctrl-S does
        for number in range(10_000):
            block.draw([[(f"frame {number}", "")]])
        termios.tcflow(slave, termios.TCOON)
        block.draw([[("after", "")]])
        shown = read_until(master, b"after")
    assert b"frame" not in shown


def test_what_is_said_meanwhile_stands_above(monkeypatch: pytest.MonkeyPatch) -> None:
    with stderr_on_a_terminal(monkeypatch) as (master, _):
        assert LiveBlock.possible()
        block = LiveBlock()
        block.draw([[("one", "bold")], [("two", "")]])
        talk("said")
        block.draw([[("three", "")]])
        block.clear()
        talk("end")
        shown = read_until(master, b"end")
    screen = pyte.Screen(80, 24)
    pyte.ByteStream(screen).feed(shown)
    assert [line.rstrip() for line in screen.display if line.strip()] == ["said", "end"]


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([0, 0], "  "),
        ([8, 4, 1, 0, 8], "█▅▂ █"),
        ([1e-9], "█"),
    ],
)
def test_a_sparkline_is_as_high_as_its_values(values: list[float], drawn: str) -> None:
    assert sparkline(values) == drawn
    assert sparkline(values, ascii_only=True).isascii()
    assert len(sparkline(values, ascii_only=True)) == len(values)
