"""`[tls.*]` against real handshakes: good, expired, self-signed, wrong host, ending soon, and none at all."""

import socket
from pathlib import Path

import pytest

from opskit.smoke.model import Result, Status
from tests.smoke.certificates import Authority, Certificate, Talk, listening, silent, tls_server
from tests.smoke.smoking import one


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


def check(tmp_path: Path, certificate: Certificate, keys: str = "", before: Talk = lambda sock: None) -> Result:
    with tls_server(certificate, before) as port:
        return one(
            f'[tls.x]\naddress = "localhost:{port}"\naddresses = "any"\nca = "{certificate.ca}"\n{keys}', tmp_path
        )


def test_a_good_certificate_passes(authority: Authority, tmp_path: Path) -> None:
    result = check(tmp_path, authority.certificate("good"), 'left = "> 21d"\nversion = "1.3"\nsan = "localhost"')
    assert result.status is Status.PASS, result.message
    assert result.data["handshakes"][0]["chain"][0]["names"] == ["localhost"]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("expired", {"days": -2}, "expired"),
        ("elsewhere", {"host": "other.example"}, "mismatch"),
    ],
)
def test_a_bad_certificate_fails_and_says_why(
    authority: Authority, tmp_path: Path, name: str, options: dict[str, float], words: str
) -> None:
    result = check(tmp_path, authority.certificate(name, **options), 'left = "> 1h"')  # type: ignore[arg-type]
    assert result.status is Status.FAIL
    assert words in result.findings[0].actual
    assert result.data["handshakes"][0]["trusted"] is False


def test_a_certificate_that_ends_soon_fails_only_where_time_is_asked_for(
    authority: Authority, tmp_path: Path
) -> None:
    soon = authority.certificate("soon", days=5)
    assert check(tmp_path, soon).status is Status.PASS
    result = check(tmp_path, soon, 'left = "> 21d"')
    assert result.status is Status.FAIL
    assert result.failed_findings[0].what == "left"
    assert "5 days (localhost)" in result.failed_findings[0].actual


def test_a_self_signed_certificate_fails_or_is_taken_by_its_fingerprint(
    authority: Authority, tmp_path: Path
) -> None:
    mine = authority.self_signed("mine")
    refused = check(tmp_path, mine)
    assert refused.status is Status.FAIL
    assert "self-signed" in refused.message
    fingerprint = refused.data["handshakes"][0]["chain"][0]["sha256"]
    assert check(tmp_path, mine, f'self-signed = true\nfingerprint = "{fingerprint}"').status is Status.PASS
    other = "0" * 64
    assert check(tmp_path, mine, f'self-signed = true\nfingerprint = "{other}"').status is Status.FAIL


def test_an_expired_certificate_is_not_saved_by_self_signed(authority: Authority, tmp_path: Path) -> None:
    result = check(tmp_path, authority.certificate("expired2", days=-2), "self-signed = true")
    assert result.status is Status.FAIL
    assert "ended 2 days ago" in result.message


def test_no_tls_and_nobody_are_failures(tmp_path: Path) -> None:
    with listening(lambda sock: sock.sendall(b"220 hello\r\n")) as port:
        plain = one(f'[tls.x]\naddress = "127.0.0.1:{port}"', tmp_path)
    assert plain.status is Status.FAIL
    assert "a TLS handshake" in plain.message
    closed = one(f'[tls.x]\naddress = "127.0.0.1:{port}"', tmp_path)
    assert closed.status is Status.FAIL
    assert "connection refused" in closed.message


def test_a_server_that_says_nothing_is_late_not_for_ever(tmp_path: Path) -> None:
    with listening(silent) as port:
        result = one(f'[tls.x]\naddress = "127.0.0.1:{port}"\ntimeout = "300ms"', tmp_path)
    assert result.status is Status.FAIL
    assert "within 0.3 s" in result.message
    assert result.seconds < 3


def test_what_cannot_be_told(authority: Authority, tmp_path: Path) -> None:
    unknown = one('[tls.x]\naddress = "no-such-host.invalid:443"', tmp_path)
    assert unknown.status is Status.ERROR
    with tls_server(authority.certificate("good2")) as port:
        no_ca = one(f'[tls.x]\naddress = "localhost:{port}"\nca = "/no/such.pem"', tmp_path)
    assert no_ca.status is Status.ERROR
    assert "/no/such.pem" in no_ca.message


def lines(*conversation: tuple[bytes, bytes]) -> Talk:
    """Say the first of each pair when the second has come."""

    def talk(sock: socket.socket) -> None:
        for wanted, said in conversation:
            if wanted:
                heard = b""
                while not heard.endswith(b"\n"):
                    heard += sock.recv(1)
                assert heard.strip() == wanted
            sock.sendall(said)

    return talk


def postgres(sock: socket.socket) -> None:
    assert sock.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
    sock.sendall(b"S")


def ldap(sock: socket.socket) -> None:
    assert b"1.3.6.1.4.1.1466.20037" in sock.recv(100)
    sock.sendall(bytes.fromhex("300c02010178070a010004000400"))


CONVERSATIONS = {
    "smtp": lines(
        (b"", b"220-hello\r\n220 there\r\n"),
        (b"EHLO opskit", b"250-mail\r\n250 STARTTLS\r\n"),
        (b"STARTTLS", b"220 go\r\n"),
    ),
    "imap": lines((b"", b"* OK hello\r\n"), (b"a1 STARTTLS", b"a1 OK go\r\n")),
    "pop3": lines((b"", b"+OK hello\r\n"), (b"STLS", b"+OK go\r\n")),
    "ftp": lines((b"", b"220 hello\r\n"), (b"AUTH TLS", b"234 go\r\n")),
    "postgres": postgres,
    "ldap": ldap,
}


@pytest.mark.parametrize("protocol", CONVERSATIONS)
def test_starttls(authority: Authority, tmp_path: Path, protocol: str) -> None:
    result = check(
        tmp_path, authority.certificate(f"for-{protocol}"), f'starttls = "{protocol}"', CONVERSATIONS[protocol]
    )
    assert result.status is Status.PASS, result.message


def test_starttls_that_is_refused_fails(tmp_path: Path) -> None:
    with listening(lines((b"", b"+OK hello\r\n"), (b"STLS", b"-ERR no\r\n"))) as port:
        result = one(f'[tls.x]\naddress = "127.0.0.1:{port}"\nstarttls = "pop3"', tmp_path)
    assert result.status is Status.FAIL
    assert "-ERR no" in result.message
