// The live page: one WebSocket, three modules.
//
//   /live frames --> models (bounded, changed at once) --> views (drawn in the next animation frame)
//
// First data come by REST, so that the page is full within its first second; what the socket brings meanwhile waits
// until they are in, and ids drop what came twice.  A connection that comes back goes the same way.
import {ChatModel} from "./chat_model.ts";
import {ChatView} from "./chat_view.ts";
import {LiveConnection, type ConnectionState} from "./connection.ts";
import {byId, setData, setHidden, setPill, setText} from "./dom.ts";
import {formatAge, formatClock, formatRate} from "./format.ts";
import {MarketModel} from "./market_model.ts";
import {MarketView} from "./market_view.ts";
import {isObject, readEvent} from "./schema.ts";
import {SystemModel} from "./system_model.ts";
import {AlertList, SystemView} from "./system_view.ts";
import {startTheme} from "./theme.ts";

const topics = ["chat_stream", "market_stream", "alerts", "status"];
const quietAfterMs = 15_000;
const statusDueMs = 3_000; // it is pushed every second: without, the other side has stopped, whatever its connection does
const heldBackMost = 5_000;
const backlogMs = 500; // what the socket brings so soon after its opening was there before
const firstDataPatienceMs = 3_000;
const pollMs = 1_000;
const views = ["overview", "twitch", "market", "system"];

const chat = new ChatModel();
const market = new MarketModel();
const system = new SystemModel();

let connection: ConnectionState = {kind: "connecting"};
let everLive = false;
let lostAtMs = 0;
let openedAtMs = 0;
let heldBack: unknown[] | undefined = []; // events that wait for the first data; undefined: none need to
let loading = false;
let loaded = false;
let dropped = 0;
let firstVersion = "";
let frameAsked = false;

function redraw(): void {
  if (frameAsked) return;
  frameAsked = true;
  requestAnimationFrame(() => {
    frameAsked = false;
    render();
  });
}

const chatView = new ChatView(chat, redraw);
const marketView = new MarketView(market, redraw);
const systemView = new SystemView(system);
const alerts = new AlertList();

function take(value: unknown, live: boolean): void {
  const event = readEvent(value);
  if (!event) return;
  if (event.topic === "alert") alerts.add(event);
  else {
    const nowMs = Date.now();
    const arrival = {atMs: live ? nowMs : Math.min(nowMs, event.receivedMs), live};
    if (event.topic === "market") market.add(event, arrival);
    else {
      const line = chat.add(event, arrival, (changed) => chatView.changedLine(changed));
      if (line) chatView.added(line);
    }
  }
  redraw();
}

function takeStatus(body: unknown): void {
  system.setStatus(body, Date.now());
  if (firstVersion === "") firstVersion = system.version;
  redraw();
}

async function get(path: string): Promise<unknown> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), firstDataPatienceMs);
  try {
    const response = await fetch(path, {signal: stop.signal, headers: {accept: "application/json"}});
    return response.ok ? ((await response.json()) as unknown) : undefined;
  } catch {
    return undefined; // the connection's state says it, and the next round tries again
  } finally {
    clearTimeout(timer);
  }
}

async function takeEvents(topic: string, limit: number): Promise<void> {
  const body = await get(`/api/v1/events?topic=${topic}&limit=${limit}`);
  if (isObject(body) && Array.isArray(body["events"])) body["events"].forEach((event) => take(event, false));
}

// Asks for what the socket has not pushed lately.
async function poll(): Promise<void> {
  const nowMs = Date.now();
  const [sources, status] = await Promise.all([
    nowMs - system.sourcesAtMs < pollMs * 0.75 ? undefined : get("/api/v1/sources"),
    nowMs - system.statusAtMs < pollMs * 2.5 ? undefined : get("/api/v1/status"),
  ]);
  if (sources !== undefined) system.setSources(sources, Date.now());
  if (status !== undefined) takeStatus(status);
  redraw();
}

async function loadFirstData(): Promise<void> {
  if (loading) return;
  loading = true;
  await Promise.all([takeEvents("chat_stream", 200), takeEvents("market_stream", 1000), poll()]);
  loading = false;
  loaded = system.sourcesAtMs > 0 || system.statusAtMs > 0;
  const waiting = heldBack ?? [];
  heldBack = undefined;
  waiting.forEach((event) => take(event, false));
}

const live = new LiveConnection(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`, topics, {
  state(state) {
    const nowMs = Date.now();
    if (connection.kind === "live" && state.kind !== "live") {
      lostAtMs = nowMs;
      heldBack = [];
    }
    connection = state;
    if (state.kind === "live") {
      openedAtMs = nowMs;
      if (everLive) market.pageWasAway(lostAtMs, nowMs);
      if (everLive || !loaded) void loadFirstData();
      everLive = true;
    }
    redraw();
  },
  event(topic, event) {
    if (topic === "status") takeStatus(event);
    else if (heldBack === undefined) take(event, Date.now() - openedAtMs > backlogMs);
    else if (heldBack.push(event) > heldBackMost) heldBack.shift();
  },
  dropped(_topic, count) {
    dropped += count;
    redraw();
  },
});

function render(): void {
  const nowMs = Date.now();
  renderHeader(nowMs);
  chatView.render(nowMs);
  const chartsWait = marketView.render(nowMs);
  systemView.render(nowMs, dropped);
  renderStates(nowMs);
  if (chartsWait) redraw();
}

function renderHeader(nowMs: number): void {
  const pill = byId("connection");
  const words = {connecting: everLive ? "Reconnecting" : "Connecting", live: "Live", waiting: "Disconnected"};
  const silentMs = connection.kind === "live" ? nowMs - Math.max(openedAtMs, system.statusAtMs) : 0;
  const isSilent = silentMs > statusDueMs;
  setData(pill, "state", isSilent ? "warn" : connection.kind);
  setText(byId("connection-text"), isSilent ? `No answer for ${formatAge(Math.floor(silentMs / 1000))}` : words[connection.kind]);
  setText(byId("connection-wait"), connection.kind === "waiting" ? `retry in ${Math.max(0, Math.ceil((connection.retryAtMs - nowMs) / 1000))}\u202fs` : "");
  const lastMs = Math.max(chat.lastEventAtMs, market.lastEventAtMs);
  setText(byId("page-age"), lastMs === 0 ? "–" : `${formatAge((nowMs - lastMs) / 1000)} ago`);
  setData(byId("page-age"), "state", lastMs > 0 && nowMs - lastMs > quietAfterMs ? "warn" : "");
  setText(byId("page-rate"), formatRate(chat.rate.perSecond(nowMs) + market.rate.perSecond(nowMs)));
  setText(byId("clock"), formatClock(nowMs));

  const offline = connection.kind !== "live" && (everLive || connection.kind === "waiting");
  setData(document.body, "offline", String(offline));
  const updated = firstVersion !== "" && system.version !== firstVersion;
  const unready = system.ready === false;
  setHidden(byId("banner"), !offline && !unready && !updated);
  if (offline) setText(byId("banner"), lostAtMs === 0 ? "The program does not answer. The page connects by itself as soon as it does." :
    `Connection lost at ${formatClock(lostAtMs)}. What you see is from before; the page reconnects by itself.`);
  else if (unready) setText(byId("banner"), `The program is not ready: ${system.problem || "it is still starting"}.`);
  else if (updated) setText(byId("banner"), `The program is now version ${system.version}: reload this page to match it.`);
}

function renderStates(nowMs: number): void {
  const offline = connection.kind !== "live" && everLive;
  const pillOf = (id: string, lastMs: number): void => {
    if (offline) setPill(id, "waiting", "disconnected");
    else if (lastMs === 0) setPill(id, "waiting", "waiting");
    else if (nowMs - lastMs > quietAfterMs) setPill(id, "warn", `quiet for ${formatAge(Math.round((nowMs - lastMs) / 1000))}`);
    else setPill(id, "live", "live");
  };
  pillOf("chat-state", chat.lastEventAtMs);
  pillOf("market-state", market.lastEventAtMs);
  const verdict = offline ? {state: "waiting", text: "disconnected"} : systemView.verdict();
  setPill("system-state", verdict.state, verdict.text);
}

function showView(): void {
  const wanted = location.hash.slice(1);
  const view = views.includes(wanted) ? wanted : "overview";
  byId("main").dataset["view"] = view;
  for (const link of document.querySelectorAll<HTMLAnchorElement>("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  redraw();
}

addEventListener("hashchange", showView);
showView();
startTheme(() => {
  chatView.themeChanged();
  marketView.themeChanged();
  redraw();
});
live.connect();
void loadFirstData();
setInterval(redraw, 250);
setInterval(() => {
  if (document.visibilityState === "visible" && connection.kind === "live") void poll();
}, pollMs);
document.addEventListener("visibilitychange", redraw);
