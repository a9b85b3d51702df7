import assert from "node:assert/strict";
import {test} from "node:test";
import {badgesOf, ChatModel, keptLines, matches, systemText, type ChatLine} from "../src/chat_model.ts";
import {bucketMs, keptMs, keptSymbols, MarketModel} from "../src/market_model.ts";
import {readEvent, readFigures, readSources, readStages, stageImbalance, type ChatEvent, type MarketEvent} from "../src/schema.ts";

const start = Date.parse("2026-11-23T22:20:00Z");
let sequence = 0;

function chatEvent(kind: string, fields: object = {}, id = `twitch:${++sequence}`): ChatEvent {
  const payload = {kind, channel: "one", username: "ann", display_name: "Ann", message: "hello", metadata: {}, ...fields};
  return readEvent({schema: 1, id, source: "twitch", timestamp: "2026-11-23T22:20:06.123456Z", payload}) as ChatEvent;
}

function trade(offsetMs: number, price: number, fields: object = {}): MarketEvent {
  const payload = {kind: "trade", exchange: "binance", symbol: "BTC-USDT", price, volume: 2, side: "buy", ...fields};
  return readEvent({schema: 1, id: `t${++sequence}`, source: "market", timestamp: new Date(start + offsetMs).toISOString(), payload}) as MarketEvent;
}

const arrival = (atMs: number) => ({atMs, live: true});
const ignore = (): void => undefined;

test("events that lack what they need are refused, wrong fields left out", () => {
  for (const value of [null, 1, "x", [], {}, {payload: 1}, {id: "a", source: "twitch", timestamp: "no", payload: {kind: "message"}},
    {id: "", source: "twitch", timestamp: "2026-11-23T22:20:06Z", payload: {kind: "message"}}, {id: "a", source: "other", timestamp: "2026-11-23T22:20:06Z", payload: {kind: "x"}}]) {
    assert.equal(readEvent(value), undefined, JSON.stringify(value));
  }
  const event = chatEvent("message", {channel: 7, message: {a: 1}, metadata: "no"});
  assert.deepEqual([event.channel, event.message, event.metadata], ["", "", {}]);
  assert.equal(event.timeMs, Date.parse("2026-11-23T22:20:06.123Z"));
});

test("what a moderator took down before the page asked is struck from the start", () => {
  const chat = new ChatModel();
  const read = (moderation: unknown, metadata: object = {}): ChatEvent =>
    readEvent({schema: 1, id: `twitch:m${++sequence}`, source: "twitch", timestamp: "2026-11-23T22:20:06Z", moderation,
      payload: {kind: "message", channel: "one", username: "ann", message: "hello", metadata}}) as ChatEvent;
  const events = [read({state: "deleted", at: "2026-11-23T22:20:07Z", by: "x"}), read({state: "timed_out"}), read({state: "constructor"}),
    read("banned"), read(undefined), read(undefined, {erased: true})];
  const lines = events.map((event) => chat.add(event, {atMs: start, live: false}, ignore));
  assert.deepEqual(lines.map((line) => line?.removed), ["deleted", "timed out", "", "", "", "erased"]);
  assert.equal(chat.totals.removed, 3);
  assert.equal(chat.channels.get("one")?.removed, 3);
});

test("an event that comes twice counts once", () => {
  const chat = new ChatModel();
  const event = chatEvent("message");
  assert.ok(chat.add(event, arrival(start), ignore));
  assert.equal(chat.add(event, arrival(start), ignore), undefined);
  assert.equal(chat.lines.length, 1);
});

test("deletions, time-outs and clears take down the lines they mean", () => {
  const chat = new ChatModel();
  const changed: ChatLine[] = [];
  const add = (event: ChatEvent): ChatLine | undefined => chat.add(event, arrival(start), (line) => changed.push(line));
  const first = add(chatEvent("message", {}, "twitch:first"))!;
  const second = add(chatEvent("message"))!;
  const bobs = add(chatEvent("message", {username: "bob"}))!;
  const elsewhere = add(chatEvent("message", {channel: "two"}))!;
  assert.equal(add(chatEvent("delete", {metadata: {target_message_id: "first"}})), undefined);
  assert.deepEqual([first.removed, second.removed], ["deleted", ""]);
  add(chatEvent("timeout"));
  assert.deepEqual([first.removed, second.removed, bobs.removed], ["deleted", "timed out", ""]);
  const bobsToo = add(chatEvent("message", {username: "bob"}))!;
  const cats = add(chatEvent("message", {username: "cat"}))!;
  add(chatEvent("clear", {username: "cat"})); // as EventSub tells of a time-out: that user's messages
  assert.deepEqual([bobs.removed, cats.removed], ["", "cleared"]);
  add(chatEvent("clear", {username: ""}));
  assert.deepEqual([bobs.removed, elsewhere.removed], ["chat cleared", ""]);
  assert.deepEqual(changed, [first, second, cats, bobs, bobsToo]);
  assert.deepEqual(chat.totals, {removed: 5, punished: 1});
});

test("chat is bounded, and a deletion of what has left does nothing", () => {
  const chat = new ChatModel();
  for (let index = 0; index < keptLines + 50; index++) chat.add(chatEvent("message", {channel: `c${index}`}, `twitch:m${index}`), arrival(start), ignore);
  chat.add(chatEvent("delete", {metadata: {target_message_id: "m3"}}), arrival(start), ignore);
  assert.equal(chat.lines.length, keptLines);
  assert.equal(chat.channels.size, 200);
  assert.equal(chat.totals.removed, 0);
});

test("the filter looks at channel, text and both names", () => {
  const line = new ChatModel().add(chatEvent("message", {message: "Good GAME"}), arrival(start), ignore)!;
  const hit = (channel: string, text: string): boolean => matches(line, {channel, text});
  assert.deepEqual([hit("", ""), hit("one", "game"), hit("", "ann"), hit("two", "game"), hit("", "bad")], [true, true, true, false, false]);
});

test("badges in each form that records use", () => {
  const badges = (metadata: object) => badgesOf(chatEvent("message", {metadata}));
  assert.deepEqual(badges({badges: ["moderator/1", "subscriber/12"]}), ["moderator", "subscriber"]);
  assert.deepEqual(badges({badges: "broadcaster/1,vip/1"}), ["broadcaster", "vip"]);
  assert.deepEqual(badges({badges: {subscriber: "3"}}), ["subscriber"]);
  assert.deepEqual(badges({badges: [{set_id: "vip"}, null, 7]}), ["vip"]);
  assert.deepEqual(badges({moderator: true, first_message: true}), ["moderator", "first"]);
  assert.deepEqual(badges({badges: 3}), []);
});

test("system lines say what happened", () => {
  assert.equal(systemText(chatEvent("raid", {metadata: {viewers: 40}}), "Ann"), "Ann raids with 40 viewers");
  assert.equal(systemText(chatEvent("timeout", {metadata: {duration_seconds: 600}}), "Ann"), "Ann was timed out for 600 s");
  assert.equal(systemText(chatEvent("gap", {reason: "connection lost"}), "Ann"), "Messages may be missing: connection lost");
});

test("trades fall into half seconds; the last price and its direction follow event time", () => {
  const market = new MarketModel();
  market.add(trade(0, 100), arrival(start + 10));
  market.add(trade(100, 101), arrival(start + 110));
  market.add(trade(50, 90), arrival(start + 120)); // late: counts as volume, moves nothing
  market.add(trade(700, 99), arrival(start + 710));
  const state = market.symbols.get("BTC-USDT")!;
  const window = state.window(start, start + 1000);
  assert.deepEqual(window.times, [start / 1000, start / 1000 + 0.5, start / 1000 + 1]);
  assert.deepEqual(window.prices, [[101, 99, undefined]]);
  assert.deepEqual(window.volumes, [6, 2, 0]);
  assert.deepEqual([state.leader?.lastPrice, state.leader?.direction], [99, "down"]);
  assert.equal(state.change(start, start + 1000), 99 / 101 - 1);
});

test("the line begins with the price in force, but not after a gap", () => {
  const market = new MarketModel();
  market.add(trade(0, 100), arrival(start));
  market.add(trade(5000, 101), arrival(start + 5000));
  const state = market.symbols.get("BTC-USDT")!;
  assert.deepEqual(state.window(start + 4000, start + 5000).prices, [[100, undefined, 101]]);
  state.addGap({fromMs: start + 1000, toMs: start + 2000, text: ""});
  assert.deepEqual(state.window(start + 4000, start + 5000).prices, [[undefined, undefined, 101]]);
  state.addGap({fromMs: start + 1000, toMs: start + 4400, text: ""});
  assert.deepEqual(state.window(start + 4000, start + 5000).prices, [[null, undefined, 101]]);
});

test("quotes draw the middle until the first trade", () => {
  const market = new MarketModel();
  const quote = {kind: "quote", price: undefined, metadata: {bid: 99, ask: 101.5}};
  market.add(trade(0, 0, quote), arrival(start));
  const state = market.symbols.get("BTC-USDT")!;
  assert.deepEqual([state.leader?.lastPrice, state.leader?.traded, state.decimals], [100.25, false, 1]);
  market.add(trade(500, 102), arrival(start + 500));
  market.add(trade(1000, 0, quote), arrival(start + 1000));
  assert.deepEqual(state.window(start, start + 1000).prices, [[100.25, 102, undefined]]);
});

test("quotes keep all their digits, beside trades with fewer", () => {
  const market = new MarketModel();
  market.add(trade(0, 100.5), arrival(start));
  market.add(trade(1, 0, {exchange: "coinbase", kind: "quote", price: undefined, metadata: {bid: 0.0000012345, ask: 0.00000124}}), arrival(start));
  const state = market.symbols.get("BTC-USDT")!;
  assert.deepEqual(state.series.map((series) => series.decimals), [0, 10]);
});

test("an exchange has its colour whoever comes first", () => {
  const market = new MarketModel();
  const exchanges = ["other", "simulated", "coinbase", "binance", "another"];
  exchanges.forEach((exchange, index) => market.add(trade(index, 1, {exchange}), arrival(start)));
  const colors = Object.fromEntries(market.symbols.get("BTC-USDT")!.series.map((series) => [series.exchange, series.colorIndex]));
  assert.deepEqual(colors, {binance: 0, coinbase: 1, simulated: 2, other: 3, another: 4});
});

test("a gap breaks the line and is kept", () => {
  const market = new MarketModel();
  market.add(trade(0, 100), arrival(start));
  market.add(trade(2000, 100), arrival(start + 2000));
  const from = new Date(start + 500).toISOString();
  const to = new Date(start + 1500).toISOString();
  market.add(trade(2000, 0, {kind: "gap", from, to, count: 38}), arrival(start + 2000));
  const state = market.symbols.get("BTC-USDT")!;
  assert.deepEqual(state.window(start, start + 2000).prices, [[100, null, null, undefined, 100]]);
  assert.equal(state.gaps[0]?.text, "binance: 38 trades missing");
});

test("time on a chart goes on when the feed stops", () => {
  const market = new MarketModel();
  market.add(trade(0, 100), arrival(start + 5_000_000)); // the browser's clock is far from the exchange's
  assert.equal(market.symbols.get("BTC-USDT")!.timeNowMs(start + 5_030_000), start + 30_000);
});

test("a bucket is reused for a later time, and one trade from the future does not hide all that follow", () => {
  const market = new MarketModel();
  market.add(trade(0, 100), arrival(start));
  market.add(trade(keptMs, 200), arrival(start + keptMs));
  const state = market.symbols.get("BTC-USDT")!;
  assert.deepEqual(state.window(start, start + bucketMs).prices[0], [undefined, undefined]);
  market.add(trade(400 * keptMs, 999), arrival(start + keptMs));
  for (let index = 0; index < 10; index++) market.add(trade(keptMs + index * 100, 201), arrival(start + keptMs));
  assert.equal(state.leader?.lastPrice, 201);
});

test("symbols are bounded: the longest silent leaves", () => {
  const market = new MarketModel();
  for (let index = 0; index < keptSymbols + 10; index++) market.add(trade(index, 1, {symbol: `S${index}`}), arrival(start + index));
  assert.equal(market.symbols.size, keptSymbols);
  assert.equal(market.symbols.has("S0"), false);
  assert.equal(market.symbols.has(`S${keptSymbols + 9}`), true);
});

test("status and sources are read with what they lack left out", () => {
  const stage = readStages({stages: [{name: "log", in: 10, created: 1, out: 8, rejected: 1, pending: 2}, 7]});
  assert.equal(stage.length, 1);
  assert.equal(stageImbalance(stage[0]!), 0);
  assert.equal(stageImbalance(readStages({stages: [{name: "log", in: 10, out: 8}]})[0]!), 2);
  assert.deepEqual(readSources({sources: 3}), []);
  assert.equal(readSources({sources: [{name: "a", state: "live", events: 3, age_seconds: null}]})[0]?.ageSeconds, undefined);
  assert.deepEqual(readFigures({version: "1", stages: [], log: {size_bytes: 3, deep: {a: 1}}, lag: 4}), [
    {name: "general", figures: [{name: "lag", value: 4}]},
    {name: "log", figures: [{name: "size_bytes", value: 3}, {name: "deep a", value: 1}]},
  ]);
});
