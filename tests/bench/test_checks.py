"""The grammar of --check, and what each check makes of an answer."""

import pytest

from opskit.bench.checks import Answer, parse_check, parse_checks
from opskit.conditions import BadCondition
from opskit.errors import Misuse

ANSWER = Answer(
    204, 1024, (("Content-Type", "text/html; charset=utf-8"), ("Via", "a"), ("via", "b")),
    "<p>gefunden: ä\n".encode()
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("status=204", True),
        ("status=200,204", True),
        ("status = 200, 201", False),
        ("status=3xx,2xx", True),
        ("status != 204", False),
        ("status >= 200, < 300", True),
        ("status < 204", False),
        ("length=1024", True),
        ("length==1kB, 1KiB", True),
        ("length > 1KiB", False),
        ("body ~ gefunden: .$", True),
        ("body ~ ^gefunden", False),
        ("body !~ (?i)ERROR", True),
        ("body~ä", True),
        ("header.content-type ~ ^text/html\\b", True),
        ("header.Content-Type !~ json", True),
        ("header.via ~ ^b$", True),
        ("header.X-None ~ .*", False),
        ("header.X-None !~ .", True),
    ],
)
def test_a_check_holds_or_not(text: str, holds: bool) -> None:
    assert parse_check(text).holds(ANSWER) is holds


def test_only_texts_need_bytes() -> None:
    assert [parse_check(text).needs_bytes for text in ("status=2xx", "length=1", "body ~ x", "header.a ~ x")] == [
        False, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "at", "problem", "hint"),
    [
        ("", 1, "nothing to check", "status, length, body, header.NAME"),
        ("statu=200", 1, "'statu' is nothing to check", "did you mean status?"),
        ("heder.x ~ y", 1, "'heder.x' is nothing to check", "did you mean header.NAME?"),
        ("status", 7, "'status' is compared with nothing", "status=200,204"),
        ("status=20", 8, "'20' is not a status", "2xx"),
        ("status=200,20x", 12, "'20x' is not a status", "2xx"),
        ("status=200,", 12, "a value is missing", "2xx"),
        ("status ~ 2", 8, "'status' is a number", "status=200,204"),
        ("length > many", 10, "'many'", ""),
        ("body = x", 6, "after 'body' stands ~ or !~", "body ~ found"),
        ("body ~", 7, "the expression is missing", "body ~ found"),
        ("body ~ a(b", 9, "not a regular expression: missing )", "re module"),
        ("header ~ x", 1, "'header' is nothing to check", "header.NAME"),
        ("header. ~ x", 9, "a header's name is missing", "header.content-type"),
        ("header.x = y", 10, "after 'header.x' stands ~ or !~", "header.content-type"),
    ],
)
def test_a_bad_check_is_said_with_its_place(text: str, at: int, problem: str, hint: str) -> None:
    with pytest.raises(BadCondition) as caught:
        parse_check(text)
    assert problem in caught.value.message
    assert f"at character {at})" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("sample", ["1", "0%", "101%", "-1%", "%", "all", "1%%"])
def test_a_bad_sample_is_refused(sample: str) -> None:
    with pytest.raises(Misuse, match="--check-sample"):
        parse_checks(["status=200"], sample)


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(Misuse, match="nothing is"):
        parse_checks([], "1%")


def test_a_sample_is_drawn_by_chance_and_repeats_with_a_seed() -> None:
    checks = parse_checks(["status=200"], "10 %")
    assert checks is not None
    one, same, other = (checks.chance(seed) for seed in (7, 7, 8))
    drawn = [one() for _ in range(10_000)]
    assert drawn == [same() for _ in range(10_000)] != [other() for _ in range(10_000)]
    assert 900 < sum(drawn) < 1100
