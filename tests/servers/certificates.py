"""A certificate authority and a certificate for loopback, made anew for a test with the openssl command."""

import ssl
import subprocess
from pathlib import Path


class LoopbackCertificates:
    """authority: the file that clients must trust; server: the context for a server on 127.0.0.1 or localhost."""

    def __init__(self, directory: Path) -> None:
        self.authority = directory / "authority.pem"
        key, request, certificate = (directory / name for name in ("server.key", "server.csr", "server.pem"))
        extensions = directory / "server.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        authority_key = directory / "authority.key"
        self._openssl("req", "-x509", *new_key, "-days", "2", "-subj", "/CN=Test authority",
                      "-keyout", authority_key, "-out", self.authority)  # fmt: skip
        self._openssl("req", *new_key, "-subj", "/CN=localhost", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", authority_key, "-CAcreateserial",
                      "-days", "2", "-extfile", extensions, "-out", certificate)  # fmt: skip
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(certificate, key)

    @staticmethod
    def _openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
