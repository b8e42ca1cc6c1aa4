"""The resource's answers, against RFC 9110 one rule at a time. L is 1000 bytes throughout."""

import pytest

from opskit.target.content import Span
from opskit.target.message import Answer, Request
from opskit.target.ranges import Resource, coalesced, respond, satisfiable

L = 1000
RESOURCE = Resource(L, '"v1"', 1_704_067_200, "text/plain", (("Cache-Control", "max-age=9"),))
MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
EARLIER, LATER = "Sun, 31 Dec 2023 23:59:59 GMT", "Mon, 01 Jan 2024 00:00:01 GMT"


def ask(method: str = "GET", **headers: str) -> Answer:
    return ask_for(RESOURCE, method, **headers)


def ask_for(resource: Resource, method: str = "GET", **headers: str) -> Answer:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return respond(Request(method, "/", "1.1", pairs, keep_alive=True), resource)


@pytest.mark.parametrize(
    ("field", "spans"),
    [
        ("bytes=0-0", [(0, 0)]),
        ("bytes=10-20", [(10, 20)]),
        ("bytes=990-", [(990, 999)]),
        ("bytes=-1", [(999, 999)]),
        ("bytes=-5000", [(0, 999)]),
        ("bytes=990-5000", [(990, 999)]),
        ("bytes=0-18446744073709551615", [(0, 999)]),
        ("bytes=0-" + "9" * 5000, [(0, 999)]),
        ("bytes=" + "0" * 5000 + "1-1", [(1, 1)]),
        ("BYTES=0-4", [(0, 4)]),
        ("bytes= 0-4 ,\t10-14", [(0, 4), (10, 14)]),
        ("bytes=,0-4,,10-14,", [(0, 4), (10, 14)]),
        ("bytes=0-4,5000-", [(0, 4)]),
        ("bytes=1000-", []),
        ("bytes=5000-6000", []),
        ("bytes=-0", []),
        ("bytes=" + "9" * 5000 + "-", []),
    ],
)
def test_what_a_range_names(field: str, spans: list[tuple[int, int]]) -> None:
    assert satisfiable(field, L) == tuple(Span(*span) for span in spans)


@pytest.mark.parametrize(
    "field",
    [
        "bytes=", "bytes=,", "bytes=abc", "bytes=5", "bytes=0--4", "bytes=x-5", "5-", "bytes 0-4",
        "bytes: 0-4", "bytes=50-4", "bytes=5-4", "bytes=0-4,foo", "bytes=1-4,5-2", "bytes=100000-,5-2",
        "opskit-unit=0-4", "bytes=--5", "bytes=0 -4", "bytes=0x0-0x4", "bytes=+1-4", "bytes=٠-٤",
        "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 200, 2)),
    ],
)  # fmt: skip
def test_what_is_no_set_of_ranges_is_ignored(field: str) -> None:
    assert satisfiable(field, L) is None
    answer = ask(range=field)
    assert (answer.status, answer.length, answer.header("Content-Range")) == (200, L, None)


@pytest.mark.parametrize(
    ("spans", "left"),
    [
        ([(0, 4), (10, 14)], [(0, 4), (10, 14)]),
        ([(10, 14), (0, 4)], [(10, 14), (0, 4)]),
        ([(0, 4), (5, 9)], [(0, 9)]),
        ([(0, 9), (5, 14)], [(0, 14)]),
        ([(20, 29), (0, 4), (10, 19), (5, 9)], [(0, 29)]),
        ([(50, 59), (0, 4), (20, 29), (0, 999)], [(0, 999)]),
        ([(50, 59), (0, 4), (3, 6)], [(50, 59), (0, 6)]),
        ([(0, 999)] * 50, [(0, 999)]),
    ],
)
def test_overlaps_are_sent_once(spans: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    assert coalesced(Span(*span) for span in spans) == tuple(Span(*span) for span in left)


def test_a_single_part_has_the_fields_of_the_whole() -> None:
    whole, part = ask(), ask(range="bytes=10-20")
    assert (whole.status, whole.length) == (200, L)
    assert (part.status, part.body) == (206, (Span(10, 20),))
    assert part.header("Content-Range") == "bytes 10-20/1000"
    assert set(whole.headers) < set(part.headers)


def test_two_parts_are_multipart() -> None:
    answer = ask(range="bytes=10-20,30-40")
    assert answer.status == 206
    assert answer.header("Content-Range") is None
    boundary = (answer.header("Content-Type") or "").partition("boundary=")[2]
    first = b"\r\nContent-Type: text/plain\r\nContent-Range: bytes 10-20/1000\r\n\r\n"
    assert answer.body[0] == b"--" + boundary.encode() + first
    assert answer.body[1] == Span(10, 20)
    assert answer.body[-1] == b"--" + boundary.encode() + b"--\r\n"


def test_nothing_to_send_says_how_long_the_resource_is() -> None:
    answer = ask(range="bytes=1000-")
    assert answer.status == 416
    assert answer.header("Content-Range") == "bytes */1000"


@pytest.mark.parametrize("field", ["bytes=0-", "bytes=0-0", "bytes=-5"])
def test_nothing_is_ranged_whole(field: str) -> None:
    answer = ask_for(Resource(0, '"v0"', 1, "text/plain"), range=field)
    assert (answer.status, answer.length) == (200, 0)


def test_range_means_nothing_to_head() -> None:
    answer = ask("HEAD", range="bytes=0-4")
    assert (answer.status, answer.length) == (200, L)


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        ('"v1"', 206), (MODIFIED, 206), ('"v2"', 200), ('W/"v1"', 200), (EARLIER, 200), (LATER, 200),
        ("v1", 200), ("", 200),
    ],
)  # fmt: skip
def test_if_range_holds_for_exactly_this_representation(if_range: str, status: int) -> None:
    assert ask(range="bytes=0-4", if_range=if_range).status == status


def test_if_range_that_fails_comes_before_416() -> None:
    assert ask(range="bytes=5000-", if_range='"v2"').status == 200


def test_a_weak_tag_of_our_own_is_no_validator_for_ranges() -> None:
    weak = Resource(L, 'W/"v1"', 1, "text/plain")
    assert ask_for(weak, range="bytes=0-4", if_match='W/"v1"').status == 412
    assert ask_for(weak, range="bytes=0-4", if_none_match='"v1"').status == 304


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"if_match": '"v2", "v1"'}, 206),
        ({"if_match": "*"}, 206),
        ({"if_match": '"v2"'}, 412),
        ({"if_match": 'W/"v1"'}, 412),
        ({"if_unmodified_since": EARLIER}, 412),
        ({"if_unmodified_since": MODIFIED}, 206),
        ({"if_match": '"v1"', "if_unmodified_since": EARLIER}, 206),
        ({"if_none_match": '"v1"'}, 304),
        ({"if_none_match": 'W/"v1"'}, 304),
        ({"if_none_match": '"v2"'}, 206),
        ({"if_modified_since": MODIFIED}, 304),
        ({"if_modified_since": EARLIER}, 206),
        ({"if_modified_since": "yesterday"}, 206),
        ({"if_none_match": '"v2"', "if_modified_since": MODIFIED}, 206),
        ({"if_match": '"v2"', "if_none_match": '"v1"'}, 412),
    ],
)
def test_conditions_come_before_ranges(condition: dict[str, str], status: int) -> None:
    assert ask(range="bytes=0-4", **condition).status == status
