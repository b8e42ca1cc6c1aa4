"""The size of a server's key, read from certificates that OpenSSL makes."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.bench.certificate import key_bits
from tests.programs import need


def certificate(folder: Path, *key: str) -> bytes:
    made = folder / "certificate.der"
    subprocess.run(
        [need("openssl"), "req", "-x509", "-nodes", "-newkey", *key, "-keyout", str(folder / "key"),
         "-subj", "/CN=localhost", "-days", "1", "-outform", "DER", "-out", str(made)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made.read_bytes()


@pytest.mark.parametrize(
    ("key", "bits"),
    [
        (("rsa:1024",), 1024),
        (("rsa:2048",), 2048),
        (("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), 256),
        (("ec", "-pkeyopt", "ec_paramgen_curve:P-384"), 384),
        (("ec", "-pkeyopt", "ec_paramgen_curve:P-521"), 521),
        (("ed25519",), 256),
        (("ed448",), 456),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_the_bits_of_a_key_are_those_that_openssl_says(tmp_path: Path, key: tuple[str, ...], bits: int) -> None:
    found = certificate(tmp_path, *key)
    assert key_bits(found) == bits
    words = subprocess.run(
        [need("openssl"), "x509", "-inform", "DER", "-noout", "-text"], input=found, capture_output=True
    )
    said = words.stdout.decode()
    assert f"Public-Key: ({bits} bit)" in said or "ED" in said


@given(st.binary(max_size=200))
def test_what_is_no_certificate_has_no_bits(data: bytes) -> None:
    assert key_bits(data) >= 0


def test_a_certificate_cut_anywhere_has_bits_or_none(tmp_path: Path) -> None:
    whole = certificate(tmp_path, "rsa:1024")
    assert {key_bits(whole[:end]) for end in range(len(whole))} >= {0}
    assert key_bits(b"") == 0
