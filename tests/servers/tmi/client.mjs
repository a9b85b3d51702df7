// A session of tmi.js, an independent client, with a Twitch chat on loopback: what it tells its listeners, as JSON lines.
// Usage: client.mjs PORT CHANNEL[,CHANNEL…] [LOGIN TOKEN].  Ends with its standard input.
import tmi from "tmi.js";

const [port, channels, username, password] = process.argv.slice(2);
const client = new tmi.Client({
  connection: { server: "127.0.0.1", port: Number(port), secure: false, reconnectInterval: 10 },
  options: { skipMembership: true, joinInterval: 300, skipUpdatingEmotesets: true },
  identity: username ? { username, password } : {},
  channels: channels.split(","),
  logger: { setLevel() {}, info() {}, warn: (text) => tell("warning", [text]), error: (text) => tell("error", [text]) },
});

function tell(event, values) {
  process.stdout.write(`${JSON.stringify({ event, values })}\n`);
}

const told = [
  "connected", "disconnected", "join", "roomstate", "message", "cheer", "subscription", "resub", "subgift",
  "submysterygift", "raided", "usernotice", "messagedeleted", "timeout", "ban", "clearchat", "slowmode", "notice",
  "whisper", "hosting", "reconnect", "globaluserstate",
];
for (const event of told) {
  client.on(event, (...values) => tell(event, values));
}
client.connect().catch((reason) => tell("refused", [String(reason)]));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
