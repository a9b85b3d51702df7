"""A real IRC server, InspIRCd, on loopback with a configuration of its own; with TLS if asked for."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from servers.certificates import LoopbackCertificates

PROGRAM = shutil.which("inspircd", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
LIMIT_S = 20

CONFIGURATION = """
<server name="irc.loopback.test" description="A test" network="Loopback" id="1TS">
<admin name="Nobody" email="nobody@loopback.test" nick="nobody">
<bind address="127.0.0.1" port="{plain_port}" type="clients">
<module name="cap">
<connect name="main" allow="*" timeout="20" pingfreq="{ping_s}" hardsendq="1M" softsendq="1M" recvq="10K" threshold="{threshold}"
         commandrate="{rate}" fakelag="{fakelag}" localmax="100" globalmax="100" maxchans="100" resolvehostnames="no">
<class name="shutdown" commands="DIE" usermodes="*" chanmodes="*">
<type name="admin" classes="shutdown">
<oper name="tester" password="tester" host="*" type="admin">
<power diepass="down">
<channels users="100" opers="100">
<options hidemodes="eI" hostintopic="yes">
<dns server="127.0.0.1" timeout="1">
<pid file="{directory}/inspircd.pid">
<path configdir="{directory}" datadir="{directory}" logdir="{directory}" runtimedir="{directory}" moddir="/usr/lib/inspircd/modules">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="{directory}/inspircd.log">
{extra}
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


class InspIRCd:
    """Runs while the `with` block lasts. flood: whether it punishes clients that say much at once."""

    def __init__(
        self, directory: Path, *, certificates: LoopbackCertificates | None = None, flood: bool = False, ping_s: int = 120
    ) -> None:
        assert PROGRAM
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.plain_port, self.tls_port = free_ports(2)
        extra = ""
        if certificates:
            certificate, key = certificates.files("inspircd")
            extra = (
                '<module name="ssl_gnutls">\n'
                f'<sslprofile name="test" provider="gnutls" certfile="{certificate}" keyfile="{key}">\n'
                f'<bind address="127.0.0.1" port="{self.tls_port}" type="clients" sslprofile="test">'
            )
        self._configuration = directory / "inspircd.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                plain_port=self.plain_port,
                directory=directory,
                ping_s=ping_s,
                threshold=10 if flood else 1000,
                rate=1000 if flood else 1_000_000,
                fakelag="no",
                extra=extra,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        command = [str(PROGRAM), "--nofork", "--runasroot", "--config", str(self._configuration)]
        # In a directory of its own: with its GnuTLS module loaded, Debian's InspIRCd crashes on its way out and dumps core.
        output = (self.directory / "output").open("ab")
        self._process = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        output.close()
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.plain_port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    said = (self.directory / "output").read_text("utf-8", "replace")
                    raise AssertionError(f"InspIRCd did not start: {said}") from None
                time.sleep(0.02)

    def wait_end(self) -> None:
        """It ends by itself."""
        assert self._process
        self._process.wait(LIMIT_S)

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(LIMIT_S)
        self._process = None


class IrcUser:
    """Somebody else on the server, over its plain port."""

    def __init__(self, server: InspIRCd, nick: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.plain_port), LIMIT_S)
        self._lines = self._socket.makefile("r", encoding="utf-8", newline="\r\n")
        self.nick = nick
        self.say(f"NICK {nick}", f"USER {nick} 0 * :{nick}")
        self.wait_for(" 001 ")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lines.close()
        self._socket.close()

    def say(self, *lines: str) -> None:
        self._socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def wait_for(self, text: str) -> str:
        for line in self._lines:
            if line.startswith("PING"):
                self.say(line.strip().replace("PING", "PONG", 1))
            if text in line:
                return line.rstrip("\r\n")
        raise AssertionError(f"{self.nick}: the server ended before it said {text}")

    def join(self, channel: str) -> None:
        self.say(f"JOIN #{channel}")
        self.wait_for(" 366 ")
