"""How often `--against` and `--baseline` call two runs different that are not, and how often they miss 10 %.

    python -m benchmarks.comparing            # 200 trials of each kind; about half an hour
    python -m benchmarks.comparing 50         # fewer

A server in a process of its own serves each request for the time that its URL names, give or take 5 % by chance.
A trial measures both sides for real, eight short runs each: in turn, as --against does, and one side after the
other, as with a saved baseline that was measured a moment ago. Bars: at most 5 % of the trials in which the two
sides are the same are called different; a side that is 10 % slower is found in at least 95 %.

These are facts about the statistics, for runs whose noise is the server's. On a machine with much other work short
runs are noisier; the comparison then says "no difference seen", and how large one would have had to be.
"""

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from opskit.bench.compare.comparing import Comparison, Finding, compare
from opskit.bench.compare.repeating import Sides, turns
from opskit.bench.plan import Plan, Shape, parse_url
from opskit.bench.run import carry_out

TRIALS = 200
RUNS = 8
REQUESTS = 20
SERVICE = 5000  # µs
SLOWER = 5500
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(listener: socket.socket) -> None:
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=answer, args=(sock,), daemon=True).start()


def answer(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        while request := sock.recv(4096):
            microseconds = int(request.split(b" ", 2)[1][1:])
            time.sleep(microseconds * random.uniform(0.95, 1.05) / 1e6)
            sock.sendall(OK)


def plan(url: str, microseconds: int) -> Plan:
    return Plan(url=parse_url(f"{url}{microseconds}"), number=REQUESTS, shape=Shape(keep_alive=True))


def in_turn(new: Plan, old: Plan) -> Comparison:
    return measured(new, old, list(turns(RUNS, against=True)), paired=True)


def one_after_the_other(new: Plan, old: Plan) -> Comparison:
    return measured(new, old, [True] * RUNS + [False] * RUNS, paired=False)


def measured(new: Plan, old: Plan, order: list[bool], *, paired: bool) -> Comparison:
    sides = Sides()
    for is_old in order:
        results, error = carry_out(old if is_old else new)
        assert error is None
        assert results.good == REQUESTS
        (sides.old if is_old else sides.new).append(results)
    return compare(sides.new, sides.old, tolerance=0.05, paired=paired)


def before_others() -> None:
    """Prefer us and our children, which mostly sleep, and nobody has to wait."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (AttributeError, PermissionError):
        print("without real-time priority (root has it): other work on this machine is part of the noise")


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        listener = socket.create_server(("127.0.0.1", 0))
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
        serve(listener)
    before_others()
    trials = int(sys.argv[1]) if sys.argv[1:] else TRIALS
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.comparing", "serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        url = server.stdout.readline().strip()
        for name, trial in (("in turn", in_turn), ("one after the other", one_after_the_other)):
            judge(name, trial, url, trials)
    finally:
        server.terminate()
        server.communicate()


def judge(name: str, trial: Callable[[Plan, Plan], Comparison], url: str, trials: int) -> None:
    same = [trial(plan(url, SERVICE), plan(url, SERVICE)) for _ in range(trials)]
    slower = [trial(plan(url, SLOWER), plan(url, SERVICE)) for _ in range(trials)]
    calm = (Finding.SAME, Finding.UNKNOWN)
    alarms = sum(any(change.finding not in calm for change in each.changes) for each in same)
    failed = sum(bool(each.regressions) for each in same)
    worse = (Finding.REGRESSION, Finding.WORSE)
    seen = sum(any(change.finding in worse for change in each.changes) for each in slower)
    found = sum(bool(each.regressions) for each in slower)
    print(f"{name}, {trials} trials of {RUNS} + {RUNS} runs of {REQUESTS} requests")
    print(f"  no difference, one seen        {alarms / trials:6.1%}   bar 5 %   (exit 1: {failed / trials:.1%})")
    print(
        f"  10 % slower, seen              {seen / trials:6.1%}   bar 95 %  (exit 1: {found / trials:.1%})",
        flush=True,
    )


if __name__ == "__main__":
    main()
