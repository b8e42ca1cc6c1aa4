"""What a run says about itself, provoked for real where that can be, and on made runs where it cannot."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest

from opskit.bench.plan import Schedule
from opskit.bench.results import Failure, Latencies, Results, Stop, Together
from opskit.bench.schedule import parse_rate
from opskit.bench.verdict import Doubt, findings, is_valid, to_dict
from tests.bench.running import bench
from tests.bench.runs import PLAIN, histogram
from tests.command import opskit
from tests.scripted import OK, Peer, answers, scripted

CLEAN = replace(
    PLAIN, run=replace(PLAIN.run, host="192.0.2.1"), started=5000, status={200: 5000}, seconds=10.0, cpu_share=0.3
)


def doubts(results: Results) -> set[Doubt]:
    return {each.doubt for each in findings(results)}


def test_a_clean_run_is_valid() -> None:
    assert findings(CLEAN) == []
    assert to_dict(CLEAN) == {"valid": True, "findings": []}


@pytest.mark.parametrize(
    ("changes", "doubt", "evidence"),
    [
        ({"cpu_share": 0.97}, Doubt.CLIENT_BOUND, "97% of a core"),
        ({"seconds": 0.4}, Doubt.SHORT, "0.40 s"),
        ({"started": 200, "status": {200: 200}}, Doubt.SHORT, "200 answers"),
        ({"failures": {Failure.RESET: 500}, "status": {200: 4500}}, Doubt.ERRORS, "10.0%"),
        ({"failures": {Failure.LOCAL: 3}}, Doubt.PORTS, "3 times"),
        ({"latencies": Latencies(loop=histogram(*[1] * 90, *[25] * 10))}, Doubt.CLIENT_BOUND, "10 of 100 times"),
        ({"together": Together(3, 1, 10.0, 5000)}, Doubt.PARTIAL, "1 of 3 parts"),
        ({"stop": Stop.INTERRUPTED}, Doubt.PARTIAL, "Ctrl-C"),
        ({"stop": Stop.TIME, "failures": {Failure.CUT_OFF: 2}}, Doubt.PARTIAL, "2 requests"),
    ],
)
def test_each_doubt_comes_with_its_evidence(changes: dict[str, object], doubt: Doubt, evidence: str) -> None:
    found = findings(replace(CLEAN, **changes))  # type: ignore[arg-type]  # the table names real fields
    assert [each.doubt for each in found] == [doubt]
    assert evidence in found[0].evidence
    assert not is_valid(found)


def test_a_shared_machine_is_said_but_leaves_a_run_valid() -> None:
    shared = replace(CLEAN, run=replace(CLEAN.run, host="127.0.0.1"))
    assert doubts(shared) == {Doubt.LOOPBACK_SHARED}
    assert is_valid(findings(shared))


def test_a_client_that_cannot_keep_up_with_the_rate_says_so() -> None:
    def sleeps(peer: Peer) -> None:
        for _ in peer.requests():
            time.sleep(0.1)
            peer.send(OK)

    with scripted(sleeps) as server:
        results = bench(
            server.url,
            number=None,
            seconds=0.4,
            concurrency=1,
            keep_alive=True,
            schedule=Schedule(parse_rate("100")),
        )
    assert Doubt.CLIENT_BOUND in doubts(results)


def test_a_client_that_is_held_up_by_its_machine_says_so() -> None:
    with scripted(answers(OK, then="keep")) as server:
        command = [sys.executable, "-m", "opskit", "bench", "-kq", "-c1", "-t3s", "--json", server.url]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while run.poll() is None:  # what a hypervisor or a busy neighbour does
            run.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            run.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        found = json.loads(run.communicate()[0])["data"]["verdict"]["findings"]
    assert "CLIENT-BOUND" in {each["doubt"] for each in found}
    assert any("woke over 10 ms late" in each["evidence"] for each in found)


def test_a_real_run_in_which_nothing_goes_wrong_is_valid() -> None:
    def unhurried(peer: Peer) -> None:
        for _ in peer.requests():
            time.sleep(0.001)
            peer.send(OK)

    def run() -> dict[str, Any]:
        with scripted(unhurried) as server:
            verdict: dict[str, Any] = opskit("bench", "-k", "-t3s", "-c2", "--json", server.url).data["verdict"]
        return verdict

    # The verdict is right where it finds the machine too busy, so it gets a second and a third look.
    verdict = next((each for each in (run() for _ in range(3)) if each["valid"]), run())
    assert verdict["valid"], verdict
    assert [each["doubt"] for each in verdict["findings"]] == ["LOOPBACK-SHARED"]


def test_a_server_that_fails_makes_the_run_doubtful() -> None:
    with scripted(answers(b"garbage\r\n\r\n")) as server:
        results = bench(server.url, number=20, keep_going=True)
    assert Doubt.ERRORS in doubts(results)


def test_the_report_ends_with_the_verdict_and_the_json_has_it() -> None:
    with scripted(answers(OK, then="keep")) as server:
        ran = opskit("bench", "-kq", "-n20", server.url)
        verdict = opskit("bench", "-k", "-n20", "--json", server.url).data["verdict"]
    assert "\nThis run is  doubtful\n  " in ran.out
    assert verdict["valid"] is False
    assert {each["doubt"] for each in verdict["findings"]} >= {"SHORT", "LOOPBACK-SHARED"}
