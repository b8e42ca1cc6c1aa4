"""Kinds of clients, what each of them stands on, and whether it is there."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from opskit.httprange.results import NO, UNKNOWN, YES, CaseResult, ProfileResult, Verdict

# Requests that no client sends by itself: enormous, empty, malformed, or very many.
UNUSUAL = frozenset({"9", "11", "12", "14", "15", "16", "17", "18", "26", "36", "45"})
GOOD = frozenset({Verdict.PASS, Verdict.INFO})


@dataclass(frozen=True)
class Need:
    """One thing a client stands on: any of these cases must be good. `why` says what is wrong otherwise.

    `absent` decides when none of them applies: "" lets it pass, else it is the reason against.
    """

    cases: tuple[str, ...]
    why: str
    good: frozenset[Verdict] = GOOD
    absent: str = ""


@dataclass(frozen=True)
class Profile:
    name: str
    who: str
    needs: tuple[Need, ...]


RANGES = (
    Need(("4",), "Range is ignored"),
    Need(("I1",), "a 206 does not say what it holds"),
    Need(("I2",), "lengths are wrong"),
    Need(("I3",), "the bytes are wrong"),
    Need(("I11",), "the server breaks"),
    Need(("24",), "one range comes as multipart"),
    Need(("51",), "the redirect forgets Range"),
)
TO_THE_END = Need(("5",), "open ranges fail")
SUFFIX = Need(("6",), "the last bytes cannot be asked for")
CLAMPED = Need(("8",), "ranges over the end fail")
TOTAL = Need(("I8",), "the length is not told")
SAME_EVERYWHERE = Need(("47",), "connections disagree on the ETag")
PIECES = Need(("46",), "pieces do not fit")
HEAD = Need(("50",), "HEAD does not say the length")
ADVERTISED = Need(("2",), "no Accept-Ranges", frozenset({Verdict.PASS}))
WHOLE_RANGE = Need(("I4",), "less is sent than was asked for")
PART_LENGTH = Need(("49",), "a 206 has no Content-Length")
CODING = Need(("42", "I9"), "compressed parts do not fit")
SIZE_IN_416 = Need(("I10",), "416 without the length")

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("resume", "a download that broke off goes on: browsers, curl -C -, wget -c, pip", (
            *RANGES, TO_THE_END,
            Need(("32",), "If-Range is ignored"),
            Need(("35",), "If-Range takes any date"),
            Need(("31", "34"), "If-Range never gets a 206", frozenset({Verdict.PASS}),
                 "no ETag and no date to resume by"),
            Need(("41",), "a shorter file gives 416"),
            Need(("43",), "one ETag for compressed and plain"),
            PIECES, SAME_EVERYWHERE,
        )),
        Profile("parallel", "several connections at once: aria2, axel, download managers", (
            *RANGES, PIECES, SAME_EVERYWHERE, TOTAL, WHOLE_RANGE,
        )),
        Profile("video", "seeking in video and audio: Safari, Chrome, players", (
            *RANGES, Need(("3",), "the first probe 0-0 or 0-1 fails"), TO_THE_END, TOTAL, CODING,
        )),
        Profile("pip", "wheels read without loading them: pip's lazy wheels", (
            *RANGES, ADVERTISED, HEAD, TO_THE_END, WHOLE_RANGE, CODING,
        )),
        Profile("uv", "the same by uv, which compares every number", (
            *RANGES, ADVERTISED, HEAD, TOTAL, WHOLE_RANGE, PART_LENGTH, CODING,
        )),
        Profile("cog", "cloud-optimised GeoTIFF: GDAL", (*RANGES, HEAD, CLAMPED, CODING)),
        Profile("parquet", "Parquet files: Arrow, DuckDB, Trino", (
            *RANGES, HEAD, SUFFIX, Need(("7",), "a long suffix fails"), CLAMPED, PART_LENGTH, SAME_EVERYWHERE,
        )),
        Profile("zarr", "Zarr shards, whose index is at the end", (
            *RANGES, SUFFIX, Need(("7",), "a long suffix fails"), WHOLE_RANGE,
        )),
        Profile("pmtiles", "map tiles in one file: PMTiles", (
            *RANGES, CLAMPED, TOTAL, SIZE_IN_416, SAME_EVERYWHERE,
            Need(("48",), "scripts of other origins see no lengths", frozenset({Verdict.PASS, Verdict.INFO})),
        )),
        Profile("zsync", "delta downloads with many ranges at once: zsync", (
            *RANGES, Need(("20",), "several ranges are not answered", frozenset({Verdict.PASS})),
            Need(("25",), "multipart is malformed"),
        )),
        Profile("cdn-origin", "standing behind CloudFront, Cloudflare or a cache", (
            *RANGES, HEAD, PART_LENGTH, TOTAL, WHOLE_RANGE, CODING, SAME_EVERYWHERE,
            Need(("I5",), "a 206 leaves headers out"),
        )),
    )
}  # fmt: skip


def judge(
    results: Mapping[str, CaseResult],
    problems: Mapping[str, tuple[str, ...]],
    *,
    empty: bool,
    left_out: Collection[str] = (),
) -> list[ProfileResult]:
    """All profiles by what the cases found, and by what happened when a client was played.

    Of an `empty` file nothing can be said, and little where needed cases were `left_out`.
    """
    if empty:
        return [ProfileResult(name, UNKNOWN, ("the file is empty",)) for name in PROFILES]
    return [_judged(profile, results, problems.get(profile.name, ()), left_out) for profile in PROFILES.values()]


def _judged(
    profile: Profile,
    results: Mapping[str, CaseResult],
    problems: tuple[str, ...],
    left_out: Collection[str],
) -> ProfileResult:
    reasons = [reason for need in profile.needs if (reason := _missing(need, results))]
    support = results.get("4")
    if support is not None and support.verdict is Verdict.FAIL:
        reasons = reasons[:1]  # the rest follows from it
    found = (*dict.fromkeys((*reasons, *problems)),)
    if found:
        return ProfileResult(profile.name, NO, found)
    if support is None or support.verdict is Verdict.NA:
        return ProfileResult(profile.name, UNKNOWN, ("case 4: no range in the middle was asked for",))
    unasked = {case for need in profile.needs if set(need.cases) <= set(left_out) for case in need.cases}
    if unasked:
        return ProfileResult(profile.name, UNKNOWN, (f"not asked: {', '.join(sorted(unasked))}",))
    unclear = tuple(need.why for need in profile.needs if _unclear(need, results))
    return ProfileResult(profile.name, UNKNOWN if unclear else YES, unclear)


def _missing(need: Need, results: Mapping[str, CaseResult]) -> str:
    """Why the need is not met, with the case that says so; "" when it is met or not known."""
    looked = [results[case] for case in need.cases if case in results]
    counting = [r for r in looked if _counts(r)]
    if not counting:
        whole = looked and all(r.verdict is Verdict.NA for r in looked) and len(looked) == len(need.cases)
        return f"case {need.cases[0]}: {need.absent}" if whole and need.absent else ""
    if len(need.cases) > 1 and need.good == GOOD:
        bad = [r for r in counting if r.verdict not in need.good]
    else:
        bad = [] if any(r.verdict in need.good for r in counting) else counting
    return f"case {bad[0].id}: {need.why}" if bad else ""


def _counts(result: CaseResult) -> bool:
    """Whether a client could meet it: a rule that only nonsense breaks does not hurt one."""
    if result.verdict in (Verdict.NA, Verdict.INCONCLUSIVE) or result.waived:
        return False
    return not result.broken_in or not set(result.broken_in) <= UNUSUAL


def _unclear(need: Need, results: Mapping[str, CaseResult]) -> bool:
    return any(results[case].verdict is Verdict.INCONCLUSIVE for case in need.cases if case in results)
