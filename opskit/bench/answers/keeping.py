"""A reader that keeps what an answer was made of, for whoever looks at more than its length."""

from collections.abc import Callable

from opskit.bench import wire
from opskit.bench.wire import Body, Head, ResponseReader

MOST_KEPT = 256 * 1024  # bytes of one body


class KeepingReader(ResponseReader):
    """Keeps the head and the first 256 KiB of the body, chunks undone, of those answers that are `wanted`."""

    __slots__ = ("_owed", "_pieces", "_room", "_wanted", "kept", "kept_head")

    def __init__(self, memories: tuple[dict[bytes, Head], dict[bytes, Head]], wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        super().__init__(memories)

    def start(self, *, head_request: bool) -> None:
        super().start(head_request=head_request)
        self.kept = self._wanted()
        self.kept_head = b""
        self._pieces: list[bytes] = []
        self._room = MOST_KEPT
        self._owed = 0

    def feed(self, data: bytes) -> bool:
        if not self.kept:
            return super().feed(data)
        # `left` stays 0 for the engine, which would otherwise read the rest where it cannot be kept.
        self.left = self._owed
        try:
            return self._feed_parts(data)
        finally:
            self._owed, self.left = self.left, 0

    def kept_body(self) -> bytes:
        """What has come of the body; of something that is no whole head, that."""
        return b"".join(self._pieces) if self.head is not None else self._buffer[:MOST_KEPT]

    def _judge(self, raw: bytes) -> Head:
        self.kept_head = raw
        return super()._judge(raw)

    def _feed_first(self, head: Head, rest: bytes) -> bool:
        if head.body is Body.CHUNKED:
            self._chunks = wire.chunked_body(self._keep)
        else:
            self._keep(rest)
        return super()._feed_first(head, rest)

    def _feed_parts(self, data: bytes) -> bool:
        if self.head is not None and self.head.body is not Body.CHUNKED:
            self._keep(data)
        return super()._feed_parts(data)

    def _keep(self, piece: bytes) -> None:
        if self._room > 0 and piece:
            self._pieces.append(piece[: self._room])
            self._room -= len(piece)
