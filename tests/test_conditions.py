"""The grammar of thresholds: what holds, what is refused and where, and that the schema's pattern agrees."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.conditions import (
    EXAMPLES,
    BadCondition,
    Kind,
    any_of,
    describe,
    equal_to,
    parse,
    parse_metric,
    pattern,
)
from opskit.errors import Misuse

METRICS = {
    "p50": Kind.DURATION,
    "p99": Kind.DURATION,
    "failed": Kind.SHARE,
    "rate": Kind.RATE,
    "status.*": Kind.SHARE,
    "requests": Kind.COUNT,
}


@pytest.mark.parametrize(
    ("text", "kind", "inside", "outside"),
    [
        ("< 500ms", Kind.DURATION, 0.4999, 0.5),
        ("<=500ms", Kind.DURATION, 0.5, 0.501),
        ("> 21d", Kind.DURATION, 22 * 86400, 21 * 86400),
        (">= 1h30m", Kind.DURATION, 5400, 5399),
        (">= 1, < 5", Kind.COUNT, 4, 5),
        (">= 1, < 5", Kind.COUNT, 1, 0),
        ("3", Kind.COUNT, 3, 4),
        ("!= 3", Kind.COUNT, 4, 3),
        ("< -2.5", Kind.NUMBER, -3, -2),
        ("2xx", Kind.STATUS, 204, 304),
        ("!= 5xx", Kind.STATUS, 404, 503),
        ("< 400", Kind.STATUS, 302, 400),
        ("> 10MB", Kind.SIZE, 10_000_001, 10_000_000),
        ("< 10 MiB", Kind.SIZE, 10 * 2**20 - 1, 10 * 2**20),
        ("< 80%", Kind.PERCENT, 79.9, 80),
        ("> 100/s", Kind.RATE, 101, 100),
        (">= 60/min", Kind.RATE, 1, 0.9),
    ],
)
def test_a_condition_holds_inside_and_not_outside(text: str, kind: Kind, inside: float, outside: float) -> None:
    condition = parse(text, kind)
    assert condition.holds(inside)
    assert not condition.holds(outside)
    assert str(condition) == text


def test_a_share_is_a_count_or_a_part_of_the_whole() -> None:
    assert parse("> 0.1%", Kind.SHARE).holds(2, whole=1000)
    assert not parse("> 0.1%", Kind.SHARE).holds(1, whole=1000)
    assert parse("> 1", Kind.SHARE).holds(2)


def test_a_percentage_of_nothing_never_holds() -> None:
    assert not parse("< 100%", Kind.SHARE).holds(0, whole=0)
    assert not parse("< 100%", Kind.SHARE).holds(0)


@pytest.mark.parametrize(
    ("text", "metric", "value", "whole"),
    [
        ("p99 > 250ms", "p99", 0.251, None),
        ("failed > 0.1%", "failed", 3, 1000),
        ("rate < 500/s", "rate", 499, None),
        ("status.5xx > 0", "status.5xx", 1, None),
        ("status.429 > 1%", "status.429", 2, 100),
        ("p99>250ms", "p99", 0.251, None),
        ("  requests >= 1, < 5 ", "requests", 4, None),
    ],
)
def test_a_metric_condition(text: str, metric: str, value: float, whole: float | None) -> None:
    found = parse_metric(text, METRICS)
    assert found.metric == metric
    assert found.condition.holds(value, whole)
    assert str(found) == text.strip()


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("p99 > 250", 6, "not a duration"),
        ("p98 > 250ms", 0, "unknown metric 'p98'"),
        ("p99", 3, "compared with nothing"),
        ("p99 > ", 6, "a value is missing"),
        ("p99 250ms", 4, "compared with nothing"),
        ("> 250ms", 0, "no metric"),
        ("", 0, "no metric"),
        ("requests > 5%", 11, "not a count"),
        ("rate > 5 per second", 7, "not a rate"),
        ("p99 > 250ms < 5s", 12, "too many"),
        ("p99 > 1s,", 9, "a value is missing"),
    ],
)
def test_a_mistake_is_named_at_its_place(text: str, at: int, words: str) -> None:
    with pytest.raises(BadCondition) as caught:
        parse_metric(text, METRICS)
    assert caught.value.at == at
    assert words in caught.value.message
    assert f"at character {at + 1}" in caught.value.message
    assert caught.value.hint
    assert isinstance(caught.value, Misuse)


def test_a_misspelt_metric_gets_a_suggestion() -> None:
    with pytest.raises(BadCondition) as caught:
        parse_metric("faild > 0", METRICS)
    assert caught.value.hint.startswith("did you mean failed?")


def test_a_class_of_statuses_has_no_order() -> None:
    with pytest.raises(BadCondition, match="no order"):
        parse("< 5xx", Kind.STATUS)


def test_a_size_with_an_unclear_unit_is_refused() -> None:
    with pytest.raises(BadCondition, match="not a size"):
        parse("< 16k", Kind.SIZE)


def test_alternatives_and_bare_values() -> None:
    condition = any_of([equal_to(200, Kind.STATUS), parse("3xx", Kind.STATUS)])
    assert condition.holds(200)
    assert condition.holds(301)
    assert not condition.holds(201)
    assert str(condition) == "200 or 3xx"


@pytest.mark.parametrize("kind", Kind)
def test_the_examples_are_conditions(kind: Kind) -> None:
    for example in EXAMPLES[kind].split(" or "):
        parse(example, kind)


def test_a_measured_value_is_shown_with_its_unit() -> None:
    assert describe(0.25, Kind.DURATION) == "250 ms"
    assert describe(-90000, Kind.DURATION) == "-25h00m"
    assert describe(2, Kind.SHARE, 1000) == "2 (0.20%)"
    assert describe(81, Kind.PERCENT) == "81%"


@given(st.sampled_from(list(Kind)), st.text(alphabet="<>=!0159.,%xkMiBmsdh/n- ", max_size=12))
def test_the_schemas_pattern_accepts_what_the_parser_accepts(kind: Kind, text: str) -> None:
    with suppress(BadCondition):
        parse(text, kind)
        assert re.fullmatch(pattern(kind), text)


@given(st.text(max_size=30))
def test_no_text_makes_it_crash_and_every_mistake_has_its_place(text: str) -> None:
    try:
        parse_metric(text, METRICS)
        at = 0
    except BadCondition as error:
        at = error.at
    assert 0 <= at <= len(text)
