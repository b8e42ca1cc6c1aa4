"""`--script hooks.py`: a person's own functions, loaded, judged before the run, and called.

Whatever goes wrong in them is said with function, request, place and message, and without a traceback.
"""

import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from opskit.bench.plan import Plan, Prepared
from opskit.bench.requests import Entry, Kind, Maker
from opskit.errors import Misuse, os_reason

AHEAD = 100
_MOST_AHEAD = 100_000
_NAME = "opskit_hooks"
_HINT = "a script has def request(i), def response(r) or both: see docs/bench.md"


@dataclass(frozen=True)
class Response:
    """What `response(r)` gets. Of a request that got no answer, `status` is 0 and `failure` says why.

    `headers` have their names in lower case; of the body the first 256 KiB are there, chunks undone.
    `seconds` is the total time, and `i` the number of the request, from 0.
    """

    i: int
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    label: str | None
    failure: str | None

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Hooks:
    """The functions of one script. `ahead` is how many requests may be made before their turn."""

    path: str
    request: Callable[[int], object] | None
    response: Callable[[Response], object] | None
    ahead: int = AHEAD

    def make(self, i: int, plan: Plan, maker: Maker) -> Prepared | None:
        """The i-th request; None at the end of the run. Raises Misuse."""
        assert self.request is not None
        with self._judged(f"request({i})"):
            made = self.request(i)
        if made is None:
            return None
        return maker.described(_Returned(self.path, i, made))

    def show(self, response: Response) -> None:
        """Hand an answer to the script. Raises Misuse."""
        assert self.response is not None
        with self._judged(f"response(r) for request {response.i}"):
            self.response(response)

    @contextmanager
    def _judged(self, call: str) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            raise Misuse(
                f"{_place(self.path, error)}: {call} raised {_words(error)}", hint=_line(self.path, error)
            ) from error


_TYPES: dict[str, Kind] = {
    "method": (str, "a str"),
    "url": (str, "a str"),
    "headers": (dict, "a dict of str"),
    "body": ((str, bytes, dict, list), "a str, bytes, or a dict or list to send as JSON"),
    "label": ((str, type(None)), "a str"),
}


class _Returned(Entry):
    """What request(i) has returned: a dict like a line of .jsonl, or its "url" alone."""

    def __init__(self, path: str, i: int, made: object) -> None:
        self._call = f"{path}: request({i})"
        if not isinstance(made, str | dict):
            raise Misuse(
                f"{self._call} returned {type(made).__name__}",
                hint='it returns a dict such as {"url": "/path"}, a str with the URL alone, or None to end',
            )
        self.value = {"url": made} if isinstance(made, str) else made
        self.check(_TYPES)

    def wrong(self, key: str, message: str) -> Misuse:
        return Misuse(f"{self._call} returned what cannot be sent: {message}", hint=f"it was: {self.value!r:.100}")


def load_hooks(path: str) -> Hooks:
    """Run a script's top level and take its functions. Raises Misuse for what cannot be used."""
    module = _run(path)
    request, response, ahead = (getattr(module, name, None) for name in ("request", "response", "AHEAD"))
    if request is None and response is None:
        raise Misuse(f"--script {path} defines neither request nor response", hint=_HINT)
    for name, function in (("request", request), ("response", response)):
        if function is not None:
            _require_function(path, name, function)
    if ahead is not None and (
        isinstance(ahead, bool) or not isinstance(ahead, int) or not 0 <= ahead <= _MOST_AHEAD
    ):
        raise Misuse(
            f"--script {path}: AHEAD is {ahead!r}", hint=f"a number from 0 (one at a time) to {_MOST_AHEAD}"
        )
    return Hooks(path, request, response, AHEAD if ahead is None else ahead)


def _run(path: str) -> ModuleType:
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise Misuse(f"--script {path}: {os_reason(error)}", hint=_HINT) from error
    module = ModuleType(_NAME)
    module.__file__ = path
    sys.modules[_NAME] = module  # dataclasses and pickle look their module up
    sys.path.insert(0, str(Path(path).resolve().parent))  # it may import what lies beside it
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the report
            exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 — to run it is what was asked for
    except (Exception, SystemExit) as error:
        raise Misuse(f"--script {_place(path, error)}: {_words(error)}", hint=_line(path, error)) from error
    return module


def _require_function(path: str, name: str, function: object) -> None:
    argument = "i" if name == "request" else "r"
    if not callable(function) or inspect.iscoroutinefunction(function):
        what = "an async function" if callable(function) else type(function).__name__
        raise Misuse(
            f"--script {path}: {name} is {what}", hint=f"make it a plain function: def {name}({argument}):"
        )
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise Misuse(
            f"--script {path}: {name} does not take one argument", hint=f"write def {name}({argument}):"
        ) from error
    except ValueError:
        pass  # a function of C that does not tell


def _frame(path: str, error: BaseException) -> tuple[int, str]:
    """Number and text of the line of the script that an error came through last."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 0, (error.text or "").strip()
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == path]
    if not frames:
        return 0, ""
    number = frames[-1].lineno or 0
    lines = Path(path).read_text(errors="replace").splitlines()
    return number, lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _place(path: str, error: BaseException) -> str:
    number, _ = _frame(path, error)
    return f"{path}:{number}" if number else path


def _line(path: str, error: BaseException) -> str:
    _, text = _frame(path, error)
    return f"the line is: {text[:100]}" if text else _HINT


def _words(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
