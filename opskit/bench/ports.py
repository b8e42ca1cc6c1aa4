"""Will this machine have ports for a run? Each connection takes one, and may hold it for a while when closed."""

from pathlib import Path

from opskit.bench.plan import Plan
from opskit.bench.results import Ports
from opskit.errors import Unable
from opskit.listen import is_loopback

TIME_WAIT = 60  # seconds that Linux holds the port of a connection that this side closed; elsewhere 30 to 240
REUSED_AFTER = 1  # seconds after which it takes such a port again where net.ipv4.tcp_tw_reuse lets it
_RANGE = (49152, 65535)  # RFC 6335 section 6, and the default of most systems but Linux


def ports_of(plan: Plan) -> Ports | None:
    """For a plan, on this machine as it is now; None where no port is taken (a unix socket).

    Raises Unable when not even the connections in the air find a port.
    """
    if plan.route.unix_socket is not None:
        return None
    first, last = _range()
    available = max(0, last - first + 1)
    if plan.concurrency > available:
        raise Unable(
            f"-c {plan.concurrency} needs as many ports, and this machine has {available:,} to one server",
            hint="a wider net.ipv4.ip_local_port_range, or a smaller -c",
            code="ports",
        )
    held = REUSED_AFTER if _reuses_time_wait(plan) else TIME_WAIT
    return Ports(_needed(plan, held), available, held)


def _needed(plan: Plan, held: float) -> int | None:
    """The most that can be taken at once, if this side closes first: what it opens within `held` seconds."""
    if plan.shape.keep_alive:
        return plan.concurrency
    seconds = min(held, plan.seconds if plan.seconds is not None else held)
    bounds = [plan.number] if plan.number is not None else []
    if plan.schedule is not None:
        bounds.append(int(max(max(s.rate, s.last_rate) for s in plan.schedule.segments) * seconds))
    return max(plan.concurrency, min(bounds)) if bounds else None


def _range() -> tuple[int, int]:
    """The ports that connections get: ip(7)."""
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return _RANGE


def _reuses_time_wait(plan: Plan) -> bool:
    """net.ipv4.tcp_tw_reuse: 0 never, 1 always, 2 (the default) on loopback."""
    try:
        reuse = Path("/proc/sys/net/ipv4/tcp_tw_reuse").read_text().strip()
    except OSError:
        return False
    to = plan.route.connect_to or plan.route.proxy
    host = to[0] if to else plan.url.origin.host if plan.url else ""
    return reuse == "1" or (reuse == "2" and is_loopback(host))
