"""Heads in HTTP/2's compressed form (HPACK, RFC 7541), each distinct one worked out once.

A request comes as the HTTP/1.1 message that the plan made of it; what stands around its target is the same
for thousands of requests, so that its compressed form is remembered and a request costs the writing of its
`:path`. An answer's block can be remembered by its bytes, because we give the server's encoder a table of no
size (SETTINGS_HEADER_TABLE_SIZE): what a block means then does not depend on the blocks before it.
"""

from dataclasses import dataclass

from hpack import Decoder, Encoder, HPACKError

from opskit.bench.wire import MAX_HEAD, REMEMBERED_HEADS, BadFraming, Body, Head

DEFAULT_TABLE = 4096  # bytes of a peer's decoding table, until its SETTINGS say otherwise
_ENTRY_OVERHEAD = 32  # RFC 7541 section 4.1
_NO_TABLE = b"\x20"  # "from here on my table has no size": RFC 7541 section 6.3
_ROOT = b"\x84"  # :path: / in the static table
# What belongs to one HTTP/1.1 connection, or has a pseudo-field of its own: RFC 9113 section 8.2.2.
_NOT_CARRIED = {"connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
_MOST_DIGITS = 19

Blocks = tuple[bytes, bytes]  # what stands before and after the :path


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The compressed fields around a target: standing alone; and by way of the peer's table, first and then on.

    `table` is the size the table must have, or larger than any where the fields do not fit.
    """

    alone: Blocks
    first: Blocks
    later: Blocks
    table: int


class RequestHeads:
    """The heads of a run's requests, by the bytes of the HTTP/1.1 message around the target."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._known: dict[tuple[bytes, bytes], RequestHead] = {}

    def of(self, message: bytes) -> tuple[RequestHead, bytes, bytes]:
        """The head, the target and the body of an HTTP/1.1 request."""
        section, _, body = message.partition(b"\r\n\r\n")
        method, target, rest = section.split(b" ", 2)
        head = self._known.get((method, rest))
        if head is None:
            if len(self._known) >= REMEMBERED_HEADS:
                self._known.clear()
            head = self._known[method, rest] = self._compressed(method, rest)
        return head, target, body

    def _compressed(self, method: bytes, rest: bytes) -> RequestHead:
        lines = [line.partition(b": ") for line in rest.split(b"\r\n")[1:]]
        fields = [(name.decode("latin-1").lower().encode("latin-1"), value) for name, _, value in lines]
        authority = next((value for name, value in fields if name == b"host"), b"")
        before = [(b":method", method), (b":scheme", self._scheme.encode()), (b":authority", authority)]
        after = [pair for pair in fields if is_carried(*pair)]
        table = Encoder()
        size = sum(len(name) + len(value) + _ENTRY_OVERHEAD for name, value in before + after)
        return RequestHead(
            alone=(Encoder().encode(_unindexed(before)), Encoder().encode(_unindexed(after))),
            first=(table.encode(before), table.encode(after)),
            later=(table.encode(before), table.encode(after)),
            table=size if size <= DEFAULT_TABLE else 1 << 32,
        )


def is_carried(name: bytes, value: bytes) -> bool:
    """Whether a field of an HTTP/1.1 request stands in one of HTTP/2 as well."""
    name = name.lower()
    return name.decode("latin-1") not in _NOT_CARRIED and (name != b"te" or value == b"trailers")


def _unindexed(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes, bool | None]]:
    return [(name, value, True) for name, value in fields]


class RequestBlocks:
    """The field blocks of one connection. The head it sends first goes into the peer's table; others stand alone.

    Ours being the only entries there, and never changed, the short form stays the same for the whole connection.
    """

    def __init__(self) -> None:
        self._tabled: RequestHead | None = None
        self._room = DEFAULT_TABLE
        self._update = b""  # to be said at the start of the next block

    def limit_table(self, size: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE. A smaller table is not used at all (RFC 7541 section 4.2)."""
        if size < DEFAULT_TABLE and self._room:
            self._room, self._tabled, self._update = 0, None, _NO_TABLE

    def block(self, head: RequestHead, target: bytes) -> bytes:
        if head is self._tabled:
            before, after = head.later
        elif self._tabled is None and head.table <= self._room:
            self._tabled = head
            before, after = head.first
        else:
            before, after = head.alone
        size = len(target)
        if size < 127:
            path = _ROOT if target == b"/" else b"\x04%c%b" % (size, target)
        else:
            path = b"\x04%b%b" % (_long(size), target)
        if self._update:
            before, self._update = self._update + before, b""
        return before + path + after


def _long(size: int) -> bytes:
    """An integer of 127 or more with a prefix of seven bits (RFC 7541 section 5.1)."""
    size -= 127
    found = bytearray([127])
    while size >= 128:
        found.append(size & 127 | 128)
        size >>= 7
    return bytes([*found, size])


class AnswerHeads:
    """The heads of answers, by the bytes of their blocks."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self._decoder = Decoder(max_header_list_size=MAX_HEAD)
        self._decoder.header_table_size = self._decoder.max_allowed_table_size = 0
        self.recall = self._known.get

    def read(self, block: bytes) -> Head:
        """A block that is not remembered. Raises HPACKError if it is no block, BadFraming if it is no head."""
        fields = self._decoder.decode(block, raw=True)
        head = _answer_head([(bytes(name), bytes(value)) for name, value in fields])
        if len(self._known) >= REMEMBERED_HEADS:
            self._known.clear()
        self._known[block] = head
        return head


def _answer_head(fields: list[tuple[bytes, bytes]]) -> Head:
    """By RFC 9113 sections 8.1.1 and 8.3; a trailer section has the status 0. Raises BadFraming if malformed."""
    status, server, lengths, regular = 0, b"", set[bytes](), False
    for name, value in fields:
        if name.startswith(b":"):
            if name != b":status" or regular or status or not (len(value) == 3 and value.isdigit()):
                raise BadFraming(f"an answer with {(name + b' ' + value)[:60]!r}")
            status = int(value)
            continue
        regular = True
        if name != name.lower() or not name or b" " in name:
            raise BadFraming(f"an answer with the field name {name[:60]!r}")
        if name.decode("latin-1") in _NOT_CARRIED - {"host"}:
            raise BadFraming(f"an answer with {name.decode()}, which HTTP/2 has not")
        if name == b"content-length":
            lengths.add(value)
        elif name == b"server":
            server = server or value
    length = _length(lengths)
    body = Body.CLOSE if length < 0 else Body.LENGTH
    return Head(status, body, length, keep_alive=True, server=server.decode("ascii", "replace"))


def _length(lengths: set[bytes]) -> int:
    if not lengths:
        return -1
    if len(lengths) > 1 or not (value := next(iter(lengths))).isdigit() or len(value) > _MOST_DIGITS:
        raise BadFraming(f"content-length: {b' and '.join(sorted(lengths))[:80].decode('latin-1')}")
    return int(value)


__all__ = ["AnswerHeads", "HPACKError", "RequestBlocks", "RequestHead", "RequestHeads", "is_carried"]
