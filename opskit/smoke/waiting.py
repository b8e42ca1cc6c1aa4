"""`opskit wait`: URLs as checks that are tried until they pass."""

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from opskit import conditions
from opskit.conditions import Kind
from opskit.errors import Misuse
from opskit.smoke.addresses import check_url, parse_address
from opskit.smoke.checks import probe_type
from opskit.smoke.model import Check, Checks, Common, Probe
from opskit.units import parse_duration

UP = conditions.any_of([conditions.parse("2xx", Kind.STATUS), conditions.parse("3xx", Kind.STATUS)])
HINT = "http://…, https://…, tcp://host:port, unix:///path, file:///path or host:port"


def checks(
    targets: Sequence[str], timeout: str, every: str, *, insecure: bool, command: Sequence[str] | None
) -> Checks:
    """One check for each target. Raises Misuse."""
    seconds = parse_duration(timeout, bare="s")
    pause = parse_duration(every, bare="s") if every else None
    if seconds <= 0 or (pause is not None and pause <= 0):
        raise Misuse("a time of 0 leaves no time to wait", hint="--timeout 60s, for instance")
    if command is not None and not command:
        raise Misuse("there is no command after --", hint="opskit wait tcp://db:5432 -- ./run-tests")
    found = {}
    for target in targets:
        common = Common(wait=seconds, every=pause, timeout=min(10.0, seconds))
        found[target] = Check(target, probe(target, insecure=insecure), common, "", 0)
    passwords = [urlsplit(target).password for target in found if "@" in target]
    return Checks(tuple(found.values()), frozenset(filter(None, passwords)))


def probe(target: str, *, insecure: bool = False) -> Probe:
    """The check that a URL stands for. Raises Misuse."""
    scheme, separator, rest = target.partition("://")
    if not separator:
        scheme, rest = "tcp", target
    if scheme in ("http", "https"):
        check_url(target)
        return probe_type("http")(url=target, status=UP, insecure=insecure)  # type: ignore[no-any-return]
    if scheme in ("unix", "file") and rest.startswith("/") and len(rest) > 1:
        kind = "tcp" if scheme == "unix" else "file"
        key = "address" if scheme == "unix" else "path"
        return probe_type(kind)(**{key: unquote(rest)})  # type: ignore[no-any-return]
    if scheme == "tcp":
        address = rest.rstrip("/")
        if isinstance(parse_address(address), tuple):
            return probe_type("tcp")(address=address, addresses="any")  # type: ignore[no-any-return]
    raise Misuse(f"'{target}' is nothing to wait for", hint=HINT)
