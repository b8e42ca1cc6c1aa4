"""Macros: what opskit adds to the compiler's own time, and how long the larger questions take.

    python -m benchmarks.macros [ROUNDS]

The dump is timed in turn with the compiler alone, and the median of the differences is told, so that a busy
machine slows both. `which`, `eval`, `list` and `diff` are whole processes, as a person waits for them. Beside
them stands what people do by hand for `which`: one start of the compiler for every candidate flag.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

OPSKIT = [sys.executable, "-m", "opskit", "gccmacros"]
BARS = {"dump": 0.120, "which": 2.5}


def seconds(argv: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def dump(rounds: int) -> tuple[float, float]:
    """Median time of gcc alone, and median of what opskit takes on top of it."""
    pairs = [(seconds(["gcc", "-dM", "-E", "-x", "c", "/dev/null"]), seconds(OPSKIT)) for _ in range(rounds)]
    return median(gcc for gcc, _ in pairs), median(ours - gcc for gcc, ours in pairs)


def by_hand() -> float:
    """A shell loop over the -m flags of gcc, as in a script."""
    loop = (
        "gcc -Q --help=target | sed -n 's/^  \\(-m[a-z0-9.-]*\\) .*disabled.*/\\1/p' | "
        "while read flag; do gcc -dM -E -x c $flag /dev/null 2>&1 | grep -q __AVX2__ && echo $flag; done"
    )
    return seconds(["sh", "-c", loop])


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    gcc, added = dump(rounds)
    print(f"gcc -dM -E alone             {gcc * 1e3:7.0f} ms")
    print(f"opskit gccmacros, on top     {added * 1e3:7.0f} ms   (bar {BARS['dump'] * 1e3:.0f} ms)")
    few = max(3, rounds // 4)
    which = median(seconds([*OPSKIT, "which", "__AVX2__"]) for _ in range(few))
    print(f"which __AVX2__               {which * 1e3:7.0f} ms   (bar {BARS['which'] * 1e3:.0f} ms)")
    print(f"  by hand, -m flags only     {median(by_hand() for _ in range(3)) * 1e3:7.0f} ms")
    expressions = [f"__GNUC__ * {number} > 3" for number in range(200)]
    for name, args in {
        "eval, 1 expression": ["eval", "__GNUC__ > 3"],
        "eval, 200 expressions": ["eval", *expressions],
        "diff gcc, gcc -m32": ["diff", "gcc", "gcc -m32"],
        "where INT_MAX": ["where", "INT_MAX", "--header", "limits.h"],
        "list": ["list"],
    }.items():
        print(f"{name:28} {median(seconds([*OPSKIT, *args]) for _ in range(few)) * 1e3:7.0f} ms")


if __name__ == "__main__":
    main()
