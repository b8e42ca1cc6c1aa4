"""The desk over a simulated host: what the command line does, in one process."""

from pathlib import Path

from opskit.errors import OpskitError
from opskit.zfs.desk import Desk, Talker
from opskit.zfs.platforms import here
from opskit.zfs.steps import Plan, Wish
from tests.zfs.simulated import Crash, Host

QUIET = Talker(quiet=True)


def desk_of(host: Host, place: Path) -> Desk:
    return Desk(host, here(host), place / "journal")


def create(desk: Desk, *devices: str, **wish: object) -> Plan:
    return desk.plan(Wish("create", devices, **wish))  # type: ignore[arg-type]  # keyword pairs of one test each


def attempt(desk: Desk, made: Plan) -> str:
    """Apply, and say how it ended: an end of the desk, `crash`, or the exit code of an error."""
    return ended(lambda: desk.apply(made, QUIET))


def ended(call: "object") -> str:
    assert callable(call)
    try:
        return str(call())
    except Crash:
        return "crash"
    except OpskitError as error:
        return str(error.exit_code)
