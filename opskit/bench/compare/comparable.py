"""Whether two runs asked the same thing of the same server, so that their figures may be compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from opskit.bench.results import Run
from opskit.errors import Misuse

# What must be the same, in words. The length of a run and the version of opskit may differ.
_SAME: Mapping[str, str] = {
    "url": "URL",
    "method": "method",
    "requests_file": "file of requests",
    "body_sent": "body",
    "concurrency": "concurrency",
    "keep_alive": "keep-alive",
    "rate": "rate",
    "proxy": "proxy",
    "streams": "HTTP/2 streams a connection",
    "redirects": "redirects that are followed",
    "cookies": "cookies sent back",
}


@dataclass(frozen=True)
class Difference:
    """Something that was asked otherwise: `what`, in the new run and in the old one."""

    what: str
    new: str
    old: str

    def __str__(self) -> str:
        return f"{self.what}: {self.new} now, {self.old} then"

    def to_dict(self) -> dict[str, str]:
        return {"what": self.what, "new": self.new, "old": self.old}


def differences(new: Run, old: Run) -> list[Difference]:
    return list(_differences(new, old))


def _differences(new: Run, old: Run) -> Iterator[Difference]:
    for name, words in _SAME.items():
        now, then = getattr(new, name), getattr(old, name)
        if now != then:
            yield Difference(words, _shown(now), _shown(then))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value not in (None, "") else "none"


def refuse_unlike(new: Run, old: Run, path: str, *, force: bool) -> list[Difference]:
    """What differs, where `force` says to compare all the same. Raises Misuse otherwise."""
    found = differences(new, old)
    if found and not force:
        raise Misuse(
            f"{path} is a run of something else: {'; '.join(map(str, found))}",
            hint="--force compares them all the same, and says so",
            code="baseline",
        )
    return found
