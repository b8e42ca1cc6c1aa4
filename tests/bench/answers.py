"""Answers of servers, good and bad, and what is to be made of each.

A verdict is the status, how the body ended, its length in bytes and whether the connection lives on; or the
name of what was wrong.
"""

from dataclasses import dataclass

from opskit.bench.wire import MAX_HEAD

OK = b"HTTP/1.1 200 OK\r\n"
OLD = b"HTTP/1.0 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """`h11` is that parser's verdict where it differs from llhttp's, and `why` the reason."""

    name: str
    wire: bytes
    verdict: str
    head_request: bool = False
    h11: str = ""
    why: str = ""


def head(name: str, wire: bytes, verdict: str) -> Answer:
    return Answer(name, wire, verdict, head_request=True)


ANSWERS = [
    # Content-Length
    Answer("length", OK + b"Content-Length: 3\r\n\r\nabc", "200 LENGTH 3 kept"),
    Answer("length zero", OK + b"Content-Length: 0\r\n\r\n", "200 LENGTH 0 kept"),
    Answer("length in capitals, no space", OK + b"CONTENT-LENGTH:3\r\n\r\nabc", "200 LENGTH 3 kept"),
    Answer("length with spaces", OK + b"Content-Length: \t 3 \t\r\n\r\nabc", "200 LENGTH 3 kept"),
    Answer("length with zeros in front", OK + b"Content-Length: 003\r\n\r\nabc", "200 LENGTH 3 kept"),
    Answer("body like a head", OK + b"Content-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n", "200 LENGTH 8 kept"),
    Answer("body shorter than promised", OK + b"Content-Length: 4\r\n\r\nabc", "Truncated"),
    Answer("body longer than promised", OK + b"Content-Length: 2\r\n\r\nabc", "ExtraBytes"),
    Answer("two answers to one request", 2 * (OK + b"Content-Length: 1\r\n\r\na"), "ExtraBytes"),
    Answer("length given twice, the same", OK + 2 * b"Content-Length: 3\r\n" + b"\r\nabc", "BadFraming"),
    Answer("length as a list, the same", OK + b"Content-Length: 3, 3\r\n\r\nabc", "BadFraming"),
    Answer("length twice, apart", OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "BadFraming"),
    Answer("length negative", OK + b"Content-Length: -3\r\n\r\nabc", "BadFraming"),
    Answer("length with a plus", OK + b"Content-Length: +3\r\n\r\nabc", "BadFraming"),
    Answer("length in hex", OK + b"Content-Length: 0x3\r\n\r\nabc", "BadFraming"),
    Answer("length a word", OK + b"Content-Length: three\r\n\r\nabc", "BadFraming"),
    Answer("length empty", OK + b"Content-Length:\r\n\r\nabc", "BadFraming"),
    Answer("length of 20 digits", OK + b"Content-Length: 18446744073709551616\r\n\r\nabc", "BadFraming"),
    Answer("length of 5000 digits", OK + b"Content-Length: " + 5000 * b"9" + b"\r\n\r\nabc", "BadFraming"),
    Answer("length of 19 digits", OK + b"Content-Length: 9223372036854775808\r\n\r\nabc", "Truncated"),
    Answer("length and chunks", OK + b"Content-Length: 3\r\n" + CHUNKED[17:] + b"0\r\n\r\n", "BadFraming"),
    # Chunks
    Answer("chunks", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", "200 CHUNKED 3 kept"),
    Answer("chunks, none", CHUNKED + b"0\r\n\r\n", "200 CHUNKED 0 kept"),
    Answer("chunks, many", CHUNKED + 40 * b"1\r\na\r\n" + b"0\r\n\r\n", "200 CHUNKED 40 kept"),
    Answer("chunks in hex", CHUNKED + b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", "200 CHUNKED 21 kept"),
    Answer("chunks with zeros in front", CHUNKED + b"0003\r\nabc\r\n000\r\n\r\n", "200 CHUNKED 3 kept"),
    Answer("chunk of line ends", CHUNKED + b"8\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", "200 CHUNKED 8 kept"),
    Answer("chunk extensions", CHUNKED + b'3;a=b;c="d;e"\r\nabc\r\n0;x\r\n\r\n', "200 CHUNKED 3 kept"),
    Answer("trailers", CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\nZ:\r\n\r\n", "200 CHUNKED 3 kept"),
    Answer("coding in capitals", OK + b"TRANSFER-encoding: Chunked\r\n\r\n0\r\n\r\n", "200 CHUNKED 0 kept"),
    Answer("gzip, then chunks", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "200 CHUNKED 0 kept"),
    Answer(
        "two lines of codings",
        OK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "200 CHUNKED 1 kept",
    ),
    Answer("chunks with Connection: close", CHUNKED[:-2] + b"Connection: close\r\n\r\n0\r\n\r\n", "200 CHUNKED 0 closed"),
    Answer("chunks cut in a size", CHUNKED + b"1", "Truncated"),
    Answer("chunks cut in the data", CHUNKED + b"5\r\nabc", "Truncated"),
    Answer("chunks without the last", CHUNKED + b"3\r\nabc\r\n", "Truncated"),
    Answer("chunks cut in the trailer", CHUNKED + b"0\r\nX: y\r\n", "Truncated"),
    Answer("chunks cut before the last line end", CHUNKED + b"0\r\n\r", "Truncated"),
    Answer("a byte after chunks", CHUNKED + b"0\r\n\r\nX", "ExtraBytes"),
    Answer("a line end after chunks", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n\r\n", "ExtraBytes"),
    Answer("an LF after chunks", CHUNKED + b"0\r\n\r\n\n", "ExtraBytes"),
    Answer("a line end after trailers", CHUNKED + b"0\r\nX: y\r\n\r\n\r\n", "ExtraBytes"),
    Answer("an answer after chunks", CHUNKED + b"0\r\n\r\n" + OK + b"\r\n", "ExtraBytes"),
    Answer("chunk size not hex", CHUNKED + b"g\r\nabc\r\n0\r\n\r\n", "BadFraming"),
    Answer("chunk size negative", CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", "BadFraming"),
    Answer("chunk size with 0x", CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", "BadFraming"),
    Answer("chunk size after a space", CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n", "BadFraming"),
    Answer("chunk size missing", CHUNKED + b"\r\nabc\r\n0\r\n\r\n", "BadFraming"),
    Answer("chunk longer than its size", CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", "BadFraming"),
    Answer("chunk shorter than its size", CHUNKED + b"5\r\nabc\r\n0\r\n\r\n", "BadFraming"),
    Answer("trailer without a colon", CHUNKED + b"0\r\nbad trailer\r\n\r\n", "BadFraming"),
    Answer("body where chunks are promised", CHUNKED + b"<html>\r\n", "BadFraming"),
    Answer(
        "chunk size before a space", CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", "BadFraming",
        h11="200 CHUNKED 3 kept", why="h11 lets old servers pad their sizes",
    ),
    Answer(
        "chunk size of 17 digits", CHUNKED + b"fffffffffffffffff\r\nabc", "BadFraming",
        h11="Truncated", why="h11 counts in numbers without end, and waits for so many bytes",
    ),
    Answer(
        "chunks with lone LF", CHUNKED + b"3\nabc\n0\n\n", "BadFraming",
        h11="Truncated", why="h11 still waits for the CR LF of the size",
    ),
    Answer(
        "extension without a name", CHUNKED + b"3;\r\nabc\r\n0\r\n\r\n", "BadFraming",
        h11="200 CHUNKED 3 kept", why="h11 does not look into extensions",
    ),
    Answer(
        "trailer ended by a lone LF", CHUNKED + b"0\r\nX: y\n\n", "BadFraming",
        h11="200 CHUNKED 0 kept", why="h11 takes the LF that RFC 9112 section 2.2 lets it take",
    ),
    Answer(
        "Content-Length in the trailer", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", "BadFraming",
        h11="200 CHUNKED 0 kept", why="h11 ignores what RFC 9110 section 6.5.1 forbids there",
    ),
    # The connection's end
    Answer("until close", OK + b"\r\nabc", "200 CLOSE 3 closed"),
    Answer("until close, empty", OK + b"\r\n", "200 CLOSE 0 closed"),
    Answer("until close, kept alive in vain", OK + b"Connection: keep-alive\r\n\r\nabc", "200 CLOSE 3 closed"),
    Answer("a coding that is not chunked", OK + b"Transfer-Encoding: gzip\r\n\r\nabc", "200 CLOSE 3 closed"),
    Answer("chunked is not the last coding", OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nabc", "200 CLOSE 3 closed"),
    Answer("HTTP/1.0 until close", OLD + b"\r\nabc", "200 CLOSE 3 closed"),
    Answer("nothing at all", b"", "nothing"),
    Answer("cut in the status line", b"HTTP/1.1 20", "Truncated"),
    Answer("cut in the head", OK + b"Content-Le", "Truncated"),
    Answer("cut before the blank line", OK + b"Content-Length: 0\r\n", "Truncated"),
    # No body, whatever the head says
    head("HEAD with a length", OK + b"Content-Length: 300\r\n\r\n", "200 NONE 0 kept"),
    head("HEAD with chunks", CHUNKED, "200 NONE 0 kept"),
    head("HEAD without either", OK + b"\r\n", "200 NONE 0 kept"),
    head("HEAD with a body", OK + b"Content-Length: 3\r\n\r\nabc", "ExtraBytes"),
    Answer("204", b"HTTP/1.1 204 No Content\r\n\r\n", "204 NONE 0 kept"),
    Answer("204 with a body", b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", "ExtraBytes"),
    Answer("304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 300\r\n\r\n", "304 NONE 0 kept"),
    Answer("304 with chunks", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304 NONE 0 kept"),
    # Before the answer
    Answer("100 first", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na", "200 LENGTH 1 kept"),
    Answer(
        "103 twice, then chunks",
        2 * b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n" + CHUNKED + b"0\r\n\r\n",
        "200 CHUNKED 0 kept",
    ),
    head("100 before the answer to HEAD", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 9\r\n\r\n", "200 NONE 0 kept"),
    Answer("100 and no answer", b"HTTP/1.1 100 Continue\r\n\r\n", "Truncated"),
    Answer("101 that no one asked for", b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "101 NONE 0 closed"),
    Answer("an upgrade offered", OK + b"Upgrade: h2c\r\nConnection: Upgrade, close\r\nContent-Length: 1\r\n\r\na", "200 LENGTH 1 closed"),
    # Whether the connection lives on
    Answer("Connection: CLOSE", OK + b"Connection: CLOSE\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 closed"),
    Answer("close among others", OK + b"Connection: foo ,\tClose\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 closed"),
    Answer("close on a second line", OK + b"Connection: a\r\nconnection: close\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 closed"),
    Answer("closed is not close", OK + b"Connection: closed\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 kept"),
    Answer("HTTP/1.0 closes", OLD + b"Content-Length: 0\r\n\r\n", "200 LENGTH 0 closed"),
    Answer("HTTP/1.0 keep-alive", OLD + b"Connection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 kept"),
    Answer("HTTP/1.0 keep-alive in capitals", OLD + b"CONNECTION: x, KEEP-ALIVE\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 kept"),
    # Heads
    Answer("no reason phrase", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 kept"),
    Answer("reason of other letters", "HTTP/1.1 404 Größe\r\nContent-Length: 0\r\n\r\n".encode(), "404 LENGTH 0 kept"),
    Answer("lone LF", b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "200 LENGTH 3 kept"),
    Answer("LF and CR LF mixed", b"HTTP/1.1 200 OK\r\nContent-Length: 3\n\r\nabc", "200 LENGTH 3 kept"),
    Answer("a folded line", OK + b"X: a\r\n\t b\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 kept"),
    Answer("a folded framing field", OK + b"Content-Length:\r\n 3\r\n\r\nabc", "200 LENGTH 3 kept"),
    Answer("a value of other letters", OK + b"X: \xe4\xf6\x9b\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 kept"),
    Answer("status 999", b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", "999 LENGTH 0 kept"),
    Answer("status 099", b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("status 1000", b"HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("status 20", b"HTTP/1.1 20 X\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("HTTP/2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("HTTP/1.2", b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("HTTP/0.9", b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("http in small letters", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("a blank line first", b"\r\n" + OK + b"Content-Length: 0\r\n\r\n", "BadFraming"),
    Answer("a space before the colon", OK + b"Content-Length : 0\r\n\r\n", "BadFraming"),
    Answer("a field without a colon", OK + b"Content-Length\r\n\r\n", "BadFraming"),
    Answer("a field without a name", OK + b": x\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("NUL in a value", OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("ESC in a value", OK + b"X: \x1b[2J\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("ESC in the reason", b"HTTP/1.1 200 \x1b[2J\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("a lone CR", OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("CR CR LF", OK + b"X: a\r\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("an HTML page", b"<!doctype html><title>Hi</title>", "BadFraming"),
    Answer("TLS where HTTP is spoken", b"\x15\x03\x01\x00\x02\x02\x16", "BadFraming"),
    Answer("an SSH server", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n", "BadFraming"),
]  # fmt: skip

# Too large to be cut at every byte.
HUGE = [
    Answer("a head of 64 KiB", OK + b"X: " + b"y" * 65536 + b"\r\nContent-Length: 0\r\n\r\n", "200 LENGTH 0 kept"),
    Answer("a thousand fields", OK + b"X: y\r\n" * 1000 + b"Content-Length: 0\r\n\r\n", "200 LENGTH 0 kept"),
    Answer("a head without end", OK + b"X: " + b"y" * (MAX_HEAD + 1), "BadFraming"),
    Answer("a head too long", OK + b"X: " + b"y" * MAX_HEAD + b"\r\nContent-Length: 0\r\n\r\n", "BadFraming"),
    Answer("a body of 1 MiB", OK + b"Content-Length: 1048576\r\n\r\n" + bytes(1 << 20), "200 LENGTH 1048576 kept"),
    Answer("a chunk of 1 MiB", CHUNKED + b"100000\r\n" + bytes(1 << 20) + b"\r\n0\r\n\r\n", "200 CHUNKED 1048576 kept"),
]  # fmt: skip
