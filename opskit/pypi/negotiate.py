"""Which form of a page a request wants: media type, content coding, and whether it has it already. Pure.

RFC 9110 sections 12.4.2 (weights), 12.5.1 (Accept), 12.5.3 (Accept-Encoding) and 13.1 (preconditions);
PEP 691 for the types and for `?format=`.
"""

from functools import lru_cache

from opskit.pypi.simple import HTML_TYPE, HTML_V1_TYPE, JSON_TYPE

# What is offered, the preferred first among equals: a client that says nothing gets the HTML of PEP 503.
_OFFERED = {
    HTML_TYPE: HTML_TYPE,
    HTML_V1_TYPE: HTML_V1_TYPE,
    JSON_TYPE: JSON_TYPE,
    "application/vnd.pypi.simple.latest+html": HTML_V1_TYPE,
    "application/vnd.pypi.simple.latest+json": JSON_TYPE,
}


def weights(header: str) -> dict[str, float]:
    """The items of an Accept-like header with their q; a q that is no number counts as 0."""
    found: dict[str, float] = {}
    for item in header.split(","):
        word, *parameters = (part.strip().lower() for part in item.split(";"))
        if word:
            q = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
            found[word] = _number(q)
    return found


def _number(q: str) -> float:
    try:
        return min(max(float(q), 0.0), 1.0)
    except ValueError:
        return 0.0


def quality(media_type: str, accepted: dict[str, float]) -> float:
    """The q of one type: the most specific range that covers it decides."""
    group = media_type.partition("/")[0] + "/*"
    return next((accepted[word] for word in (media_type, group, "*/*") if word in accepted), 0.0)


@lru_cache(maxsize=1024)
def page_type(accept: str | None, asked: str | None = None) -> str | None:
    """The Content-Type to answer with, or None for 406. `asked` is the value of `?format=`."""
    if asked:
        return _OFFERED.get(asked)
    accepted = weights(accept) if accept else {"*/*": 1.0}
    best = max(_OFFERED, key=lambda offered: quality(offered, accepted))
    return _OFFERED[best] if quality(best, accepted) > 0 else None


@lru_cache(maxsize=1024)
def coding(accept_encoding: str | None, offered: tuple[str, ...]) -> str:
    """The content coding, of those offered (the best first) and `identity`."""
    if not accept_encoding:
        return "identity"
    accepted = weights(accept_encoding)
    best, best_q = "identity", 0.0
    for name in offered:
        q = accepted.get(name, accepted.get("*", 0.0))
        if q > best_q:
            best, best_q = name, q
    return best if best_q >= accepted.get("identity", 0.0) else "identity"


def tags(header: str) -> set[str]:
    """The entity tags of If-None-Match or If-Match, weak marks removed (weak comparison)."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip()}


def is_fresh(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has it already: 304."""
    return if_none_match is not None and (if_none_match.strip() == "*" or etag in tags(if_none_match))
