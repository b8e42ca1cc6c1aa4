"""Addresses and URLs as checks files write them."""

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opskit.errors import Misuse
from opskit.smoke.fields import Text

if TYPE_CHECKING:
    from opskit.smoke.scene import Address

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:/\[\]]+)):(\d{1,5})")


def parse_address(text: str) -> "Address":
    """`host:port`, `[v6]:port`, or the absolute path of a unix socket. Raises Misuse."""
    if text.startswith("/"):
        return text
    match = _HOST_PORT.fullmatch(text.removeprefix("tcp://"))
    if match is None or not 0 < int(match[3]) < 65536:
        raise Misuse(f'"{text}" is no address', hint='write "host:port", "[::1]:port" or "/path/of/socket"')
    return match[1] or match[2], int(match[3])


def parse_host_port(text: str) -> tuple[str, int]:
    """The same without sockets. Raises Misuse."""
    address = parse_address(text)
    if isinstance(address, str):
        raise Misuse(f'"{text}" is a path; a host and port are needed', hint='write "host:port"')
    return address


def check_url(text: str) -> None:
    """Refuse what is no http or https URL with a host. Raises Misuse."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[\s\x00-\x1f]", text):
        raise Misuse(f'"{text}" is no URL', hint='write "http://host/path" or "https://host/path"')


ADDRESS = Text("host:port", parse_address)
HOST_PORT = Text("host:port", parse_host_port)
URL = Text("a URL", check_url, pattern=r"^(https?://|\{)")
