"""Several runs of a plan, one after the other, or in turn with a second plan."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from opskit.bench.conductor import Observer
from opskit.bench.plan import Plan
from opskit.bench.results import Results, Stop
from opskit.bench.run import carry_out
from opskit.errors import OpskitError
from opskit.interrupts import Relay

Carry = Callable[..., tuple[Results, OpskitError | None]]  # run.carry_out, or the like


class Watch(Protocol):
    """Who is told of each run."""

    def begin(self, run: int, of: int, side: str) -> Observer: ...
    def end(self, results: Results) -> None: ...


@dataclass
class Sides:
    """The runs of a plan, and those of the plan that it is measured against. `ended` is why there are no more.

    `stopped` says that Ctrl-C ended the whole before all runs were made.
    """

    new: list[Results] = field(default_factory=list)
    old: list[Results] = field(default_factory=list)
    ended: Results | None = None  # a run that did not finish; it is in neither list, unless it is the only one
    error: OpskitError | None = None
    stopped: bool = False


def turns(times: int, *, against: bool) -> Iterator[bool]:
    """Whether each run is one of the second plan: never, or in the order A B B A A B …

    So a steady drift of the machine weighs on both alike, and so does being first.
    """
    for number in range(times):
        yield from ([number % 2 == 1, number % 2 == 0] if against else [False])


def repeat(
    plan: Plan,
    times: int,
    against: Plan | None,
    watch: Watch,
    relay: Relay,
    carry: Carry = carry_out,
) -> Sides:
    """Carry the plans out `times` times each. The first run that does not go to its end is the last."""
    sides = Sides()
    order = list(turns(times, against=against is not None))
    for number, is_second in enumerate(order, 1):
        of_turn = against if is_second and against else plan
        side = ("baseline" if is_second else "new") if against else ""
        observer = watch.begin(number, len(order), side)
        results, sides.error = carry(of_turn, observer=observer, interrupts=relay.under_way)
        watch.end(results)
        runs = sides.old if is_second else sides.new
        if sides.error or results.stop in (Stop.INTERRUPTED, Stop.DEAD) or not results.answered:
            sides.ended = results
            if not sides.new and not is_second:
                runs.append(results)
            break
        runs.append(results)
        if relay.stopped and number < len(order):
            sides.stopped = True
            break
    return sides
