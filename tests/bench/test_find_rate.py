"""`--find-rate` against servers whose capacity is known, on real sockets."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from opskit.bench.compare.search import Bounds, End, Held
from opskit.bench.compare.stepping import Answers, Found, Search, Step, doubts, find_rate, judge_step
from opskit.bench.plan import Plan, Shape, parse_url
from opskit.bench.results import Results
from opskit.bench.thresholds import parse_thresholds
from opskit.bench.verdict import Doubt
from opskit.errors import Misuse
from opskit.interrupts import Relay
from tests.bench.runs import PLAIN, histogram
from tests.command import opskit
from tests.queue import queue
from tests.scripted import OK, Peer, answers, scripted

SERVICE = 0.010  # seconds: a capacity of 100/s, at which neither end has much to do


class Silent:
    """Sees a search from nearby and says nothing."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def begin(self, rate: float) -> "Silent":
        return self

    def end(self, step: Step) -> None:
        self.steps.append(step)

    def tick(self, ended: int, failed: int, seconds: float) -> None: ...
    def interval(self, interval: object) -> None: ...


def a_search(condition: str, lowest: float, highest: float, **others: float) -> Search:
    return replace(
        Search(parse_thresholds([condition]), Bounds(lowest, highest, 0.04), settle=0.2, step=2.0),
        **others,  # type: ignore[arg-type]  # as Search has them
    )


def found_at(url: str, search: Search) -> Found:
    plan = Plan(url=parse_url(url), shape=Shape(keep_alive=True), request_limit=10)
    return find_rate(plan, search, Silent(), Relay())


def test_the_capacity_of_a_queue_is_found_within_5_percent() -> None:
    """Half of the requests within 300 ms: a queue that grows for two seconds passes that far above capacity only,
    so it is the answers that fall behind the rate which are found out."""
    with queue(SERVICE) as server:
        found = found_at(server.url, a_search("p50 < 300ms", 60, 1000))
    assert found.end is End.SERVER
    assert found.rate == pytest.approx(100, rel=0.05)
    assert found.rate is not None
    assert found.failed is not None
    assert found.rate < found.failed <= found.rate * 1.04
    assert all(step.why for step in found.steps if step.held is Held.NO)


def test_a_condition_that_no_rate_can_meet_holds_at_none() -> None:
    """Four servers at 100 ms each: 40/s at most, but every request takes its 100 ms."""
    with queue(0.1, servers=4) as server:
        found = found_at(server.url, a_search("p50 < 90ms", 10, 60, step=1.0))
    assert (found.end, found.rate) == (End.LOWEST, None)


def test_a_server_that_never_failed_is_not_said_to_have_a_limit() -> None:
    with scripted(answers(OK, then="keep")) as server:
        ran = opskit(
            "bench", "-k", "--find-rate", "p50 < 1s", "--min-rate", "20", "--max-rate", "40", "--settle", "0",
            "--step-time", "0.6s", server.url,
        )  # fmt: skip
    assert ran.code == 0
    assert "\n40/s holds, and no higher rate was asked for: --max-rate 40\n" in ran.out
    assert [line.split()[0] for line in ran.err.splitlines()] == ["20", "40"]


def test_a_server_that_sheds_its_load_quickly_does_not_hold() -> None:
    def sheds(peer: Peer) -> None:
        for _ in peer.requests():
            now = time.monotonic()
            seen.append(now)
            busy = sum(now - at < 1 for at in seen[-100:]) > 40
            peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" if busy else OK)

    seen: list[float] = []
    with scripted(sheds) as server:
        found = found_at(server.url, a_search("p50 < 1s", 20, 200))
    assert found.end is End.SERVER
    assert 20 <= (found.rate or 0) < 80
    assert any("went well" in step.why for step in found.steps)


def test_too_few_places_are_the_clients_limit_and_not_sold_as_the_servers() -> None:
    with scripted(slow_but_endless) as server:
        ran = opskit(
            "bench", "-kq", "-c", "2", "--find-rate", "p99 < 1s", "--min-rate", "10", "--settle", "0",
            "--step-time", "1.5s", "--json", server.url,
        )  # fmt: skip
    search = ran.data["search"]
    assert ran.code == 0
    assert search["limit"] == "client"
    assert search["rate"] <= 20
    assert search["steps"][-1]["held"] == "client"
    assert "(-c 2)" in search["steps"][-1]["why"]


def slow_but_endless(peer: Peer) -> None:
    """100 ms for each, however many there are."""
    for _ in peer.requests():
        time.sleep(0.1)
        peer.send(OK)


def test_without_c_there_are_places_enough() -> None:
    search = a_search("p99 < 200ms", 10, 100)
    assert search.at_a_time(100) == 41
    assert search.at_a_time(1) == 8
    assert search.at_a_time(1e6) == 2048
    assert replace(search, concurrency=3).at_a_time(100) == 3
    assert a_search("failed < 1%", 10, 100).time_limit == 1.0


PACED = replace(
    PLAIN,
    started=200,
    status={200: 200},
    seconds=2.0,
    latencies=replace(
        PLAIN.latencies,
        total=histogram(*[5.0] * 200),
        response=histogram(*[5.0] * 200),
        lag=histogram(*[0.1] * 200),
    ),
)
LATE = replace(PACED.latencies, response=histogram(*[500.0] * 200), lag=histogram(*[495.0] * 200))


def judged(results: Results, rate: float, answered: float) -> Step:
    seen = Answers(Silent())
    for tenth in range(21):
        seen.tick(round(answered * tenth / 10), 0, tenth / 10)
    return judge_step(a_search("p99 < 100ms", 10, 1000), rate, results, seen)


def test_a_step_holds_where_conditions_and_answers_do() -> None:
    assert judged(PACED, 100, 100).held is Held.YES
    assert judged(PACED, 100, 100).why == ""


def test_a_step_in_which_answers_fall_behind_fails_whatever_the_times_say() -> None:
    step = judged(PACED, 100, 95)
    assert (step.held, step.trial.clearly) == (Held.NO, False)
    assert step.why == "only 94.67/s went well"
    assert judged(PACED, 100, 60).trial.clearly


def test_a_busy_client_is_the_limit_only_where_a_step_fails() -> None:
    busy = replace(PACED, cpu_share=0.97)
    assert judged(busy, 100, 100).held is Held.YES
    step = judged(busy, 100, 80)
    assert (step.held, step.why) == (Held.CLIENT, "opskit used 97% of a core")


def test_lateness_is_the_clients_where_the_server_was_quick_and_else_the_servers() -> None:
    quick = replace(PACED, latencies=LATE)
    slow = replace(PACED, latencies=replace(LATE, total=histogram(*[400.0] * 200)))
    assert judged(quick, 100, 80).held is Held.CLIENT
    assert judged(slow, 100, 80).held is Held.NO
    assert Doubt.CLIENT_BOUND in {each.doubt for each in doubts(judged(quick, 100, 80))}
    assert Doubt.CLIENT_BOUND not in {each.doubt for each in doubts(judged(slow, 100, 80))}


def test_what_was_answered_in_the_warm_up_is_not_counted() -> None:
    seen = Answers(Silent())
    for ended, seconds in ((10, 0.5), (20, 1.0), (0, 0.1), (5, 0.6), (10, 1.1)):
        seen.tick(ended, 0, seconds)
    assert seen.rate(0, 2) == pytest.approx(10)
    assert seen.rate(1, 2) is None


def test_ctrl_c_tells_what_is_known_so_far() -> None:
    with scripted(answers(OK, then="keep")) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "opskit", "bench", "-k", "--find-rate", "p50 < 1s", "--min-rate", "20",
             "--settle", "0", "--step-time", "1s", server.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr
        assert process.stderr.readline().split()[0] == "20"
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted, it is not the answer" in out
    assert "Traceback" not in err


def test_not_even_the_lowest_rate_is_exit_1() -> None:
    with queue(SERVICE) as server:
        ran = opskit(
            "bench", "-kq", "--find-rate", "p50 < 100ms", "--min-rate", "300", "--settle", "0",
            "--step-time", "1s", server.url,
        )  # fmt: skip
    assert ran.code == 1
    assert ran.out.endswith("\nnot even 300/s holds\n")
    assert ran.err.startswith("error: not even 300/s holds: p50 < 100ms: it is ")
    assert all(len(line) <= 80 for line in ran.out.splitlines())


def test_a_url_without_a_good_answer_is_no_place_to_search() -> None:
    with scripted(answers(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")) as server:
        ran = opskit("bench", "--find-rate", "p50 < 1s", server.url)
    assert ran.code == 3
    assert "it answers 404" in ran.err


@pytest.mark.parametrize(
    "others",
    [
        ("--rate", "5"), ("-n", "5"), ("-t", "5"), ("--repeat", "2"), ("--against", "http://h/"), ("--save", "f"),
        ("--baseline", "f"), ("--fail-if", "p99 > 1s"), ("--arrivals", "poisson"), ("-e", "f"), ("--format", "ab"),
        ("--warmup", "1s"), ("--processes", "2"), ("-R", "-"), ("--min-rate", "0"), ("--min-rate", "nan"),
        ("--max-rate", "5"), ("--max-rate", "inf"), ("--precision", "0%"), ("--precision", "x"), ("--settle", "x"),
        ("--step-time", "0"), ("--find-rate", "p99 > 1s"), ("--find-rate", "p98 < 1q"), ("--find-rate", "p1 < 1s"),
        ("-c", "0"), ("--order", "once"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_beside_a_search_is_refused(others: tuple[str, str]) -> None:
    ran = opskit("bench", "--find-rate", "p99 < 1s", *others, "http://127.0.0.1:1/")
    assert ran.code == 2
    assert others[0] in ran.err or others[1] in ran.err
    assert "hint: " in ran.err


def test_the_search_refuses_what_a_run_refuses() -> None:
    with pytest.raises(Misuse):
        find_rate(Plan(url=None), a_search("p99 < 1s", 10, 20), Silent(), Relay())
