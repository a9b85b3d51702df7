"""Moderators' marks and erasure in the running program: history shows what was taken down; what is erased is in no file any more,
and everything else is as it was, also when the program is killed on the way or somebody reads along."""

import contextlib
import http.client
import json
import random
import sqlite3
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import RunProgram
from e2e.program import Event, Instance, dataflow, environment, json_lines, program, wait_until

# So that a search of the files sees all that they hold.
PLAIN = {"DATAFLOW_COMPRESS": "false", "DATAFLOW_SEGMENT_SIZE": "1MiB"}
SECRET = "the secret words of ann_1"


def event(number: int, kind: str, channel: str = "room", **payload: Any) -> Event:
    second, tenth = divmod(number, 10)
    return {
        "schema": 1,
        "id": f"twitch:m{number}",
        "source": "twitch",
        "timestamp": f"2026-11-{23 + second // 86400:02d}T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{tenth}00000Z",
        "payload": {"kind": kind, "channel": channel} | payload,
    }


def said(number: int, user: str, message: str, channel: str = "room", **metadata: Any) -> Event:
    return event(
        number,
        "message",
        channel,
        username=user,
        display_name=user.title(),
        user_id=f"id-of-{user}",
        message=message,
        metadata=metadata,
    )


SCENE = [
    said(0, "ann_1", SECRET, color="#fff"),
    said(1, "bob", "yes @Ann_1", reply_parent_id="m0", reply_parent_user="ann_1", reply_parent_message=SECRET),
    said(2, "bob", "deleted words"),
    event(3, "delete", username="bob", metadata={"target_message_id": "m2"}),
    event(4, "timeout", username="ann_1", user_id="id-of-ann_1", metadata={"duration_seconds": 600}),
    said(5, "ann_1", SECRET + " again"),
    said(6, "carol", "cleared words", "other"),
    event(7, "clear", "other"),
    said(8, "carol", "still there", "other"),
]
REJECTED = f":Ann_1!ann_1@ann_1 PRIVMSG #room :{SECRET}"


def write_lines(path: Path, events: Sequence[Event], *more: str) -> Path:
    lines = [json.dumps(one, separators=(",", ":")) for one in events]
    path.write_text("\n".join([*lines, *more]) + "\n")
    return path


def start(run_program: RunProgram, source: Path, *arguments: str, count: int) -> Instance:
    instance = run_program("--source", f"jsonl:{source}", *arguments, env=PLAIN)
    wait_until(lambda: instance.stages()["store"]["out"] >= count and instance.stages()["store"]["pending"] == 0, "the store")
    return instance


def delete(instance: Instance, name: str, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(f"{instance.url}/api/v1/users/{name}", method="DELETE", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def history(instance: Instance) -> list[Event]:
    found: list[Event] = instance.get("/api/v1/events?topic=chat_stream&limit=1000")["events"]
    return found


def files_with(data: Path, text: str) -> list[str]:
    return [path.name for path in data.rglob("*") if path.is_file() and text.lower().encode() in path.read_bytes().lower()]


def store_content(data: Path) -> tuple[set[Any], set[Any]]:
    with sqlite3.connect(data / "store.db") as store:
        index = set(store.execute("SELECT topic, key, bucket, base_offset FROM events JOIN keys ON keys.id = key_id"))
        marks = set(store.execute("SELECT channel, scope, target, timestamp_us, log_offset, kind, event_id FROM marks"))
    return index, marks


def test_history_shows_what_moderators_took_down(run_program: RunProgram, tmp_path: Path) -> None:
    instance = start(run_program, write_lines(tmp_path / "scene.jsonl", SCENE), count=len(SCENE))
    marked = {one["id"]: one["moderation"] for one in history(instance) if "moderation" in one}
    assert {i: (mark["state"], mark["by"]) for i, mark in marked.items()} == {
        "twitch:m0": ("timed_out", "twitch:m4"),
        "twitch:m2": ("deleted", "twitch:m3"),
        "twitch:m6": ("cleared", "twitch:m7"),
    }
    assert marked["twitch:m2"]["at"] == SCENE[3]["timestamp"]
    assert [{k: v for k, v in one.items() if k not in ("received", "moderation")} for one in history(instance)] == SCENE
    assert instance.tail("chat_stream") == [{k: v for k, v in one.items() if k != "moderation"} for one in history(instance)]


def test_a_user_is_erased(run_program: RunProgram, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "scene.jsonl", SCENE, REJECTED)
    instance = start(run_program, source, count=len(SCENE))
    before = instance.tail("chat_stream")
    assert files_with(instance.data, SECRET) and files_with(instance.data, "id-of-ann_1")
    assert delete(instance, "Ann_1") == (200, {"erased": 4})
    for text in (SECRET, "ann_1"):
        assert not files_with(instance.data, text)
    after = instance.tail("chat_stream")
    assert [one["id"] for one in after] == [one["id"] for one in before]
    for old, new in zip(before, after, strict=True):
        if old["payload"].get("username") == "ann_1":
            assert new["payload"] | {"username": "erased", "metadata": {"erased": True}} == new["payload"]
            assert new["payload"].keys() == {"kind", "channel", "username", "metadata"}
        elif old["id"] == "twitch:m1":
            assert new["payload"] == old["payload"] | {"message": "yes @*****", "metadata": {}}
        else:
            assert new == old
    assert delete(instance, "ann_1")[0] == 404
    assert delete(instance, "a%20b")[0] == 400
    assert delete(instance, "bob", Origin="http://elsewhere.example")[0] == 403
    assert [entry for entry in instance.log if "ann_1" in json.dumps(entry).lower()] == []
    assert instance.stop() == 0
    assert not files_with(instance.data, "ann_1")
    kept = store_content(instance.data)
    assert dataflow("rebuild", "--data", instance.data, cwd=tmp_path).returncode == 0
    assert store_content(instance.data) == kept
    assert dataflow("doctor", "--data", instance.data, cwd=tmp_path).returncode == 0


def test_erase_command(run_program: RunProgram, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "scene.jsonl", SCENE, REJECTED)
    instance = start(run_program, source, count=len(SCENE))
    refused = dataflow("erase", "ann_1", "--data", instance.data, cwd=tmp_path)
    assert refused.returncode == 1 and "stop that one first" in refused.stderr
    assert instance.stop() == 0
    done = dataflow("erase", "ann_1", "--data", instance.data, "--json", cwd=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout) == {"erased": 4, "documents": 0, "rejects": 1}
    assert not files_with(instance.data, "ann_1")
    assert dataflow("erase", "ann_1", "--data", instance.data, cwd=tmp_path).returncode == 0
    assert dataflow("erase", "no name", "--data", instance.data, cwd=tmp_path).returncode == 1
    assert dataflow("erase", "ann_1", "--data", tmp_path / "none", cwd=tmp_path).returncode == 1


def test_what_was_taken_down_is_erased_if_wanted(run_program: RunProgram, tmp_path: Path) -> None:
    instance = start(run_program, write_lines(tmp_path / "scene.jsonl", SCENE), count=len(SCENE))
    assert instance.stop() == 0
    write_lines(tmp_path / "none.jsonl", [])
    instance = run_program("--source", f"jsonl:{tmp_path / 'none.jsonl'}", "--erase", env=PLAIN)
    wait_until(lambda: any(entry["event"] == "erased" for entry in instance.log), "the erasure")
    texts = [one["payload"].get("message") for one in history(instance)]
    assert texts == [None, "yes @Ann_1", None, None, None, SECRET + " again", None, None, "still there"]
    assert not files_with(instance.data, "deleted words") and not files_with(instance.data, "cleared words")
    assert [one["moderation"]["state"] for one in history(instance) if "moderation" in one] == ["timed_out", "deleted", "cleared"]
    assert history(instance)[0]["payload"]["username"] == "ann_1"


# ---- while much is going on ----

COUNT = 20000


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    dice = random.Random(4)
    users = ["ann_1", *(f"user_{n}" for n in range(20))]
    return [
        said(n, user := dice.choice(users), SECRET if user == "ann_1" else f"hello {n}" + " again" * 20) for n in range(COUNT)
    ]


def check_crowd(crowd: list[Event], found: list[Event]) -> int:
    """Every event is there once, in order, as it was or erased; returns how many are erased."""
    assert [one["id"] for one in found] == [one["id"] for one in crowd]
    erased = 0
    for old, new in zip(crowd, found, strict=True):
        if old["payload"]["username"] == "ann_1" and new["payload"]["username"] == "erased":
            erased += 1
        else:
            assert new["payload"] == old["payload"]
    return erased


def ask_in_vain(instance: Instance) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        delete(instance, "ann_1")


def test_killed_on_the_way(run_program: RunProgram, tmp_path: Path, crowd: list[Event]) -> None:
    source = write_lines(tmp_path / "crowd.jsonl", crowd)
    none = write_lines(tmp_path / "none.jsonl", [])
    instance = start(run_program, source, count=COUNT)
    expected = sum(one["payload"]["username"] == "ann_1" for one in crowd)
    for delay_s in (0.0, 0.01, 0.02, 0.05, 0.1):
        asking = threading.Thread(target=ask_in_vain, args=[instance])
        killing = threading.Timer(delay_s, instance.kill)
        killing.start()
        asking.start()
        killing.join()
        asking.join(60)
        instance = run_program("--source", f"jsonl:{none}", env=PLAIN)
        check_crowd(crowd, instance.tail("chat_stream"))
        assert not list(instance.data.rglob("*.erasing"))
    left = expected - check_crowd(crowd, instance.tail("chat_stream"))
    status, answer = delete(instance, "ann_1")
    assert (status, answer) == (200, {"erased": left}) if left else status == 404
    assert check_crowd(crowd, instance.tail("chat_stream")) == expected
    assert not files_with(instance.data, SECRET) and not files_with(instance.data, "ann_1")
    assert instance.stop() == 0
    assert dataflow("doctor", "--data", instance.data, cwd=tmp_path).returncode == 0


def test_readers_and_sources_go_on(run_program: RunProgram, tmp_path: Path, crowd: list[Event]) -> None:
    source = write_lines(tmp_path / "crowd.jsonl", crowd)
    instance = start(run_program, source, "--source", "simulated:market", "--rate", "2000", count=COUNT)
    follower = subprocess.Popen(
        [program(), "tail", "chat_stream", "--follow", "--data", instance.data],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert follower.stdout
        first = [json.loads(follower.stdout.readline()) for _ in range(10)]
        before = instance.stages()["log"]["out"]
        status, answer = delete(instance, "ann_1")
        assert status == 200 and answer["erased"] > 500
        rest = [json.loads(follower.stdout.readline()) for _ in range(COUNT - 10)]
        check_crowd(crowd, first + rest)
    finally:
        follower.kill()
        follower.wait()
    wait_until(lambda: instance.stages()["log"]["out"] > before + 1000, "events that go on")
    market = [one["id"] for one in instance.tail("market_stream")]
    assert len(market) == len(set(market))
    assert check_crowd(crowd, instance.tail("chat_stream")) == answer["erased"]
    assert not files_with(instance.data, SECRET)


def test_nothing_else_is_written_anew(run_program: RunProgram, tmp_path: Path, crowd: list[Event]) -> None:
    instance = start(run_program, write_lines(tmp_path / "crowd.jsonl", [*crowd, said(COUNT, "late", "one")]), count=COUNT + 1)
    assert instance.stop() == 0
    log = sorted((instance.data / "log").glob("*.log"))
    assert len(log) > 3
    before = {path.name: path.read_bytes() for path in log}
    assert dataflow("erase", "late", "--data", instance.data, cwd=tmp_path).returncode == 0
    changed = [path.name for path in log if path.read_bytes() != before[path.name]]
    assert changed == [log[-1].name]
    tail = json_lines(dataflow("tail", "chat_stream", "--data", instance.data, cwd=tmp_path).stdout)
    assert check_crowd(crowd, tail[:COUNT]) == 0
