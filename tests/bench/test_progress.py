"""What a run says while it lasts."""

import pytest

from opskit.bench.plan import Plan, Prepared, parse_url
from opskit.bench.progress import Lines, Silent, VerboseTrace, progress
from opskit.bench.wire import Body, Head


@pytest.mark.parametrize(
    ("planned", "said"),
    [
        (100, []),
        (150, []),
        (151, [100]),
        (1000, [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]),
        (5000, [500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000]),
    ],
)
def test_lines_come_as_abs_do(capsys: pytest.CaptureFixture[str], planned: int, said: list[int]) -> None:
    watch = Lines(planned)
    for ended in range(0, planned + 1, 50):
        watch.tick(ended, 0, 0.0)
    watch.done(planned)
    finished = [f"Finished {planned} requests"] if said else []
    expected = [f"Completed {number} requests" for number in said] + finished
    captured = capsys.readouterr()
    assert captured.err.splitlines() == expected
    assert captured.out == ""


def test_a_run_without_a_number_says_every_ten_thousand(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Lines(None)
    watch.tick(25_000, 0, 1.0)
    watch.done(25_001)
    assert capsys.readouterr().err.splitlines() == [
        "Completed 10000 requests", "Completed 20000 requests", "Finished 25001 requests",
    ]  # fmt: skip


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    watch = progress(Plan(url=None, number=1000), quiet=True)
    assert isinstance(watch, Silent)
    watch.tick(1000, 5, 1.0)
    watch.done(1000)
    assert capsys.readouterr() == ("", "")


def test_a_trace_masks_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    trace = VerboseTrace(3)
    wire = (
        b"GET /?token=hidden&a=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Basic hidden\r\nCookie: hidden\r\n\r\nbody"
    )
    trace.sent(Prepared(wire, parse_url("http://h/").origin, False, None))
    trace.answered(Head(503, Body.LENGTH, 5, True, "s"), 5)
    said = capsys.readouterr().err
    assert "hidden" not in said
    assert "body" not in said
    assert "GET /?token=***&a=1 HTTP/1.1" in said
    assert "LOG: Response code = 503" in said
    assert "WARNING: Response code not 2xx (503)" in said
