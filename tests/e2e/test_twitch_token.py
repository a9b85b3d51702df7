"""The token of the Twitch account: where it comes from, and that it is nowhere to be seen - not in a log line, a recording, a
metric, a page, an answer of the API, nor in any file that the program writes."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from e2e.conftest import RunProgram
from e2e.program import dataflow, environment, program, wait_until
from e2e.twitch import READER, ROOM, TOKEN, eventsub, irc_settings, wait_each_once
from servers import twitch_chat as chat
from servers.scripted import Step
from servers.twitch_helix import Token
from servers.twitch_irc import TwitchIrc

DALLAS = "twitch-eventsub:dallas"
PLAY: list[Step] = [{"step": "subscribed", "count": 5}, {"step": "play"}]
PATHS = ("/", "/metrics", "/openapi.json", "/livez", "/readyz", "/api/v1/sources", "/api/v1/status",
         "/api/v1/events?topic=chat_stream", "/api/v1/nothing")  # fmt: skip


def pages(url: str) -> dict[str, bytes]:
    def get(path: str) -> bytes:
        try:
            with urllib.request.urlopen(url + path, timeout=30) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            return error.read()

    return {path: get(path) for path in PATHS}


def assert_unseen(what: str, content: bytes | str) -> None:
    text = content if isinstance(content, bytes) else content.encode()
    assert TOKEN.encode() not in text, what


def assert_unseen_in_files(directory: Path, *but: str) -> None:
    for file in directory.rglob("*"):
        if file.is_file() and file.name not in but:
            assert_unseen(str(file), file.read_bytes())


@pytest.mark.parametrize("adapter", ["irc", "eventsub"])
def test_the_token_is_nowhere_to_be_seen(run_program: RunProgram, tmp_path: Path, adapter: str) -> None:
    happenings = chat.messages(ROOM, 1, 20)
    with (
        TwitchIrc(happenings, [[{"step": "play"}]], accounts={READER.login: TOKEN}) as irc,
        eventsub(happenings, [PLAY]) as there,
    ):
        env = {"DATAFLOW_LOG_LEVEL": "debug", "DATAFLOW_COMPRESS": "false"}
        env |= irc_settings(irc, TOKEN) if adapter == "irc" else there.settings()
        instance = run_program("--source", f"twitch-{adapter}:dallas", env=env)
        wait_each_once(instance, happenings)
        for path, content in pages(instance.url).items():
            assert_unseen(path, content)
        assert instance.stop() == 0
        assert_unseen("the log", repr(instance.log) + repr(instance.other_output))
    assert_unseen_in_files(tmp_path)


@pytest.mark.parametrize(
    "token", [Token("another", READER), Token(TOKEN, READER, ("chat:read",))], ids=["unknown", "without scope"]
)
def test_nor_when_it_is_refused(run_program: RunProgram, tmp_path: Path, token: Token) -> None:
    with eventsub([], [], token=token) as there:
        instance = run_program("--source", DALLAS, env=there.settings() | {"DATAFLOW_LOG_LEVEL": "debug"})
        source = instance.wait_source(lambda s: s["state"] == "failed", "the refusal")
        assert "TWITCH_OAUTH_TOKEN" in source["error"]
        for path, content in pages(instance.url).items():
            assert_unseen(path, content)
        assert instance.stop() == 0
        assert_unseen("the log", repr(instance.log))
    assert_unseen_in_files(tmp_path)


@pytest.mark.parametrize("adapter", ["irc", "eventsub"])
def test_recordings_do_not_hold_it(tmp_path: Path, adapter: str) -> None:
    happenings = chat.messages(ROOM, 1, 20)
    recording = tmp_path / "session.jsonl"
    with (
        TwitchIrc(happenings, [[{"step": "play"}]], accounts={READER.login: TOKEN}) as irc,
        eventsub(happenings, [PLAY]) as there,
    ):
        settings = irc_settings(irc, TOKEN) if adapter == "irc" else there.settings()
        with subprocess.Popen(
            [program(), "record", "--source", f"twitch-{adapter}:dallas", str(recording)],
            cwd=tmp_path,
            env=environment(settings | {"DATAFLOW_LOG_LEVEL": "debug"}),
            stderr=subprocess.PIPE,
            text=True,
        ) as recorder:
            try:
                wait_until(lambda: recording.exists() and "message 20" in recording.read_text(), "the last message")
            finally:
                recorder.terminate()
            said = recorder.communicate()[1]
    assert_unseen("the log", said)
    assert_unseen_in_files(tmp_path)
    # What was recorded makes the same events without it.
    done = dataflow("replay", recording, "--speed", "max", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"kind":"message"') == 20


def test_check_and_doctor_say_whether_there_is_one(tmp_path: Path) -> None:
    with eventsub([], [[]]) as there:
        with_token = there.settings() | {"DATAFLOW_SOURCES": DALLAS}
        without = {name: value for name, value in with_token.items() if name != "TWITCH_OAUTH_TOKEN"}
        for arguments in (["check"], ["check", "--json"]):
            done = dataflow(*arguments, cwd=tmp_path, env=with_token)
            assert done.returncode == 0, done.stderr
            assert_unseen(" ".join(arguments), done.stdout + done.stderr)
        done = dataflow("check", cwd=tmp_path, env=without)
        assert done.returncode == 2
        assert "set TWITCH_OAUTH_TOKEN" in done.stdout + done.stderr
        done = dataflow("doctor", "--data", tmp_path / "data", cwd=tmp_path, env=with_token)
        assert "TWITCH_OAUTH_TOKEN is set" in done.stdout
        assert "takes our account" in done.stdout
        assert_unseen("doctor", done.stdout + done.stderr)
        done = dataflow("doctor", "--data", tmp_path / "data", cwd=tmp_path, env=with_token | {"TWITCH_OAUTH_TOKEN": "bad"})
        assert done.returncode == 1
        assert "put a new token into TWITCH_OAUTH_TOKEN" in done.stdout


def test_the_file_wins_over_the_variable(run_program: RunProgram, tmp_path: Path) -> None:
    happenings = chat.messages(ROOM, 1, 5)
    secret = tmp_path / "secret"
    secret.write_text(f"oauth:{TOKEN}\n")
    with eventsub(happenings, [PLAY]) as there:
        settings = there.settings("not-this-one") | {"TWITCH_OAUTH_TOKEN_FILE": str(secret)}
        wait_each_once(run_program("--source", DALLAS, env=settings), happenings)


def test_a_file_that_others_can_read_is_told(run_program: RunProgram, tmp_path: Path) -> None:
    happenings = chat.messages(ROOM, 1, 5)
    file = tmp_path / ".env.development"
    file.write_text(f"TWITCH_OAUTH_TOKEN={TOKEN}\nTWITCH_NICKNAME={READER.login}\n")
    file.chmod(0o644)
    with eventsub(happenings, [PLAY]) as there:
        settings = {name: value for name, value in there.settings().items() if name != "TWITCH_OAUTH_TOKEN"}
        instance = run_program("--source", DALLAS, env=settings)
        wait_each_once(instance, happenings)
        (told,) = [entry for entry in instance.log if "chmod 600" in entry["message"]]
        assert told["level"] == "warning"
        assert_unseen("the log", repr(instance.log))
