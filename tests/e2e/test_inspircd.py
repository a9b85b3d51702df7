"""The plain layer of IRC against a real server, InspIRCd: Twitch's capabilities refused, the nick taken, a server that
throws out whoever says too much, one that goes down and comes back."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.conftest import RunProgram
from e2e.program import Event
from e2e.twitch import gaps, of_kind, wait_chat
from servers.certificates import LoopbackCertificates
from servers.inspircd import PROGRAM, InspIRCd, IrcUser
from servers.irc_gateway import IrcGateway

pytestmark = [
    pytest.mark.inspircd,
    pytest.mark.skipif(not PROGRAM, reason="InspIRCd is not installed: apt-get install inspircd"),
]
DALLAS = "twitch-irc:dallas"


def said(events: list[Event]) -> list[str]:
    return [event["payload"]["message"] for event in of_kind(events, "message")]


def settings(gateway: IrcGateway) -> dict[str, str]:
    return {"DATAFLOW_TWITCH_IRC_URL": gateway.url}


@pytest.fixture
def ann(tmp_path: Path) -> Iterator[tuple[InspIRCd, IrcUser]]:
    with InspIRCd(tmp_path / "irc") as server, IrcUser(server, "ann") as user:
        user.join("dallas")
        yield server, user


def test_capabilities_refused(run_program: RunProgram, ann: tuple[InspIRCd, IrcUser]) -> None:
    """Without tags there is still who said what where; a USER and the end of the negotiation make the login complete."""
    server, user = ann
    with IrcGateway(server.plain_port) as gateway:
        instance = run_program("--source", DALLAS, env=settings(gateway))
        user.wait_for("JOIN")
        texts = [f"message {number} \U0001f600 : ;" for number in range(50)] + [" two  spaces ", "\x01ACTION waves\x01"]
        user.say(*(f"PRIVMSG #dallas :{text}" for text in texts), "PRIVMSG #dallas :last")
        events = wait_chat(instance, lambda got: "last" in said(got), "what was said")
        assert said(events) == [*texts[:-1], "waves", "last"]
        (first, *_) = of_kind(events, "message")
        assert (first["payload"]["channel"], first["payload"]["username"]) == ("dallas", "ann")
        assert len({event["id"] for event in events}) == len(events)
        source = instance.source()
        assert (source["state"], source["rejected"], source["reconnects"]) == ("live", 0, 0)
        assert "refused twitch.tv/tags" in source["error"]


def test_tls(run_program: RunProgram, tmp_path: Path) -> None:
    certificates = LoopbackCertificates(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificates.authority))
    with (
        InspIRCd(tmp_path / "irc", certificates=certificates) as server,
        IrcUser(server, "ann") as user,
        IrcGateway(server.tls_port, trust) as gateway,
    ):
        user.join("dallas")
        instance = run_program("--source", DALLAS, env=settings(gateway))
        user.wait_for("JOIN")
        user.say("PRIVMSG #dallas :over TLS")
        assert said(wait_chat(instance, lambda got: bool(said(got)), "a message")) == ["over TLS"]


def test_a_nick_in_use_is_changed(run_program: RunProgram, ann: tuple[InspIRCd, IrcUser], tmp_path: Path) -> None:
    """Two instances with the same seed draw the same guest's name; the second takes another."""
    server, user = ann
    with IrcGateway(server.plain_port) as gateway:
        for number in range(2):
            directory = tmp_path / str(number)
            directory.mkdir()
            instance = run_program("--source", DALLAS, "--seed", "7", directory=directory, env=settings(gateway))
            user.wait_for("JOIN")
            user.say(f"PRIVMSG #dallas :hello {number}")
            events = wait_chat(instance, lambda got, at=number: f"hello {at}" in said(got), "a message")  # type: ignore[misc]
            assert events
        user.say("NAMES #dallas")
        names = user.wait_for(" 353 ")
        assert names.count("justinfan") == 2, names
        assert " 433 " in gateway.passed


def test_flood_limits(run_program: RunProgram, tmp_path: Path) -> None:
    """A server that throws out who says much at once: login and JOINs stay below it."""
    rooms = [f"room{number}" for number in range(15)]
    with (
        InspIRCd(tmp_path / "irc", flood=True) as server,
        IrcUser(server, "ann") as user,
        IrcGateway(server.plain_port) as gateway,
    ):
        user.join(rooms[-1])
        instance = run_program("--source", f"twitch-irc:{','.join(rooms)}", env=settings(gateway))
        user.wait_for("JOIN")
        user.say(f"PRIVMSG #{rooms[-1]} :in the last of them")
        assert said(wait_chat(instance, lambda got: bool(said(got)), "a message")) == ["in the last of them"]
        assert instance.source()["reconnects"] == 0
        assert "Excess Flood" not in gateway.passed


def test_pings_keep_the_connection(run_program: RunProgram, tmp_path: Path) -> None:
    with (
        InspIRCd(tmp_path / "irc", ping_s=1) as server,
        IrcUser(server, "ann") as user,
        IrcGateway(server.plain_port) as gateway,
    ):
        user.join("dallas")
        instance = run_program("--source", DALLAS, env=settings(gateway))
        user.wait_for("JOIN")
        for _ in range(4):
            user.wait_for("PING")
        user.say("PRIVMSG #dallas :still there")
        assert said(wait_chat(instance, lambda got: bool(said(got)), "a message")) == ["still there"]
        assert instance.source()["reconnects"] == 0


def test_shutdown_is_a_gap(run_program: RunProgram, tmp_path: Path) -> None:
    with InspIRCd(tmp_path / "irc") as server, IrcGateway(server.plain_port) as gateway:
        with IrcUser(server, "ann") as user:
            user.join("dallas")
            instance = run_program("--source", DALLAS, env=settings(gateway))
            user.wait_for("JOIN")
            user.say("PRIVMSG #dallas :before")
            wait_chat(instance, lambda got: said(got) == ["before"], "a message")
            user.say("OPER tester tester", "DIE down")
        server.wait_end()
        instance.wait_source(lambda s: s["state"] in ("backing_off", "connecting"), "the loss")
        server.start()
        with IrcUser(server, "ann") as user:
            user.join("dallas")
            instance.wait_source(lambda s: s["gaps"] == 1, "the gap")
            user.say("PRIVMSG #dallas :after")
            events = wait_chat(instance, lambda got: "after" in said(got), "a message after it")
        kinds = [event["payload"]["kind"] for event in events]
        assert kinds.count("gap") == 1
        assert [event["payload"].get("message") for event in events if event["payload"]["kind"] == "message"] == [
            "before",
            "after",
        ]
        assert kinds.index("gap") == 1
        assert gaps(events)[0]["payload"]["count"] is None
