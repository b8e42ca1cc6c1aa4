"""Which flags define, undefine or change a macro: every candidate tried on the compiler itself."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opskit.gccmacros.candidates import find_candidates
from opskit.gccmacros.driver import Driver
from opskit.gccmacros.spec import Spec
from opskit.process import side_by_side

BATCH = 24


@dataclass(frozen=True)
class Effect:
    """What one flag does to the macro, and to how many macros in all: the smaller, the more to the point."""

    flag: str
    before: str | None
    after: str | None
    changed: int

    @property
    def verb(self) -> str:
        if self.before is None:
            return "defines"
        return "undefines" if self.after is None else "changes"

    def to_dict(self) -> dict[str, Any]:
        return {"flag": self.flag, "effect": self.verb, "value": self.after, "macros_changed": self.changed}


@dataclass(frozen=True)
class Findings:
    """The answer to `which`: the value without any flag, the effects, smallest first, and the effort."""

    name: str
    base: str | None
    effects: tuple[Effect, ...]
    tried: int
    refused: int
    starts: int


@dataclass(frozen=True)
class _Tried:
    flags: tuple[str, ...]
    accepted: bool
    value: str | None
    lines: frozenset[bytes]
    blamed: tuple[str, ...] = ()


class Trial:
    """Tries flags side by side; `progress` hears how many of how many are done."""

    def __init__(
        self, driver: Driver, spec: Spec, name: str, *, workers: int, progress: Callable[[int, int], None]
    ) -> None:
        self.driver = driver
        self.spec = spec
        self.workers = workers
        self.progress = progress
        self.done = 0
        self.starts = 0
        escaped = re.escape(name.encode())
        self.pattern = re.compile(rb"^#define " + escaped + rb"((?:\([^)\n]*\))?)(?: (.*))?$", re.MULTILINE)
        self.name = name

    def run(self) -> Findings:
        """Raises NoCompiler, CompilerFailed."""
        dump = self.driver.dump(self.spec)
        base = _Tried((), True, self._value(dump.raw), frozenset(dump.raw.splitlines()))
        candidates = find_candidates(self.driver, self.spec, self.name)
        total = len(candidates.single) + len(candidates.batched)
        pending: list[tuple[str, ...]] = [(flag,) for flag in candidates.single]
        pending += [candidates.batched[at : at + BATCH] for at in range(0, len(candidates.batched), BATCH)]
        effects: list[Effect] = []
        refused = 0
        while pending:
            results = self._try_all(pending, total)
            effects += [_effect(base, result) for result in results if self._is_hit(base, result)]
            refused += sum(len(result.blamed) for result in results)
            pending = [part for result in results if _must_split(base, result) for part in _parts(result)]
        effects.sort(key=lambda effect: (effect.changed, len(effect.flag), effect.flag))
        return Findings(self.name, base.value, tuple(effects), total, refused, self.starts)

    def _try_all(self, batches: Sequence[tuple[str, ...]], total: int) -> list[_Tried]:
        self.starts += len(batches)
        return side_by_side(
            lambda flags: self._try(flags, total), batches, workers=self.workers, stop=self.driver.runner.stop
        )

    def _try(self, flags: tuple[str, ...], total: int) -> _Tried:
        argv = self.spec.dump_argv
        at = len(self.spec.words)
        done = self.driver.attempt(self.spec, (*argv[:at], *flags, *argv[at:]))
        raw = done.stderr if self.spec.family.on_stderr else done.stdout
        self.done = min(total, self.done + len(flags))
        self.progress(self.done, total)
        blamed = _blamed(flags, done.error_text) if done.code != 0 else ()
        return _Tried(flags, done.code == 0, self._value(raw), frozenset(raw.splitlines()), blamed)

    def _value(self, raw: bytes) -> str | None:
        found = self.pattern.search(raw)
        return (found[1] + (found[2] or b"")).decode(errors="replace") if found else None

    def _is_hit(self, base: _Tried, result: _Tried) -> bool:
        return len(result.flags) == 1 and result.accepted and result.value != base.value


def _effect(base: _Tried, result: _Tried) -> Effect:
    """Counts names, not lines: a changed value takes two lines."""
    names = {line.split(b" ", 2)[1].partition(b"(")[0] for line in base.lines ^ result.lines if b" " in line}
    return Effect(result.flags[0], base.value, result.value, len(names))


def _must_split(base: _Tried, result: _Tried) -> bool:
    return len(result.flags) > 1 and (not result.accepted or result.lines != base.lines)


def _parts(result: _Tried) -> Iterator[tuple[str, ...]]:
    """What to try next of a batch: the flags that were not refused by name, else its halves."""
    if result.blamed:
        rest = tuple(flag for flag in result.flags if flag not in result.blamed)
        if rest:
            yield rest
        return
    middle = len(result.flags) // 2
    yield result.flags[:middle]
    yield result.flags[middle:]


def _blamed(flags: tuple[str, ...], complaint: str) -> tuple[str, ...]:
    """The flags that an error names; of a single one it is clear."""
    if len(flags) == 1:
        return flags
    named = set(re.findall(r"error: .*?'(-[^' ]+)'", complaint))
    return tuple(flag for flag in flags if flag in named or flag.partition("=")[0] + "=" in named)
