"""A scripted Twitch chat: IRC over WebSocket, as dev.twitch.tv/docs/chat/irc says, on the `websockets` library.

It answers CAP, PASS and NICK (accounts with a token each; justinfan<digits> with any), JOIN, PART, PING and QUIT, keeps
Twitch's limits (20 JOINs and 20 logins in 10 s, 100 rooms), leaves out tags and commands that were not asked for, and
misbehaves only where its script says so. scripted.py has the steps, and:

    handshake  (first step) cap: NAK or silent; login: failed, improper or silent; roomstate: false (channels are joined
               without one); join: silent; flood: disconnect (where too many JOINs would only be passed over)
    play     from, to (numbers of happenings) or order (a list of them); each waits until its channel is joined.
             rate (messages a second, 0: as fast as they go); lines: how many of them go into a message (1);
             cut: messages of that many characters, wherever lines end.  `as` and `size` as everywhere.
    line     line: one line as it is, with its end
    bytes    hex: a text message of any bytes, with its end
    long     bytes: a PRIVMSG of that length
    ping_line  PING as Twitch sends it; goes on when the PONG is there
    reconnect  the line that announces a close
    joined   waits until `channels` have been joined on this connection (all that it asks for are: count)

A session lets `joined:N` go (as `wait` names it) when it, the Nth, has sent its first ROOMSTATE.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import deque
from typing import Any

from servers.scripted import ScriptedServer, ScriptedSession, Step
from servers.twitch_chat import Happening, Person, person, room_state, tags
from websockets.asyncio.server import ServerConnection

CAPABILITIES = {"twitch.tv/membership", "twitch.tv/tags", "twitch.tv/commands"}
COMMANDS = {"CLEARCHAT", "CLEARMSG", "GLOBALUSERSTATE", "HOSTTARGET", "NOTICE", "RECONNECT", "ROOMSTATE", "USERNOTICE",
            "USERSTATE", "WHISPER"}  # fmt: skip
LIMIT_S, JOINS, LOGINS, ROOMS = 10, 20, 20, 100


class Limit:
    """So many in so many seconds."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.recent: deque[float] = deque()

    def take(self) -> bool:
        now = time.monotonic()
        while self.recent and now - self.recent[0] > LIMIT_S:
            self.recent.popleft()
        if len(self.recent) >= self.count:
            return False
        self.recent.append(now)
        return True


class IrcSession(ScriptedSession):
    server: TwitchIrc

    def __init__(self, server: Any, connection: ServerConnection, number: int, steps: list[Step], path: str) -> None:
        super().__init__(server, connection, number, steps, path)
        self.handshake: Step = steps[0] if steps and steps[0]["step"] == "handshake" else {}
        self.capabilities: set[str] = set()
        self.password = self.nick = ""
        self.registered = self.left = False
        self.joined: dict[str, asyncio.Event] = {}
        self.ponged = asyncio.Event()
        self.ping_payload = "tmi.twitch.tv"

    # ---- what the client says ----

    async def on_message(self, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        for line in filter(None, re.split(r"[\r\n]+", text)):
            if self.left:
                return
            command, _, rest = line.partition(" ")
            answer = getattr(self, "_on_" + command.lower(), None)
            self.server.note("command", number=self.number, command=command.upper(), rest=rest)
            if answer:
                await answer(rest)
            elif self.registered:
                await self._say(f":tmi.twitch.tv 421 {self.nick} {command} :Unknown command")

    async def _say(self, *lines: str) -> None:
        kept = [line for line in map(self._as_asked, lines) if line]
        if kept:
            await self.connection.send("".join(line + "\r\n" for line in kept))

    def _as_asked(self, line: str) -> str:
        """The line as the client's capabilities have it; empty: not at all."""
        command = re.match(r"(?:@\S+ )?(?::\S+ )?(\w+)", line)
        if "twitch.tv/commands" not in self.capabilities and command and command[1] in COMMANDS and self.registered:
            return ""
        return line if "twitch.tv/tags" in self.capabilities else re.sub(r"^@\S+ +", "", line)

    async def _on_cap(self, rest: str) -> None:
        if self.handshake.get("cap") == "silent" or not rest.startswith("REQ"):
            return
        names = rest.partition(":")[2].split() or rest.split()[1:]
        refused = self.handshake.get("cap") == "NAK" or not CAPABILITIES.issuperset(names)
        if not refused:
            self.capabilities.update(names)
        await self._say(f":tmi.twitch.tv CAP * {'NAK' if refused else 'ACK'} :{' '.join(names)}")

    async def _on_pass(self, rest: str) -> None:
        self.password = rest.strip().removeprefix(":")
        await self._register()

    async def _on_nick(self, rest: str) -> None:
        self.nick = rest.strip().lower()
        await self._register()

    async def _register(self) -> None:
        anonymous = re.fullmatch(r"justinfan\d+", self.nick) is not None
        if self.registered or not self.nick or not (self.password or anonymous):
            return
        self.server.note("login", number=self.number, nick=self.nick, anonymous=anonymous)
        if not self.server.logins.take():
            self.server.note("login_flood", number=self.number)
            await self._leave(1008, "too many logins")
            return
        fault = self.handshake.get("login")
        if fault == "silent":
            return
        if fault == "improper" or not (anonymous or self.password.startswith("oauth:")):
            await self._refuse_login("Improperly formatted auth")
        elif fault == "failed" or not (anonymous or self.server.accounts.get(self.nick) == self.password.removeprefix("oauth:")):
            await self._refuse_login("Login authentication failed")
        else:
            await self._welcome(anonymous)

    async def _refuse_login(self, why: str) -> None:
        self.server.note("login_refused", number=self.number)
        await self._say(f":tmi.twitch.tv NOTICE * :{why}")
        await self._leave(1000)

    async def _welcome(self, anonymous: bool) -> None:
        self.registered, nick = True, self.nick
        numerics = ["001 {} :Welcome, GLHF!", "002 {} :Your host is tmi.twitch.tv", "003 {} :This server is rather new",
                    "004 {} :-", "375 {} :-", "372 {} :You are in a maze of twisty passages.", "376 {} :>"]  # fmt: skip
        state = {"badge-info": "", "badges": "", "color": "", "display-name": nick, "emote-sets": "0", "user-id": person(nick).id,
                 "user-type": ""}  # fmt: skip
        lines = [":tmi.twitch.tv " + numeric.format(nick) for numeric in numerics]
        await self._say(*lines, *([] if anonymous else [f"{tags(state)} :tmi.twitch.tv GLOBALUSERSTATE"]))

    async def _on_join(self, rest: str) -> None:
        for name in rest.split(" ")[0].lower().split(","):
            if not self.registered or self.left:
                return
            if not self.server.joins.take() or len(self.joined) >= ROOMS:
                self.server.note("join_flood", number=self.number, channel=name)
                if self.handshake.get("flood") == "disconnect":
                    await self._leave(1008, "too many joins")
                    return
                continue
            await self._join(name.removeprefix("#"))

    async def _join(self, name: str) -> None:
        room = self.server.rooms.get(name)
        self.server.note("join", number=self.number, channel=name)
        if name in self.server.suspended:
            text = "This channel does not exist or has been suspended."
            await self._say(f"@msg-id=msg_channel_suspended :tmi.twitch.tv NOTICE #{name} :{text}")
        elif room and self.handshake.get("join") != "silent":
            await self._say(*self._joining_lines(room))
            self._event(name).set()
            self.server.release(f"joined:{self.number}")

    def _joining_lines(self, room: Person) -> list[str]:
        nick, channel = self.nick, f"#{room.login}"
        host = f"{nick}.tmi.twitch.tv"
        lines = [f":{nick}!{nick}@{host} JOIN {channel}", f":{host} 353 {nick} = {channel} :{nick}"]
        lines.append(f":{host} 366 {nick} {channel} :End of /NAMES list")
        if not nick.startswith("justinfan"):
            state = {"badge-info": "", "badges": "", "color": "", "display-name": nick, "emote-sets": "0", "mod": "0",
                     "subscriber": "0", "user-type": ""}  # fmt: skip
            lines.append(f"{tags(state)} :tmi.twitch.tv USERSTATE {channel}")
        if self.handshake.get("roomstate", True):
            lines.append(room_state(room, 0).line)
        return lines

    async def _on_part(self, rest: str) -> None:
        for name in rest.split(" ")[0].lower().removeprefix("#").split(",#"):
            if name in self.joined:
                self.joined.pop(name)
                await self._say(f":{self.nick}!{self.nick}@{self.nick}.tmi.twitch.tv PART #{name}")

    async def _on_ping(self, rest: str) -> None:
        await self._say(f":tmi.twitch.tv PONG tmi.twitch.tv {rest}".rstrip())

    async def _on_pong(self, rest: str) -> None:
        self.server.note("pong_line", number=self.number, payload=rest)
        if rest.removeprefix(":") in (self.ping_payload, ""):
            self.ponged.set()

    async def _on_quit(self, rest: str) -> None:
        await self._leave(1000)

    async def _leave(self, code: int, reason: str = "") -> None:
        """What the client still says is not heard."""
        self.left = True
        await self.connection.close(code, reason)

    # ---- steps ----

    def _event(self, channel: str) -> asyncio.Event:
        return self.joined.setdefault(channel, asyncio.Event())

    async def step_handshake(self, step: Step) -> None:
        """Counts from the first message on."""

    async def step_joined(self, step: Step) -> None:
        for channel in step["channels"]:
            await self._event(channel).wait()

    async def step_play(self, step: Step) -> None:
        order = step.get("order") or range(step.get("from", 0), step.get("to", len(self.server.happenings)))
        lines = [line for number in order if (line := await self._line_of(self.server.happenings[number]))]
        for text in _messages(lines, step.get("lines", 1), step.get("cut", 0)):
            await self.send(text, step)
            if step.get("rate"):
                await asyncio.sleep(1 / step["rate"])

    async def _line_of(self, happening: Happening) -> str:
        await self._event(happening.room.login).wait()
        return self._as_asked(happening.line)

    async def step_line(self, step: Step) -> None:
        await self.send(step["line"] + "\r\n", step)

    async def step_bytes(self, step: Step) -> None:
        await self.send_unchecked(bytes.fromhex(step["hex"]) + b"\r\n")

    async def step_long(self, step: Step) -> None:
        head = f":long!long@long.tmi.twitch.tv PRIVMSG #{next(iter(self.server.rooms))} :"
        await self.connection.send(head + "x" * (step["bytes"] - len(head)) + "\r\n")

    async def step_ping_line(self, step: Step) -> None:
        self.ping_payload = step.get("payload", "tmi.twitch.tv")
        self.ponged.clear()
        await self.connection.send(f"PING :{self.ping_payload}\r\n")
        await self.ponged.wait()

    async def step_reconnect(self, step: Step) -> None:
        await self.connection.send(":tmi.twitch.tv RECONNECT\r\n")


def _messages(lines: list[str], count: int, cut: int) -> list[str]:
    """Lines with their ends, so many in a message, or cut anywhere."""
    ended = [line + "\r\n" for line in lines]
    if cut:
        stream = "".join(ended)
        return [stream[at : at + cut] for at in range(0, len(stream), cut)]
    return ["".join(ended[at : at + count]) for at in range(0, len(ended), count)]


class TwitchIrc(ScriptedServer):
    """rooms: the channels that exist; suspended: those that did; accounts: tokens by login."""

    session_type = IrcSession

    def __init__(
        self,
        happenings: list[Happening],
        sessions: list[list[Step]] | None = None,
        *,
        rooms: list[Person] | None = None,
        suspended: tuple[str, ...] = (),
        accounts: dict[str, str] | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(sessions, port, tls)
        self.happenings = happenings
        there = [*(rooms or []), *(happening.room for happening in happenings)]
        self.rooms = {room.login: room for room in there}
        self.suspended, self.accounts = suspended, accounts or {}
        self.joins, self.logins = Limit(JOINS), Limit(LOGINS)

    def choose_subprotocol(self, offered: list[str]) -> str | None:
        return "irc" if "irc" in offered else None

    def commands(self, name: str) -> list[str]:
        """What clients said after that command, in order."""
        return [entry["rest"] for entry in self.logged("command") if entry["command"] == name]
