"""`[tcp.*]` by plain sockets."""

import socket
from pathlib import Path

from opskit.smoke.model import Status
from tests.programs import free_port
from tests.smoke.certificates import listening, silent
from tests.smoke.smoking import one


def test_a_listener_passes_and_a_closed_port_fails(tmp_path: Path) -> None:
    with listening(lambda sock: None) as port:
        assert one(f'[tcp.x]\naddress = "127.0.0.1:{port}"', tmp_path).status is Status.PASS
        refused = one(f'[tcp.x]\naddress = "127.0.0.1:{port}"\nrefused = true', tmp_path)
        assert refused.status is Status.FAIL
    closed = one(f'[tcp.x]\naddress = "127.0.0.1:{port}"', tmp_path)
    assert closed.status is Status.FAIL
    assert "connection refused" in closed.message
    assert one(f'[tcp.x]\naddress = "127.0.0.1:{port}"\nrefused = true', tmp_path).status is Status.PASS


def test_every_address_of_a_name_must_answer(tmp_path: Path) -> None:
    """localhost is ::1 and 127.0.0.1 where there is IPv6; a listener on one alone shows as half dead."""
    addresses = {entry[4][0] for entry in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)}
    with listening(lambda sock: None) as port:
        every = one(f'[tcp.x]\naddress = "localhost:{port}"', tmp_path)
        some = one(f'[tcp.x]\naddress = "localhost:{port}"\naddresses = "any"', tmp_path)
    assert some.status is Status.PASS
    assert every.status is (Status.PASS if addresses == {"127.0.0.1"} else Status.FAIL)
    assert {finding.what.split()[-1].rpartition(":")[0].strip("[]") for finding in every.findings} == addresses


def test_what_is_said_must_be_what_is_expected(tmp_path: Path) -> None:
    def redis(sock: socket.socket) -> None:
        sock.sendall(b"+PONG\r\n" if sock.recv(100) == b"PING\r\n" else b"-ERR\r\n")

    with listening(redis) as port:
        text = f'[tcp.x]\naddress = "127.0.0.1:{port}"\nsend = "%s\\r\\n"\nexpect = "^\\\\+PONG"'
        assert one(text % "PING", tmp_path).status is Status.PASS
        wrong = one(text % "PONG", tmp_path)
    assert wrong.status is Status.FAIL
    assert "-ERR" in wrong.message


def test_a_silent_server_is_waited_for_no_longer_than_the_timeout(tmp_path: Path) -> None:
    with listening(silent) as port:
        text = f'[tcp.x]\naddress = "127.0.0.1:{port}"\nexpect = "hello"\ntimeout = "300ms"'
        result = one(text, tmp_path)
    assert result.status is Status.FAIL
    assert result.seconds < 2


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert one(f'[tcp.x]\naddress = "{path}"', tmp_path).status is Status.PASS
    dead = one(f'[tcp.x]\naddress = "{path}"', tmp_path)
    assert dead.status is Status.FAIL
    assert "connection refused" in dead.message
    path.unlink()
    assert "no such socket" in one(f'[tcp.x]\naddress = "{path}"', tmp_path).message


def test_a_name_that_nobody_knows_cannot_be_told(tmp_path: Path) -> None:
    result = one(f'[tcp.x]\naddress = "no-such-host.invalid:{free_port()}"', tmp_path)
    assert result.status is Status.ERROR
    assert "no-such-host.invalid" in result.message
