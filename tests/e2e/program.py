"""The real program in a test: its commands, and running instances of `dataflow run`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

TOP = Path(__file__).resolve().parents[2]
# Guards against hangs, not expectations: a test that runs into one of them fails.
LIMIT_S = 60.0
Event = dict[str, Any]
T = TypeVar("T")


def program() -> str:
    """DATAFLOW, or what was built last for tests."""
    named = os.environ.get("DATAFLOW")
    return named or str(TOP / "build" / "dev" / "dataflow")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Nothing of the caller's settings: only what a process needs, and what the test gives."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    kept |= {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
    return kept | {"DATAFLOW_LOG_FORMAT": "json"} | dict(extra or {})


def dataflow(
    *arguments: str | Path,
    cwd: Path,
    stdin: str | bytes = b"",
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; output as text."""
    done = subprocess.run(
        [program(), *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=LIMIT_S,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8", "strict"), done.stderr.decode("utf-8", "replace")
    )


def json_lines(text: str) -> list[Event]:
    return [json.loads(line) for line in text.splitlines()]


def wait_until(probe: Callable[[], T | Literal[False]], what: str, limit_s: float = LIMIT_S) -> T:
    """The first true value of the probe."""
    end = time.monotonic() + limit_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit_s} s for {what}; last: {value!r}")
        time.sleep(0.01)


class Instance:
    """A running `dataflow run`. `url` is known once it said that it is ready."""

    def __init__(self, directory: Path, *arguments: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.started_at = time.monotonic()
        self.log: list[dict[str, Any]] = []
        self.other_output: list[str] = []
        self._announced = threading.Event()
        self.url = ""
        self.process = subprocess.Popen(
            [program(), "run", "--listen", "127.0.0.1:0", "--data", str(self.data), *map(str, arguments)],
            cwd=directory,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if not self._announced.wait(LIMIT_S) or not self.url:
            self.process.kill()
            raise AssertionError(f"run did not become ready: {self.process.wait()}, {self.log}, {self.other_output}")
        self.ready_after_s = time.monotonic() - self.started_at

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                self.other_output.append(line)
                continue
            self.log.append(entry)
            if entry["event"] == "ready":
                address = re.search(r"http://[0-9.:]+", entry["message"])
                assert address, entry
                self.url = address.group()
                self._announced.set()
        self._announced.set()

    # ---- what it says ----

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=LIMIT_S) as response:
            return json.load(response)

    def get_status_code(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url + path, timeout=LIMIT_S) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def stages(self) -> dict[str, dict[str, Any]]:
        return {stage["name"]: stage for stage in self.get("/api/v1/status")["stages"]}

    def source(self, number: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/api/v1/sources")["sources"][number]
        return found

    def wait_source(self, condition: Callable[[dict[str, Any]], bool], what: str, number: int = 0) -> dict[str, Any]:
        def probe() -> dict[str, Any] | Literal[False]:
            source = self.source(number)
            return condition(source) and source

        return wait_until(probe, what)

    def wait_events(self, count: int, topic: str = "market_stream") -> list[Event]:
        """All events of the topic in the log, as soon as there are `count`."""
        return self.wait_tail(lambda events: len(events) >= count, f"{count} events", topic)

    def wait_tail(self, condition: Callable[[list[Event]], bool], what: str, topic: str = "market_stream") -> list[Event]:
        def probe() -> list[Event] | Literal[False]:
            events = self.tail(topic)
            return condition(events) and events

        return wait_until(probe, what)

    def tail(self, topic: str = "market_stream") -> list[Event]:
        done = dataflow("tail", topic, "--data", self.data, cwd=self.directory)
        assert done.returncode == 0, done.stderr
        return json_lines(done.stdout)

    # ---- ends ----

    def check_ledger(self) -> None:
        """No record disappears without a count and a reason, at any moment."""
        stages = self.stages()
        assert stages
        for name, stage in stages.items():
            taken = stage["in"] + stage["created"]
            given = sum(stage[n] for n in ("out", "rejected", "duplicate", "filtered", "late", "dropped", "pending"))
            assert taken == given, f"ledger of {name} does not balance: {stage}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        return status

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)

    @property
    def running(self) -> bool:
        return self.process.poll() is None
