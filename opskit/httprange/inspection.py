"""One resource under inspection: what is known of it, what was asked, which rules its answers broke."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from opskit.httprange import invariants
from opskit.httprange.exchange import SAMPLE, Ask, Exchange, Got, Pairs
from opskit.httprange.fields import Span
from opskit.httprange.invariants import Known, Violation
from opskit.httprange.raw import Conversation, converse
from opskit.httprange.results import Verdict
from opskit.httprange.web import Web

WHOLE = 1 << 14  # bytes of an unwanted whole body that are read before the connection is closed on it


class NoAnswer(Exception):
    """A request that came to nothing: no answer, or a server error. It is already on record."""


@dataclass(frozen=True)
class Facts:
    """What the first plain answers said; everything later is held against it."""

    head: Got
    whole: Got
    length: int | None
    redirects: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        return self.whole.header("etag") or ""

    @property
    def modified(self) -> str:
        return self.whole.header("last-modified") or ""


class Inspection:
    """What a case is handed: it asks, and knows where in the resource it may ask for what."""

    def __init__(self, web: Web, facts: Facts, *, unsafe_methods: bool = False, empty_url: str = "") -> None:
        self.web = web
        self.facts = facts
        self.unsafe_methods = unsafe_methods
        self.empty_url = empty_url
        self.case = ""
        self.exchanges: list[Exchange] = []
        self.violations: list[Violation] = []
        self.timeouts = 0
        self.known = Known(facts.whole, facts.length)
        if not facts.whole.header("content-encoding"):
            self.known.learn(0, facts.whole.body)

    # Asking

    def range(self, spec: str, *headers: tuple[str, str], expect: Span | None = None) -> Got:
        """GET with `Range: bytes=SPEC`. `expect` is the span that a complete answer would hold."""
        return self.ask(("Range", f"bytes={spec}"), *headers, expect=expect)

    def ask(
        self,
        *headers: tuple[str, str],
        method: str = "GET",
        expect: Span | None = None,
        url: str = "",
        version: str = "",
        fresh: bool = False,
    ) -> Got:
        """One exchange, held against the invariants. Raises NoAnswer when there is none to judge."""
        return self.record(self.request(headers, method, url, version, fresh), expect=expect)

    def request(
        self, headers: Pairs = (), method: str = "GET", url: str = "", version: str = "", fresh: bool = False
    ) -> Ask:
        size = self.facts.length
        read = SAMPLE if size is not None and size <= SAMPLE else WHOLE
        return Ask(method, headers, url, version, read, fresh)

    def record(self, ask: Ask, *, expect: Span | None = None, got: Got | None = None) -> Got:
        """Send `ask`, unless `got` is its answer already, and keep what came of it."""
        got = self.web.ask(ask) if got is None else got
        # Only answers of the resource itself can be held against what is known of it.
        broken = [] if ask.url else invariants.check(ask, got, expect, self.known)
        self.violations += [replace(violation, case=self.case) for violation in broken]
        got = replace(got, broken=tuple(v.rule for v in broken if v.verdict is Verdict.FAIL))
        self.exchanges.append(Exchange(self.case, ask.url or self.web.url, ask, got))
        if got.fault or invariants.is_server_error(got):
            self.timeouts += "in time" in got.fault
            raise NoAnswer(str(got))
        return got

    def dare(self, *headers: tuple[str, str]) -> Got:
        """A request that may hurt, and a look at whether the server is still there (it raises if not)."""
        got = self.ask(*headers)
        self.ping()
        return got

    def ping(self) -> None:
        self.ask(method="HEAD" if self.facts.head.status == 200 else "OPTIONS")

    def converse(self, ask: Ask, *, to_end: bool = False) -> Conversation:
        """One exchange over a bare socket; `to_end` waits for whatever follows the answer."""
        place = self.web.place
        talk = converse(place, ask, self.web.defaults, self.web.access.timeout, to_end=to_end)
        self.web.requests += 1
        self.web.bytes_read += len(talk.got.body)
        self.record(ask, got=talk.got)
        return talk

    def blame(self, rule: str, verdict: Verdict, words: str) -> None:
        self.violations.append(Violation(rule, verdict, words, self.case))

    # Looking back

    def answers(self, cases: Iterable[str] = ()) -> list[Exchange]:
        """The exchanges with the resource so far, or those of some cases."""
        wanted = set(cases)
        return [e for e in self.exchanges if (not wanted or e.case in wanted) and not e.ask.url]

    # Where to ask

    @property
    def length(self) -> int:
        """The complete length; cases that use it are left out when it is unknown."""
        return self.facts.length or 0

    @property
    def sampled(self) -> int:
        """How many bytes from the start are known for certain."""
        return min(self.length, SAMPLE)

    @property
    def middle(self) -> Span:
        """An inner range: 10-20 wherever the resource is long enough."""
        return Span(10, 20) if self.length > 20 else Span(self.length // 3, self.length // 2)

    @property
    def two(self) -> tuple[Span, Span] | None:
        """Two ranges too far apart to be made one; None when there is no room."""
        if self.length < 20:
            return None
        far = self.sampled // 2 if self.length >= 400 else self.length - 5
        return Span(0, 4), Span(far, far + 4)

    @property
    def beyond(self) -> int:
        """An offset where there is nothing."""
        return self.length + 1000
