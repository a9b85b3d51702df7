"""Damage inside a log: what is whole on both sides of it is read, indexed and answered, and what is lost is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import RunProgram
from e2e.program import Event, Instance, dataflow, json_lines, wait_until
from e2e.test_commands import recording_text

EVENTS = 12000
LOG = {"DATAFLOW_SEGMENT_SIZE": "1MiB", "DATAFLOW_COMPRESS": "false"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A log of several segments and many batches, stopped."""
    (tmp_path / "recording.jsonl").write_text(recording_text(EVENTS, spacing_ms=5))
    done = dataflow(
        "run", "--source", "recording:recording.jsonl", "--speed", "100", "--exit-at-end",
        "--data", "data", "--listen", "127.0.0.1:0", cwd=tmp_path, env=LOG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tmp_path / "data"


def segments(data: Path) -> list[Path]:
    return sorted((data / "log").glob("*.log"))


def flip_a_bit(data: Path) -> None:
    with segments(data)[0].open("r+b") as file:
        file.seek(500_000)
        byte = file.read(1)[0]
        file.seek(500_000)
        file.write(bytes([byte ^ 4]))


def cut_short(data: Path) -> None:
    with segments(data)[0].open("r+b") as file:
        file.truncate(500_000)


def lose_the_middle(data: Path) -> None:
    segments(data)[1].unlink()


def remove_store(data: Path) -> None:
    for path in data.glob("store.db*"):
        path.unlink()


def ids(events: list[Event]) -> list[int]:
    return [event["payload"]["trade_id"] for event in events]


def page_through(instance: Instance) -> list[int]:
    found: list[Event] = []
    path = "/api/v1/events?topic=market_stream&limit=1000&from=2000-01-01T00:00:00Z"
    page: dict[str, Any] = instance.get(path)
    while page["events"]:
        found += page["events"]
        page = instance.get(f"{path}&after={page['next']}")
    return ids(found)


@pytest.mark.parametrize("hurt", [flip_a_bit, cut_short, lose_the_middle])
def test_all_but_the_damage_is_there(hurt: Any, data: Path, run_program: RunProgram, tmp_path: Path) -> None:
    assert len(segments(data)) > 2
    hurt(data)
    tail = dataflow("tail", "market_stream", "--data", data, cwd=tmp_path)
    kept = ids(json_lines(tail.stdout))
    lost = EVENTS - len(kept)
    assert tail.returncode == 0 and "log_damaged" in tail.stderr
    assert 0 < lost < EVENTS // 2
    assert kept[0] == 1 and kept[-1] == EVENTS and kept == sorted(set(kept))

    export = dataflow("export", "--data", data, cwd=tmp_path)
    assert export.returncode == 1 and f"{lost} records" in export.stderr
    assert ids(json_lines(export.stdout)) == kept

    for _ in range(2):  # with the store of before the damage, then with one that the run makes anew
        instance = run_program("--source", "simulated:chat", env=LOG)
        wait_until(lambda: instance.stages()["store"]["pending"] == 0, "the store")  # noqa: B023
        assert page_through(instance) == kept
        status = instance.get("/api/v1/status")
        assert status["ready"] and segments(data)[0].name in status["problem"]
        instance.check_ledger()
        assert instance.stop() == 0
        remove_store(data)
    rebuild = dataflow("rebuild", "--data", data, cwd=tmp_path)
    assert rebuild.returncode == 1 and f"{lost} records" in rebuild.stderr


def test_a_log_that_lost_its_end_is_not_reused_in_silence(data: Path, tmp_path: Path) -> None:
    last = segments(data)[-1]
    size = last.stat().st_size
    with last.open("r+b") as file:
        file.truncate(size // 2)
    run = ["run", "--source", "recording:recording.jsonl", "--speed", "max", "--exit-at-end", "--data", "data"]
    refused = dataflow(*run, "--listen", "127.0.0.1:0", cwd=tmp_path, env=LOG)
    assert refused.returncode == 1
    assert "acknowledged records are missing" in refused.stderr and "dataflow rebuild" in refused.stderr
    assert last.stat().st_size == size // 2
    assert dataflow("rebuild", "--data", data, cwd=tmp_path).returncode == 0
    assert dataflow(*run, "--listen", "127.0.0.1:0", cwd=tmp_path, env=LOG).returncode == 0
