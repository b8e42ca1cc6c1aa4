"""What goes to a worker: complete, with the files it names, and without showing what is in it."""

import stat
from array import array
from pathlib import Path

import pytest

from opskit.bench.cluster.remote import Order
from opskit.bench.cluster.shipment import Shipment
from opskit.bench.joined import Joined
from opskit.bench.plan import Plan, Shape, Tls, parse_url
from opskit.bench.series import Interval
from opskit.errors import Misuse


def plan(**tls: str) -> Plan:
    return Plan(parse_url("https://x.test/"), shape=Shape(credentials="me:secret"), tls=Tls(**tls))  # type: ignore[arg-type]


def test_files_arrive_for_nobody_else_and_only_for_as_long_as_they_are_read(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(b"the secret key")
    shipment = Shipment.of(plan(certificate=str(key)))
    key.unlink()
    with shipment.unpacked() as there:
        path = Path(there.tls.certificate or "")
        assert path.read_bytes() == b"the secret key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert there.shape == shipment.plan.shape
    assert not path.exists()


def test_a_file_that_is_not_there_is_refused_here(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"--cacert .*missing"):
        Shipment.of(plan(ca_file=str(tmp_path / "missing")))


def test_an_order_does_not_show_what_it_holds() -> None:
    order = Order("a run", plan=Shipment(plan(), {"certificate": b"secret"}))
    assert "secret" not in repr(order)
    assert "secret" not in repr(order.plan)


class Watching:
    def __init__(self) -> None:
        self.ticks: list[tuple[int, int, float]] = []
        self.intervals: list[Interval] = []

    def tick(self, ended: int, failed: int, seconds: float) -> None:
        self.ticks.append((ended, failed, seconds))

    def interval(self, interval: Interval) -> None:
        self.intervals.append(interval)


def second(begins: float, good: int) -> Interval:
    return Interval(begins, begins + 1, good, good, 0, array("L", [5]), array("L", [good]), 5)


def test_what_several_say_is_shown_as_one() -> None:
    watching = Watching()
    joined = Joined(2, watching)
    joined.tick(0, 10, 1, 0.5)
    joined.tick(1, 5, 0, 0.6)
    joined.tick(0, 20, 2, 0.7)
    assert watching.ticks == [(10, 1, 0.5), (15, 1, 0.6), (25, 2, 0.7)]
    joined.interval(second(0.0, 3))
    assert watching.intervals == []
    joined.interval(second(0.01, 4))
    assert [each.good for each in watching.intervals] == [7]
    joined.leave()  # one is lost: nobody waits for its seconds
    joined.interval(second(1.0, 6))
    assert [each.good for each in watching.intervals] == [7, 6]
