"""Any crash point, any fault: afterwards resume ends the work or undo takes it back, and no promise breaks.

The judge of the simulated host looks after every change, so a state that lasts one command is seen too.
"""

import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opskit.zfs.conditions import holds
from opskit.zfs.desk import Desk
from opskit.zfs.steps import Plan
from tests.zfs.desks import QUIET, attempt, create, desk_of, ended
from tests.zfs.simulated import Host, freebsd, illumos, names_of, swap_judge

FAULTS = ("fail", "fail-after", "crash-before", "crash-after")
MAKERS = {"illumos": illumos, "freebsd": freebsd}


def begun(platform: str, place: Path, faults: dict[int, str]) -> tuple[Host, Desk, Plan, str, str]:
    """(host, desk, plan, state before, how the apply ended) of an apply with faults."""
    host: Host = MAKERS[platform]()
    desk = desk_of(host, place)
    before = host.state()
    made = create(desk, *names_of(host, 0, 1))
    host.judge = swap_judge(min(made.swap_before, made.swap_after))
    host.faults = faults
    return host, desk, made, before, attempt(desk, made)


def changes_of(platform: str) -> int:
    with TemporaryDirectory() as place:
        host, *_ = begun(platform, Path(place), {})
        return host.changes


COUNTS = {name: changes_of(name) for name in MAKERS}
EVERY = [(name, n, fault) for name, count in COUNTS.items() for n in range(count) for fault in FAULTS]


@pytest.mark.parametrize(("platform", "number", "fault"), EVERY)
def test_resume_ends_what_was_begun(platform: str, number: int, fault: str, tmp_path: Path) -> None:
    host, desk, made, before, end = begun(platform, tmp_path, {number: fault})
    host.faults = {}
    assert end in ("crash", "4", "1", "done")
    if end == "1":
        assert host.state() == before
        return
    assert ended(lambda: desk.resume(made.id, QUIET)) in ("done", "already", "2")
    if end == "crash" and not (tmp_path / "journal" / made.id / "journal.jsonl").exists():
        return
    assert made.target in host.swaps
    assert len(host.swaps) == 1
    assert desk.undo(made.id, QUIET) == "undone"
    assert host.state() == before


@pytest.mark.parametrize(("platform", "number", "fault"), EVERY)
def test_undo_takes_back_what_was_begun(platform: str, number: int, fault: str, tmp_path: Path) -> None:
    host, desk, made, before, end = begun(platform, tmp_path, {number: fault})
    host.faults = {}
    if end != "1":
        assert desk.undo(made.id, QUIET) == "undone"
    assert host.state() == before


@settings(max_examples=150, deadline=None)
@given(
    platform=st.sampled_from(sorted(MAKERS)),
    faults=st.dictionaries(st.integers(0, 40), st.sampled_from(FAULTS), max_size=5),
    way=st.lists(st.sampled_from(["resume", "undo"]), min_size=1, max_size=5),
)
def test_any_faults_then_any_way_on(platform: str, faults: dict[int, str], way: list[str]) -> None:
    """Several faults in a row, in the recovery too; once they end, undo gives back the first state."""
    with TemporaryDirectory() as place:
        host, desk, made, before, end = begun(platform, Path(place), faults)
        for verb in way:
            call = desk.resume if verb == "resume" else desk.undo
            ended(lambda call=call: call(made.id, QUIET))
        host.faults = {}
        if end != "2":
            assert ended(lambda: desk.undo(made.id, QUIET)) in ("undone", "already")
        assert host.state() == before


class Interrupting:
    """Progress that presses Ctrl-C while a step runs."""

    def __init__(self, during: str) -> None:
        self.during = during

    def step(self, name: str, state: str) -> None:
        if (name, state) == (self.during, "runs"):
            os.kill(os.getpid(), signal.SIGINT)

    def waiting(self, text: str) -> None:
        return None


@pytest.mark.parametrize("during", ["create-pool", "release-c3d0s1", "mirror"])
def test_ctrl_c_lets_the_step_end_and_stops(during: str, tmp_path: Path) -> None:
    host = illumos()
    desk = desk_of(host, tmp_path)
    before = host.state()
    made = create(desk, *names_of(host, 0, 1))
    end = ended(lambda: desk.apply(made, Interrupting(during)))
    assert end == ("4" if during != "mirror" else "done")
    assert holds_all(desk, made, during)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert desk.resume(made.id, QUIET) in ("done", "already")
    assert desk.undo(made.id, QUIET) == "undone"
    assert host.state() == before


def holds_all(desk: Desk, made: Plan, name: str) -> bool:
    step = made.step(name)
    assert step is not None
    return all(holds(condition, desk.survey()) for condition in step.done)
