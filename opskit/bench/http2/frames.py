"""HTTP/2 frames (RFC 9113 section 4 and 6) as bytes: what a client sends, and the layout of what it reads."""

import struct
from collections.abc import Iterable
from enum import IntEnum, IntFlag

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME = 16_384  # bytes of payload, until SETTINGS say otherwise
MAX_WINDOW = 2**31 - 1
FIRST_WINDOW = 65_535  # of a connection, and of a stream until SETTINGS say otherwise
LAST_STREAM = 2**31 - 1

_HEADER = struct.Struct(">IBI")  # length and type share the first word
_NUMBER = struct.Struct(">I")
_SETTING = struct.Struct(">HI")
_GOAWAY = struct.Struct(">II")

read_header = _HEADER.unpack_from
read_number = _NUMBER.unpack_from
read_goaway = _GOAWAY.unpack_from


class Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntFlag):
    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Why a stream or a connection was ended (RFC 9113 section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


def code_name(code: int) -> str:
    """The name of an error code, or its number where it has none."""
    return Code(code).name if code in Code._value2member_map_ else f"error code {code:#x}"


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    return _HEADER.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    return frame(Kind.SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values))


def read_settings(payload: bytes) -> Iterable[tuple[int, int]]:
    return _SETTING.iter_unpack(payload)


def window_update(stream: int, increment: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, _NUMBER.pack(increment))


def reset(stream: int, code: int) -> bytes:
    return frame(Kind.RST_STREAM, 0, stream, _NUMBER.pack(code))


def goaway(code: int) -> bytes:
    """No stream of the peer's was taken: a client that allows no pushes never has one."""
    return frame(Kind.GOAWAY, 0, 0, _GOAWAY.pack(0, code))


def headers(stream: int, block: bytes, most: int, *, end_stream: bool) -> bytes:
    """HEADERS, and CONTINUATIONs as far as the block is larger than one frame may be (section 6.10)."""
    flags = Flag.END_STREAM if end_stream else 0
    if len(block) <= most:
        return _HEADER.pack(len(block) << 8 | 1, flags | 4, stream) + block
    pieces = [block[at : at + most] for at in range(0, len(block), most)]
    frames = [frame(Kind.HEADERS, flags, stream, pieces[0])]
    frames += [frame(Kind.CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]]
    return b"".join([*frames, frame(Kind.CONTINUATION, Flag.END_HEADERS, stream, pieces[-1])])
