// A stand-in for the program's HTTP side, to see the page in every state: it serves the bundled page, the REST
// answers and /live with made-up chat and prices, and can be stopped and started again on the same port.
import {createServer} from "node:http";
import {gzipSync} from "node:zlib";
import {WebSocketServer} from "ws";
import {buildPage} from "../../../web/build.mjs";

export const contentSecurityPolicy =
  "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const symbols = [
  ["BTC-USDT", 84123.1, 0.1], ["ETH-USDT", 2893.42, 0.01], ["SOL-USDT", 131.77, 0.01],
  ["XRP-USDT", 2.1843, 0.0001], ["DOGE-USDT", 0.15212, 0.00001], ["ADA-USDT", 0.4461, 0.0001],
];
const exchanges = ["binance", "simulated"];
const channels = ["speedruns", "chessclub", "retro_radio"];
const users = ["mika_plays", "NoraNorth", "turbo_tom", "pixelpilot", "Ünïcode", "quietcat", "byte_me", "hexhex", "lenalive", "grandmaster_g"];
const colors = ["#FF0000", "#0000FF", "#8A2BE2", "#2E8B57", "", "#FF69B4", "#1E90FF", "#B22222", "#00FF7F", ""];
const texts = [
  "that was clean", "GG", "what split is this?", "first time here, hi everyone", "KEKW KEKW", "how does the clock increment work again",
  "LUL", "he missed the fork on e5, the knight was pinned and nobody in chat saw it coming", "song name?", "PogChamp",
  "hydrate!", "is this the world record pace", "no way", "clip it", "the audio is a bit low for me", "o7",
];

function time(ms) {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

export class FakeServer {
  constructor({port = 0, chatPerSecond = 8, tradesPerSecond = 60, extraEvents = []} = {}) {
    Object.assign(this, {port, chatPerSecond, tradesPerSecond, extraEvents});
    this.events = {chat_stream: [], market_stream: []};
    this.counts = {chat: 0, market: 0};
    this.sequence = 0;
    this.random = 12345;
    this.frozen = false; // holds all connections and says nothing, as a stopped process does
    this.prices = new Map(symbols.map(([name, price]) => [name, price]));
    this.startedMs = Date.now();
  }

  // Deterministic, 0 to 1.
  chance() {
    this.random = (Math.imul(this.random, 1664525) + 1013904223) >>> 0;
    return this.random / 2 ** 32;
  }

  pick(list) {
    return list[Math.floor(this.chance() * list.length)];
  }

  async start() {
    this.files ??= new Map((await buildPage()).map((file) => [file.path, file]));
    if (this.sequence === 0) this.makePast();
    this.server = createServer((request, response) => this.answer(request, response));
    this.sockets = new WebSocketServer({server: this.server, path: "/live"});
    this.sockets.on("connection", (socket) => socket.on("message", () => this.push("status", this.status(), [socket])));
    await new Promise((done) => this.server.listen(this.port, "127.0.0.1", done));
    this.port = this.server.address().port;
    this.timers = [
      setInterval(() => this.frozen || this.makeSome(Date.now(), 0.05), 50),
      setInterval(() => this.frozen || this.push("status", this.status()), 1000),
    ];
    return `http://127.0.0.1:${this.port}`;
  }

  async stop() {
    this.timers.forEach(clearInterval);
    for (const socket of this.sockets.clients) socket.terminate();
    this.sockets.close();
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  makePast() {
    for (let ms = Date.now() - 45_000; ms < Date.now(); ms += 50) this.makeSome(ms, 0.05);
    this.extraEvents.forEach((event) => this.emit(event));
  }

  makeSome(ms, seconds) {
    for (let left = this.chatPerSecond * seconds; this.chance() < left; left--) this.emit(this.chat(ms));
    for (let left = this.tradesPerSecond * seconds; this.chance() < left; left--) this.emit(this.trade(ms));
  }

  emit(event) {
    const topic = event.source === "twitch" ? "chat_stream" : event.source === "market" ? "market_stream" : "alerts";
    if (topic !== "alerts") {
      this.events[topic].push(event);
      if (this.events[topic].length > 3000) this.events[topic].splice(0, 1000);
      this.counts[event.source === "twitch" ? "chat" : "market"]++;
    }
    this.push(topic, event);
  }

  push(topic, event, sockets = this.sockets?.clients ?? []) {
    const text = JSON.stringify({topic, event});
    for (const socket of sockets) if (socket.readyState === 1) socket.send(text);
  }

  chat(ms) {
    const index = Math.floor(this.chance() * users.length);
    const user = users[index];
    const base = {channel: this.pick(channels), username: user.toLowerCase(), display_name: user, user_id: String(1000 + index)};
    const make = (kind, message, metadata = {}) => ({
      schema: 1, id: `twitch:fake-${++this.sequence}`, source: "twitch", timestamp: time(ms), received: time(ms),
      payload: {kind, ...base, message, metadata}, anomaly: {isAnomaly: false},
    });
    const roll = this.chance();
    const last = this.events.chat_stream.at(-3);
    if (roll < 0.015) return make("raid", "", {viewers: 40 + Math.floor(this.chance() * 900)});
    if (roll < 0.03) return make("subscription", "love the stream", {months: 1 + Math.floor(this.chance() * 30)});
    if (roll < 0.038) return make("timeout", "", {duration_seconds: 600});
    if (roll < 0.042) return make("ban", "");
    if (roll < 0.07 && last) return make("delete", "", {target_message_id: last.id.replace("twitch:", "")});
    if (roll < 0.075) return make("announcement", "Tournament starts in ten minutes");
    const badges = index === 1 ? ["moderator/1"] : index % 3 === 0 ? ["subscriber/12"] : index === 4 ? ["vip/1"] : [];
    return make("message", this.pick(texts), {badges, color: colors[index], first_message: this.chance() < 0.02});
  }

  trade(ms) {
    const [symbol, , tick] = this.pick(symbols);
    const exchange = this.pick(exchanges);
    const price = this.prices.get(symbol) * (1 + (this.chance() - 0.5) * 0.0006);
    this.prices.set(symbol, price);
    const shown = exchange === "simulated" ? price * 1.0004 : price;
    const id = ++this.sequence;
    return {
      schema: 1, id: `${exchange}:${symbol}:agg:${id}`, source: "market", timestamp: time(ms), received: time(ms),
      payload: {
        kind: "trade", exchange, symbol, price: Number((Math.round(shown / tick) * tick).toFixed(6)),
        volume: Number((this.chance() ** 3 * 4).toFixed(5)), side: this.chance() < 0.5 ? "buy" : "sell", trade_id: id,
      },
      anomaly: {isAnomaly: false},
    };
  }

  gap(symbol, fromMs, toMs) {
    return {
      schema: 1, id: `binance:${symbol}:gap:${++this.sequence}`, source: "market", timestamp: time(toMs),
      payload: {
        kind: "gap", exchange: "binance", symbol, from: time(fromMs), to: time(toMs), first_missing: 1, last_missing: 38,
        count: 38, recovered: false, reason: "connection lost",
      },
      anomaly: {isAnomaly: false},
    };
  }

  sources() {
    const ms = Date.now();
    const source = (name, kind, state, age, counts) => ({
      name, kind, state, since: time(this.startedMs), last_event: time(ms - age * 1000), age_seconds: age,
      events: 0, rejected: 0, duplicates: 0, filtered: 0, gaps: 0, missing: 0, reconnects: 0, rate: 0, error: null, ...counts,
    });
    return {sources: [
      source("binance:BTC-USDT,ETH-USDT", "binance", "live", 0.1, {events: this.counts.market, rate: this.tradesPerSecond, gaps: 1, missing: 38, duplicates: 12, reconnects: 1}),
      source("simulated:chat", "simulated", "live", 0.3, {events: this.counts.chat, rate: this.chatPerSecond, rejected: 3}),
      source("twitch-irc:speedruns", "twitch-irc", "backing_off", 42, {events: 1841, reconnects: 4, error: "the server closed the connection"}),
      source("recording:demo.jsonl", "recording", "ended", 310, {events: 50_000}),
    ]};
  }

  status() {
    const total = this.counts.chat + this.counts.market;
    const stage = (name, counts) => ({name, in: 0, created: 0, out: 0, rejected: 0, duplicate: 0, filtered: 0, late: 0, dropped: 0, pending: 0, ...counts});
    return {
      version: "0.1.0", ready: true, problem: null, uptime_seconds: (Date.now() - this.startedMs) / 1000,
      stages: [
        stage("source", {in: total + 14, created: 1, out: total, rejected: 3, duplicate: 12}),
        stage("log", {in: total + 2, out: total, pending: 2}),
        stage("index", {in: total, out: total}),
        stage("serve", {in: total, out: total}),
      ],
      log: {kind: "embedded", first_offset: 0, end_offset: total, size_bytes: total * 311, segments: 1, records_appended: total, syncs: Math.ceil(total / 20), last_sync_ms: 1.84},
      store: {kind: "sqlite", index_rows: total, documents: 4, size_bytes: total * 61},
    };
  }

  answer(request, response) {
    const url = new URL(request.url, "http://localhost");
    const file = this.files.get(url.pathname);
    const headers = {"content-security-policy": contentSecurityPolicy, "x-content-type-options": "nosniff"};
    if (file) {
      response.writeHead(200, {...headers, "content-type": file.type, "content-encoding": "gzip"});
      response.end(gzipSync(file.body));
      return;
    }
    if (this.frozen) return;
    const answers = {
      "/api/v1/events": () => ({events: (this.events[url.searchParams.get("topic")] ?? []).slice(-Number(url.searchParams.get("limit") ?? 100)), next: null}),
      "/api/v1/sources": () => this.sources(),
      "/api/v1/status": () => this.status(),
    };
    const make = answers[url.pathname];
    response.writeHead(make ? 200 : 404, {...headers, "content-type": "application/json"});
    response.end(make ? JSON.stringify(make()) : '{"error":"not found"}');
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const server = new FakeServer({port: Number(process.argv[2] ?? 8590)});
  console.log(await server.start());
}
