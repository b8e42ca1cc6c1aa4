"""How a run ends for whoever started it: files, exit code, and what to do when nothing answered."""

from collections.abc import Callable, Iterator

from opskit.bench.results import Failure, Results, Stop
from opskit.errors import OpskitError
from opskit.outcome import ErrorNote, ExitCode


def write_files(*wanted: tuple[str | None, Callable[[str], None]]) -> Iterator[ErrorNote]:
    """Write the files that were asked for; the report is shown all the same when one cannot be written."""
    for path, write in wanted:
        try:
            if path:
                write(path)
        except OpskitError as error:
            yield error.note()


def exit_code(results: Results) -> int:
    if results.stop is Stop.INTERRUPTED:
        return ExitCode.INTERRUPTED
    if not results.answered:
        return ExitCode.UNABLE
    lost = results.together is not None and results.together.lost > 0
    return ExitCode.PARTIAL if lost or results.stop in (Stop.BAD_REQUEST, Stop.SCRIPT) else ExitCode.OK


def nothing_answered(results: Results) -> Iterator[ErrorNote]:
    if results.answered or results.stop in (Stop.INTERRUPTED, Stop.BAD_REQUEST, Stop.SCRIPT):
        return
    asked = "the request got no" if results.started == 1 else f"not one of {results.started:,} requests got an"
    yield ErrorNote("no_answer", f"{asked} answer: {results.reason}", _next_step(results))


# What to try, by words of OpenSSL's; the first that fit count.
_TLS_HINTS = (
    (
        ("protocols available", "ciphers available"),
        "OpenSSL holds back what is below TLS 1.2; -Z ALL:@SECLEVEL=0 lets it out",
    ),
    (
        ("protocol version", "unsupported protocol"),
        "client and server have no TLS version in common: see -f, --tls-min and --tls-max",
    ),
    (
        ("alert", "eof occurred"),  # with a word of the server's, or without
        "the server ended the handshake; a client certificate that it asks for is given with -E FILE",
    ),
    (
        ("expired", "mismatch", "not valid for"),
        "the certificate itself must be put right; --insecure skips the check",
    ),
    (("certificate",), "trust its issuer with --cacert FILE, or skip the check with --insecure"),
)


def _next_step(results: Results) -> str:
    """What to try when nothing answered."""
    if Failure.NO_HTTP2 in results.failures:
        return "leave out --http2 to ask it in HTTP/1.1"
    for words, hint in _TLS_HINTS:
        if Failure.TLS in results.failures and any(each in results.reason for each in words):
            return hint
    return "is the server up, and is this its port? `opskit target` starts one to try"
