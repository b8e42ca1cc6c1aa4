"""The ways to a server: TLS with everything that can be wrong about it, proxies, unix sockets, addresses."""

import socket
import ssl
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.command import opskit
from tests.nginx import Nginx
from tests.programs import free_port
from tests.proxy import proxy
from tests.scripted import OK, Peer, answers, scripted

# TLS


def test_a_certificate_of_a_trusted_authority_is_good(nginx: Nginx) -> None:
    ran = opskit("bench", "--json", "-k", "-n", "40", "-c", "4", "--cacert", str(nginx.ca), f"{nginx.tls_url}/1k")
    assert (ran.code, ran.data["requests"]["good"]) == (0, 40)
    assert ran.data["connections"] == {"opened": 4, "reused": 36}
    assert ran.data["latency_ms"]["tls"]["min"] > 0
    assert ran.data["tls"]["protocol"] == "TLSv1.3"
    assert ran.data["tls"]["key_bits"] == 2048
    assert len(nginx.requests(40)) == 40


def test_without_it_nothing_is_sent_and_the_message_says_what_to_do(nginx: Nginx) -> None:
    ran = opskit("bench", f"{nginx.tls_url}/1k")
    assert ran.code == 3
    assert "unable to get local issuer certificate" in ran.err
    assert "--cacert FILE" in ran.err
    assert "--insecure" in ran.err
    assert nginx.requests(0) == []


def test_insecure_does_not_ask(nginx: Nginx) -> None:
    assert opskit("bench", "--json", "--insecure", f"{nginx.tls_url}/1k").data["requests"]["good"] == 1


@pytest.mark.parametrize("insecure", [False, True])
def test_a_certificate_for_another_name_is_refused(nginx: Nginx, insecure: bool) -> None:
    more = ("--insecure",) if insecure else ("--cacert", str(nginx.ca))
    ran = opskit("bench", "--json", "--connect-to", f"127.0.0.1:{nginx.tls_port}", *more, "https://other.test/1k")
    assert ran.data["failures"] == ({} if insecure else {"tls": 1})
    assert insecure or "hostname mismatch" in ran.err
    assert insecure or "other.test" in ran.err


def test_a_certificate_that_has_run_out_is_refused(nginx: Nginx) -> None:
    ran = opskit("bench", "--cacert", str(nginx.ca), f"https://127.0.0.1:{nginx.expired_port}/1k")
    assert ran.code == 3
    assert "certificate has expired" in ran.err


def test_the_server_name_is_sent_unless_it_is_not_to_be(nginx: Nginx) -> None:
    to = ("--connect-to", f"127.0.0.1:{nginx.tls_port}", "--cacert", str(nginx.ca))
    with_name = opskit("bench", "--json", *to, "https://good.test/tls")
    without = opskit("bench", "--json", *to, "-I", "https://good.test/tls")
    assert with_name.data["tls"]["server_name"] == "good.test"
    assert without.data["tls"]["server_name"] is None
    assert with_name.data["bytes"]["body"] - without.data["bytes"]["body"] == len("good.test")


@pytest.mark.parametrize(("flag", "spoken"), [("TLS1.2", "TLSv1.2"), ("tls1.3", "TLSv1.3"), ("ALL", "TLSv1.3")])
def test_f_chooses_the_version(nginx: Nginx, flag: str, spoken: str) -> None:
    ran = opskit("bench", "--json", "-f", flag, "--cacert", str(nginx.ca), f"{nginx.tls_url}/tls")
    assert ran.data["tls"]["protocol"] == spoken


@pytest.mark.parametrize(
    ("options", "spoken"),
    [
        (("--tls-max", "TLS1.2"), "TLSv1.2"),
        (("--tls-min", "tls1.2"), "TLSv1.3"),
        (("--tls-min", "TLS1.1", "--tls-max", "TLS1.2"), "TLSv1.2"),
    ],
)
def test_a_range_of_versions(nginx: Nginx, options: tuple[str, ...], spoken: str) -> None:
    ran = opskit("bench", "--json", *options, "--cacert", str(nginx.ca), f"{nginx.tls_url}/tls")
    assert ran.data["tls"]["protocol"] == spoken


def test_a_version_that_the_server_does_not_speak_is_a_tls_failure(nginx: Nginx) -> None:
    ran = opskit("bench", "--json", "--tls-max", "TLS1.1", "--insecure", f"{nginx.tls_url}/tls")
    assert (ran.code, ran.data["failures"]) == (3, {"tls": 1})
    assert "-Z ALL:@SECLEVEL=0" in ran.json["errors"][0]["hint"]
    old = ("--tls-max", "TLS1.1", "-Z", "ALL:@SECLEVEL=0")
    ran = opskit("bench", "--json", *old, "--insecure", f"{nginx.tls_url}/tls")
    assert (ran.code, ran.data["failures"]) == (3, {"tls": 1})
    assert "no TLS version in common" in ran.json["errors"][0]["hint"]


def test_the_highest_version_may_be_below_the_systems_lowest(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Authority(tmp_path).sign("server", "subjectAltName=IP:127.0.0.1"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with scripted(answers(OK), tls=context) as server:
        url = server.url.replace("http:", "https:")
        ran = opskit("bench", "--json", "--insecure", "--tls-max", "TLS1.1", "-Z", "ALL:@SECLEVEL=0", url)
    assert ran.data["tls"]["protocol"] == "TLSv1.1", ran.err


@pytest.mark.parametrize("spelling", ["TLS1.3", "TLSv1.3", "tls1.3", "1.3"])
def test_a_version_is_known_however_it_is_spelt(nginx: Nginx, spelling: str) -> None:
    ran = opskit("bench", "--json", "--insecure", "--tls-min", spelling, f"{nginx.tls_url}/tls")
    assert ran.data["tls"]["protocol"] == "TLSv1.3", ran.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tls-min", "TLS1.3", "--tls-max", "TLS1.2"), "--tls-min TLS1.3 is above --tls-max TLS1.2"),
        (("-f", "TLS1.2", "--tls-min", "TLS1.2"), "-f names one version"),
        (("--tls-max", "SSL3"), "--tls-max SSL3: unknown"),
        (("--tls-max", "tlsv3"), "--tls-max tlsv3: unknown"),
        (("-f", "all", "--tls-max", "all"), "--tls-max ALL: unknown"),
        (("--key", "client.key"), "--key client.key has no certificate"),
    ],
)
def test_tls_options_that_contradict_each_other(options: tuple[str, ...], message: str) -> None:
    ran = opskit("bench", *options, "https://127.0.0.1:9/")
    assert (ran.code, message in ran.err) == (2, True)


def test_the_protocol_that_alpn_chose_is_shown(nginx: Nginx) -> None:
    ran = opskit("bench", "--json", "--insecure", f"{nginx.tls_url}/tls")
    assert ran.data["tls"]["alpn"] == "http/1.1"
    assert ", ALPN http/1.1" in opskit("bench", "--insecure", f"{nginx.tls_url}/tls").out


@pytest.mark.parametrize("version", ["TLS1.2", "TLS1.3"])
def test_sessions_are_resumed_when_they_are_to_be(nginx: Nginx, version: str) -> None:
    to = ("bench", "-n", "60", "-c", "3", "-f", version, "--insecure", f"{nginx.tls_url}/resumed")
    full, resumed = opskit(*to, "--json"), opskit(*to, "--json", "--tls-resume")
    assert (full.data["tls"]["handshakes"], full.data["tls"]["resumed"]) == (60, 0)
    assert resumed.data["tls"]["handshakes"] == 60
    assert 50 <= resumed.data["tls"]["resumed"] <= 59
    # The server's own word for it: `r` for a resumed session, `.` for a new one.
    assert full.data["bytes"]["body"] == resumed.data["bytes"]["body"] == 60 * 2
    assert opskit(*to, "--check", "body ~ r", "--json").data["checks"]["failed"] == {"body ~ r": 60}
    seen = opskit(*to, "--check", "body ~ r", "--json", "--tls-resume").data
    assert seen["checks"]["failed"] == {"body ~ r": 60 - seen["tls"]["resumed"]}
    assert "Handshakes   60 in full; --tls-resume resumes sessions" in opskit(*to).out
    assert "resumed a session (" in opskit(*to, "--tls-resume").out


def test_no_request_waits_for_an_acknowledgement_of_the_handshake(tmp_path: Path) -> None:
    """Without a ticket after it, the end of the handshake and the request are two small segments in a row."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Authority(tmp_path).sign("server", "subjectAltName=IP:127.0.0.1"))
    context.num_tickets = 0
    with scripted(answers(OK), tls=context) as server:
        ran = opskit("bench", "--json", "--insecure", "-n", "30", server.url.replace("http:", "https:"))
    assert ran.data["latency_ms"]["first_byte"]["min"] < 30  # a delayed acknowledgement comes after 40


def test_a_cipher_can_be_chosen(nginx: Nginx) -> None:
    chosen = "ECDHE-RSA-AES256-GCM-SHA384"
    ran = opskit("bench", "--json", "-f", "TLS1.2", "-Z", chosen, "--insecure", f"{nginx.tls_url}/tls")
    assert ran.data["tls"]["cipher"] == chosen


def test_a_client_certificate_is_shown_to_the_server(nginx: Nginx) -> None:
    url = f"https://127.0.0.1:{nginx.mutual_port}/"
    shown = opskit("bench", "--json", "--insecure", "-E", str(nginx.directory / "client.pem"), url)
    none = opskit("bench", "--json", "--insecure", url)
    assert none.data["status"] == {"400": 1}
    assert shown.code == 0
    assert shown.data["requests"]["good"] == 1


def test_a_key_in_a_file_of_its_own(nginx: Nginx, tmp_path: Path) -> None:
    url = f"https://127.0.0.1:{nginx.mutual_port}/"
    certificate, key = (str(nginx.directory / name) for name in ("client.crt", "client.key"))
    ran = opskit(
        "bench", "--json", "--insecure", "-E", certificate, "--key", key, "--check", "body ~ CN=client", url
    )
    assert (ran.code, ran.data["requests"]["good"]) == (0, 1)
    without = opskit("bench", "--insecure", "-E", certificate, url)
    assert (without.code, "or the key with --key" in without.err) == (2, True)
    assert "client.crt: no certificate with its unencrypted key" in without.err
    missing = opskit("bench", "-E", certificate, "--key", str(tmp_path / "none"), url)
    assert (missing.code, f"--key {tmp_path}/none: No such file" in missing.err) == (2, True)
    other = opskit("bench", "-E", certificate, "--key", str(nginx.directory / "server.key"), url)
    assert (other.code, "KEY_VALUES_MISMATCH" in other.err) == (2, True)


def test_a_server_that_insists_on_a_client_certificate(tmp_path: Path) -> None:
    authority, context = Authority(tmp_path), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.sign("server", "subjectAltName=IP:127.0.0.1"))
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # with 1.3 the client has sent its request by then
    with scripted(answers(OK), tls=context) as server:
        to = ("bench", "--json", "--cacert", str(tmp_path / "ca.pem"), server.url.replace("http:", "https:"))
        without, shown = opskit(*to), opskit(*to, "-E", str(authority.sign("client")))
    assert (without.code, without.data["failures"]) == (3, {"tls": 1})
    assert "given with -E FILE" in without.json["errors"][0]["hint"]
    assert (shown.code, shown.data["failures"]) == (0, {})


@pytest.mark.parametrize("option", ["-E", "--cacert"])
def test_a_pem_file_that_is_none_is_refused_before_the_run(option: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("not a certificate\n")
    for path, urls in (
        (bad, ("https://127.0.0.1:9/",)),
        (tmp_path / "missing.pem", ("-R", str(_urls(tmp_path)))),
    ):
        ran = opskit("bench", option, str(path), *urls)
        assert ran.code == 2
        assert ran.err.startswith(f"error: {option} {path}: ")
        assert "hint: give" in ran.err


def _urls(directory: Path) -> Path:
    path = directory / "urls.txt"
    path.write_text("https://127.0.0.1:9/\n")
    return path


def test_a_key_with_a_password_is_refused_without_a_question(tmp_path: Path) -> None:
    Authority(tmp_path)._openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:secret", "-subj", "/CN=x",
        "-keyout", "key.pem", "-out", "crt.pem",
    )  # fmt: skip
    both = tmp_path / "both.pem"
    both.write_bytes((tmp_path / "crt.pem").read_bytes() + (tmp_path / "key.pem").read_bytes())
    ran = opskit("bench", "-E", str(both), "https://127.0.0.1:9/")
    assert ran.code == 2
    assert "unencrypted" in ran.err
    assert "pass phrase" not in ran.err.lower()


def test_https_to_a_port_that_speaks_http_is_a_tls_failure(nginx: Nginx) -> None:
    ran = opskit("bench", "--json", f"https://127.0.0.1:{nginx.port}/")
    assert (ran.code, ran.data["failures"]) == (3, {"tls": 1})
    assert "wrong version number" in ran.err


@pytest.mark.parametrize("moment", ["at once", "in the handshake", "silent"])
def test_a_handshake_that_breaks_off_is_one_failure(moment: str) -> None:
    def script(peer: Peer) -> None:
        if moment == "silent":
            peer.wait_for_close()
        if moment == "in the handshake":
            peer.sock.recv(1)
        peer.reset()

    with scripted(script) as server:
        url = server.url.replace("http:", "https:")
        ran = opskit("bench", "--json", "-q", "-r", "-s", "0.3", "-n", "12", "-c", "4", url)
    assert ran.code == 3
    assert sum(ran.data["failures"].values()) == 12
    assert set(ran.data["failures"]) <= ({"connect_timeout"} if moment == "silent" else {"tls", "reset"})


def test_answers_over_tls_in_pieces_and_until_the_close(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.sign("server", "subjectAltName=IP:127.0.0.1"))
    big = 700_001

    def script(peer: Peer) -> None:
        for request in peer.requests():
            if b"/close" in request:
                peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
                peer.sock.close()
                return
            peer.drip(OK) if b"/drip" in request else peer.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % big + bytes(big)
            )

    lines = tmp_path / "lines"
    lines.write_text("drip\nbig\nclose\n")
    with scripted(script, tls=context) as server:
        url = server.url.replace("http:", "https:")
        ran = opskit(
            "bench", "--json", "-k", "--cacert", str(tmp_path / "ca.pem"), "-n", "9", "-R", str(lines), url
        )
    assert (ran.code, ran.data["failures"]) == (0, {})
    assert ran.data["bytes"]["body"] == 3 * (2 + big + len("until the end"))


# Sockets and addresses


def test_a_unix_socket(nginx: Nginx) -> None:
    ran = opskit(
        "bench", "--json", "-n", "200", "-c", "20", "--unix-socket", str(nginx.socket), "http://any/search"
    )
    assert (ran.code, ran.data["requests"]["good"]) == (0, 200)
    assert len(nginx.requests(200)) == 200


def test_a_unix_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    ran = opskit("bench", "--unix-socket", str(tmp_path / "none"), "http://any/")
    assert ran.code == 3
    assert f"{tmp_path}/none: No such file or directory" in ran.err


def test_ipv6(nginx: Nginx) -> None:
    ran = opskit("bench", "--json", "-n", "5", f"http://[::1]:{nginx.port}/from")
    assert ran.data["requests"]["good"] == 5
    assert ran.data["bytes"]["body"] == 5 * len("::1\n")


def test_a_name_whose_first_address_refuses_is_asked_at_the_second(nginx: Nginx) -> None:
    """localhost is ::1 and 127.0.0.1 on most machines; here something listens on the second alone."""
    with scripted(answers(OK, then="keep")) as server:
        ran = opskit("bench", "--json", "-k", "-n", "20", "-c", "5", f"http://localhost:{server.port}/")
    assert (ran.data["requests"]["good"], ran.data["failures"]) == (20, {})


def test_connect_to_leaves_the_host_field_alone() -> None:
    seen = []

    def script(peer: Peer) -> None:
        for request in peer.requests():
            seen.append(request)
            peer.send(OK)

    with scripted(script) as server:
        ran = opskit("bench", "--connect-to", f"127.0.0.1:{server.port}", "http://shop.example:81/a?b")
    assert ran.code == 0
    assert seen[0].startswith(b"GET /a?b HTTP/1.1\r\n")
    assert b"\r\nHost: shop.example:81\r\n" in seen[0]


def test_a_local_address(nginx: Nginx, tmp_path: Path) -> None:
    """Also where the file names the hosts."""
    url = f"{nginx.url}/from"
    path = tmp_path / "urls"
    path.write_text(url)
    for what in ((url,), ("-R", str(path))):
        ran = opskit("bench", "--json", "-B", "127.0.0.22", *what)
        assert ran.data["bytes"]["body"] == len("127.0.0.22\n")


def test_several_local_addresses_take_turns(nginx: Nginx) -> None:
    addresses = ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
    ran = opskit(
        "bench", "--json", "-n", "30", "-c", "3", "-B", ",".join(addresses), f"{nginx.url}/from",
        *(word for each in addresses for word in ("--check", f"body ~ {each}$")),
    )  # fmt: skip
    assert ran.data["local_addresses"] == addresses
    assert ran.data["checks"]["failed"] == {f"body ~ {each}$": 20 for each in addresses}  # ten came from each


def test_local_addresses_of_both_families(nginx: Nginx) -> None:
    """Each serves the servers of its own family."""
    for host, own in (("127.0.0.1", "127.0.0.21"), ("[::1]", "::1")):
        ran = opskit(
            "bench", "--json", "-n", "4", "-B", "127.0.0.21, ::1", "--check", f"body ~ ^{own}$",
            f"http://{host}:{nginx.port}/from",
        )  # fmt: skip
        assert (ran.data["requests"]["good"], ran.data["failures"]) == (4, {}), ran.err


@pytest.mark.parametrize(
    ("addresses", "message"),
    [
        ("127.0.0.1,192.0.2.1", "-B 192.0.2.1: not an address of this machine"),
        ("127.0.0.1,", "-B 127.0.0.1,: an address is missing"),
        ("", "-B : an address is missing"),
        ("127.0.0.1,nonsense.invalid", "-B nonsense.invalid: not an address of this machine"),
    ],
)
def test_each_local_address_must_be_ours(nginx: Nginx, addresses: str, message: str) -> None:
    ran = opskit("bench", "-B", addresses, f"{nginx.url}/from")
    assert (ran.code, message in ran.err) == (2, True), ran.err
    assert nginx.requests(0) == []


def test_no_local_address_of_the_servers_family(nginx: Nginx) -> None:
    ran = opskit("bench", "-B", "127.0.0.1,127.0.0.2", f"http://[::1]:{nginx.port}/from")
    assert ran.code == 3
    assert "::1 has no address of a family that -B has" in ran.err
    assert "hint: IPv4 and IPv6 each need a -B address" in ran.err


def test_a_local_address_that_is_not_ours_is_refused() -> None:
    ran = opskit("bench", "-B", "192.0.2.1", "http://127.0.0.1/")
    assert ran.code == 2
    assert "-B 192.0.2.1: not an address of this machine" in ran.err


# Proxies


@pytest.mark.parametrize("keep", [(), ("-k",)])
def test_http_through_a_proxy(nginx: Nginx, keep: tuple[str, ...]) -> None:
    with proxy() as through:
        ran = opskit(
            "bench", "--json", *keep, "-n", "6", "-X", f"127.0.0.1:{through.port}", f"{nginx.url}/search?q=1"
        )
    assert (ran.code, ran.data["status"]) == (0, {"200": 6})
    assert set(through.seen) == {f"GET {nginx.url}/search?q=1 HTTP/1.1".encode()}
    assert ran.data["connections"]["opened"] == (1 if keep else 6)
    assert len(nginx.requests(6)) == 6


@pytest.mark.parametrize(("given", "status"), [("me:secret", "200"), ("me:wrong", "407"), ("", "407")])
def test_a_proxy_may_ask_who_it_is(nginx: Nginx, given: str, status: str) -> None:
    auth = ("-P", given) if given else ()
    with proxy(credentials="me:secret") as through:
        to = ("-X", f"127.0.0.1:{through.port}", *auth)
        plain = opskit("bench", "--json", *to, f"{nginx.url}/search")
        tunnelled = opskit("bench", "--json", "--cacert", str(nginx.ca), *to, f"{nginx.tls_url}/search")
    assert plain.data["status"] == {status: 1}
    if status == "200":
        assert tunnelled.data["status"] == {"200": 1}, tunnelled.err
    else:
        assert tunnelled.data["failures"] == {"proxy": 1}
        assert "the proxy answered CONNECT with 407" in tunnelled.err
    assert "secret" not in plain.out + plain.err + tunnelled.out + tunnelled.err


def test_https_through_a_tunnel_is_verified_for_the_real_name(nginx: Nginx) -> None:
    with proxy() as through:
        to = ("-X", f"127.0.0.1:{through.port}", "--cacert", str(nginx.ca))
        ran = opskit("bench", "--json", "-k", "-n", "12", "-c", "3", *to, f"{nginx.tls_url}/1k")
        wrong = opskit("bench", "--json", *to, f"https://localhost.localdomain:{nginx.tls_port}/1k")
    assert (ran.data["requests"]["good"], ran.data["connections"]["opened"]) == (12, 3), ran.err
    assert set(through.seen[:3]) == {f"CONNECT 127.0.0.1:{nginx.tls_port} HTTP/1.1".encode()}
    assert wrong.data["requests"]["good"] == 0


def test_a_proxy_that_refuses_or_is_not_there(nginx: Nginx) -> None:
    with proxy(allow_connect=False) as through:
        refused = opskit("bench", "--json", "--insecure", "-X", f"127.0.0.1:{through.port}", f"{nginx.tls_url}/1k")
    assert refused.data["failures"] == {"proxy": 1}
    assert "CONNECT with 403" in refused.err
    port = free_port()
    gone = opskit("bench", "-X", f"127.0.0.1:{port}", f"{nginx.url}/1k")
    assert gone.code == 3
    assert f"the proxy 127.0.0.1:{port} refused the connection" in gone.err


def test_a_tunnel_through_ipv6_brackets() -> None:
    with proxy(allow_connect=False) as through, socket.create_server(("::1", 0), family=socket.AF_INET6) as there:
        port = there.getsockname()[1]
        opskit("bench", "-X", f"127.0.0.1:{through.port}", f"https://[::1]:{port}/")
        assert through.seen == [f"CONNECT [::1]:{port} HTTP/1.1".encode()]
