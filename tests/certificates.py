"""A certificate authority for one test, made with the openssl program."""

import subprocess
from pathlib import Path

from tests.programs import need


class Authority:
    """`ca.pem` in a directory, and certificates signed by it: NAME.pem with the certificate and its key."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=a test authority", "-keyout", "ca.key", "-out", "ca.pem",
        )  # fmt: skip

    def sign(self, name: str, extension: str = "", *, days: int = 2) -> Path:
        """Negative days make a certificate that has run out already."""
        self._openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
            "-out", f"{name}.csr",
        )  # fmt: skip
        (self._directory / f"{name}.ext").write_text(extension)
        self._openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", str(days),
            "-extfile", f"{name}.ext", "-out", f"{name}.crt",
        )  # fmt: skip
        both = self._directory / f"{name}.pem"
        both.write_bytes(
            (self._directory / f"{name}.crt").read_bytes() + (self._directory / f"{name}.key").read_bytes()
        )
        return both

    def _openssl(self, *args: str) -> None:
        done = subprocess.run([need("openssl"), *args], cwd=self._directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
