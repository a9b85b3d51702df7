"""A certificate authority and certificates for loopback, made anew for a test with the openssl command."""

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

LOOPBACK = "DNS:localhost,IP:127.0.0.1"


class LoopbackCertificates:
    """authority: the file that clients must trust; the rest: contexts for a server on 127.0.0.1 or localhost."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = directory / "authority.pem"
        self._authority_key = directory / "authority.key"
        self._openssl("req", "-x509", *self._NEW_KEY, "-days", "2", "-subj", "/CN=Test authority",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                      "-keyout", self._authority_key, "-out", self.authority)  # fmt: skip
        self._register = directory / "register"
        self._register.touch()
        self._settings = directory / "authority.cnf"
        self._settings.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={self._register}\nnew_certs_dir={directory}\nrand_serial=yes\n"
            "default_md=sha256\nunique_subject=no\npolicy=any\n[any]\ncommonName=supplied\n"
        )

    _NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    @cached_property
    def server(self) -> ssl.SSLContext:
        return self._context("server", LOOPBACK)

    @cached_property
    def expired(self) -> ssl.SSLContext:
        return self._context("expired", LOOPBACK, days=-1)

    @cached_property
    def wrong_name(self) -> ssl.SSLContext:
        return self._context("wrong_name", "DNS:elsewhere.example")

    def files(self, name: str, names: str = LOOPBACK, days: int = 2) -> tuple[Path, Path]:
        """Certificate and key for these names; days: until it expires, also into the past."""
        key, request, certificate, extensions = (self.directory / f"{name}.{end}" for end in ("key", "csr", "pem", "ext"))
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
        self._openssl("req", *self._NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        now = datetime.now(UTC)
        begin, end = (f"{now + timedelta(days=offset):%Y%m%d%H%M%SZ}" for offset in (-3, days))
        self._openssl("ca", "-batch", "-notext", "-config", self._settings, "-cert", self.authority,
                      "-keyfile", self._authority_key, "-in", request, "-out", certificate, "-extfile", extensions,
                      "-startdate", begin, "-enddate", end)  # fmt: skip
        return certificate, key

    def _context(self, name: str, names: str, days: int = 2) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(name, names, days))
        return context

    @staticmethod
    def _openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
