// The page in headless Chromium.
//   node run.mjs                 against the stand-in server, and against the program named in DATAFLOW if any
//   node run.mjs --url ADDRESS   against a program that is already running
// Screenshots of every state are left in out/.
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {test} from "node:test";
import {withBrowser} from "./browser.mjs";
import {hostileEvents, hostileTexts} from "./corpus.mjs";
import {FakeServer} from "./fake_server.mjs";
import {withProgram} from "./program.mjs";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const out = new URL("./out/", import.meta.url).pathname;
const desktop = {viewport: {width: 1440, height: 900}};
const phone = {viewport: {width: 360, height: 740}, deviceScaleFactor: 2, hasTouch: true, isMobile: true};
const views = ["overview", "twitch", "market", "system"];

async function withFake(options, use) {
  const server = new FakeServer(options);
  const url = await server.start();
  try {
    return await use(url, server);
  } finally {
    await server.stop();
  }
}

// Opens the page, hands it to `use`, and fails if anything went wrong in it meanwhile.
async function onPage(url, options, use, allowed = /^$/) {
  await withBrowser(options, async (page, faults) => {
    await page.goto(url);
    await use(page);
    assert.deepEqual(faults.filter((fault) => !allowed.test(fault)), []);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
  });
}

const eventually = (page, condition, argument) => page.waitForFunction(condition, argument, {timeout: 20_000});
const dataArrived = (page) => eventually(page, () => document.querySelector(".line") && document.querySelector(".card .price")?.textContent);
const numberOf = (text) => Number(text.replace(/[^\d.]/g, ""));

async function seesDataArrive(page) {
  await dataArrived(page);
  const openedMs = await page.evaluate(() => Math.round(performance.now()));
  const newest = () => page.locator(".line").last().textContent();
  const before = await newest();
  await eventually(page, (text) => document.querySelector(".line:last-child")?.textContent !== text, before);
  const prices = await page.locator(".card .price").allTextContents();
  await eventually(page, (old) => [...document.querySelectorAll(".card .price")].some((node, index) => node.textContent !== old[index]), prices);
  await eventually(page, () => document.querySelector("#connection")?.dataset.state === "live");
  return openedMs;
}

async function seesSystem(page) {
  await eventually(page, () => document.querySelectorAll("#sources tbody tr").length > 0 && document.querySelectorAll("#ledger tbody tr").length > 0);
  const events = async () => numberOf((await page.locator('#sources td[data-label="Events"]').allTextContents()).join(""));
  const before = await events();
  await eventually(page, (old) => Number([...document.querySelectorAll('#sources td[data-label="Events"]')].map((node) => node.textContent).join("").replace(/\D/g, "")) > old, before);
  assert.ok((await page.locator("#figures .panel").count()) > 1, "figures of log and store");
}

// Not innerWidth: on a phone it grows with content that is too wide.
async function isNoWiderThanTheScreen(page, what) {
  const content = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(content <= page.viewportSize().width, `${what}: ${content} px wide on ${page.viewportSize().width}`);
}

async function fitsTheWidth(page) {
  for (const view of views) {
    await page.evaluate((hash) => { location.hash = hash; }, view);
    await eventually(page, (wanted) => document.querySelector("main").dataset.view === wanted, view);
    await isNoWiderThanTheScreen(page, view);
  }
}

async function isAccessible(page, name) {
  await page.addScriptTag({content: axeSource}).catch(() => page.evaluate(axeSource));
  for (const view of views) {
    await page.evaluate((hash) => { location.hash = hash; }, view);
    await eventually(page, (wanted) => document.querySelector("main").dataset.view === wanted, view);
    const {violations} = await page.evaluate(() => window.axe.run(document, {resultTypes: ["violations"]}));
    const serious = violations.filter((each) => ["serious", "critical"].includes(each.impact));
    assert.deepEqual(serious.map((each) => `${name} ${view}: ${each.id} ${each.nodes[0].html.slice(0, 200)} ${each.nodes[0].failureSummary}`), []);
  }
}

async function runsNothing(page) {
  await eventually(page, () => document.querySelectorAll(".line").length > 10 && document.querySelectorAll(".card").length > 5);
  const rows = await page.locator(".line").allTextContents();
  for (const text of hostileTexts.slice(0, 11)) {
    assert.ok(rows.some((row) => row.includes(text)), `shown as text: ${text}`);
  }
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.locator("main script, main img, main iframe, main style, main object, main a[href^=javascript]").count(), 0);
  await isNoWiderThanTheScreen(page, "hostile texts");
}

// What holds of any server: also of the program itself.
function commonCases(name, where) {
  test(`${name}: chat, prices and the system's state arrive and go on`, () => where((url) => onPage(url, {...desktop, colorScheme: "dark"}, async (page) => {
    const shownMs = await seesDataArrive(page);
    console.log(`# ${name}: first chat and price ${shownMs} ms after the page was opened`);
    await seesSystem(page);
    await page.screenshot({path: `${out}${name}-dark.png`});
  })));

  test(`${name}: nothing is wider than a phone`, () => where((url) => onPage(url, {...phone, colorScheme: "light"}, async (page) => {
    await dataArrived(page);
    await page.screenshot({path: `${out}${name}-phone.png`});
    await fitsTheWidth(page);
  })));

  for (const colorScheme of ["dark", "light"]) {
    test(`${name}: accessible in ${colorScheme} colours`, () => where((url) => onPage(url, {...desktop, colorScheme, bypassCSP: true}, async (page) => {
      await dataArrived(page);
      await isAccessible(page, name);
    })));
  }
}

function fakeCases() {
  const running = (use) => withFake({}, use);
  commonCases("stand-in", running);

  test("stand-in: hostile texts run nothing", () => withFake({extraEvents: hostileEvents(Date.now())}, (url) => onPage(url, desktop, async (page) => {
    await runsNothing(page);
    await page.screenshot({path: `${out}hostile.png`});
  })));

  test("stand-in: hostile names of sources and stages run nothing", () => withFake({}, (url, server) => {
    const {sources, status} = server;
    server.sources = () => ({sources: hostileTexts.map((text) => ({...sources.call(server).sources[0], name: text, kind: text, state: text, error: text}))});
    server.status = () => ({...status.call(server), version: hostileTexts[0], stages: hostileTexts.map((name) => ({name, in: 1, out: 1})), [hostileTexts[1]]: {[hostileTexts[2]]: hostileTexts[3]}});
    return onPage(url, desktop, async (page) => {
      await eventually(page, (count) => document.querySelectorAll("#sources tbody tr").length === count, hostileTexts.length);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
      assert.equal(await page.locator("main script, main img, main iframe, main style").count(), 0);
    });
  }));

  test("stand-in: without data the page says that it waits", () => withFake({chatPerSecond: 0, tradesPerSecond: 0}, (url) => onPage(url, desktop, async (page) => {
    await eventually(page, () => document.querySelector("#connection").dataset.state === "live");
    assert.equal(await page.locator("#chat-empty").textContent(), "Waiting for the first message");
    assert.equal(await page.locator("#market-empty").textContent(), "Waiting for the first trade");
    assert.ok(await page.locator("#market-empty").isVisible());
    await page.screenshot({path: `${out}empty.png`});
  })));

  test("stand-in: a server that goes away is said so, and found again when it comes back", () => running((url, server) => onPage(url, desktop, async (page) => {
    await seesDataArrive(page);
    await server.stop();
    await eventually(page, () => document.querySelector("#connection-text").textContent === "Disconnected");
    assert.match(await page.locator("#banner").textContent(), /^Connection lost at/);
    assert.equal(await page.locator("#chat-state .text").textContent(), "disconnected");
    await page.screenshot({path: `${out}disconnected.png`});
    await server.start();
    await eventually(page, () => document.querySelector("#connection").dataset.state === "live");
    await seesDataArrive(page);
    assert.ok(await page.locator("#banner").isHidden());
  }, /ERR_CONNECTION_REFUSED|WebSocket connection/)));

  test("stand-in: a page that is opened before the server answers its data connects later", () => running((url, server) => onPage(url, desktop, async (page) => {
    await dataArrived(page);
    await server.stop();
    await eventually(page, () => document.querySelector("#connection").dataset.state === "waiting");
    await server.start();
    await seesDataArrive(page);
  }, /ERR_CONNECTION_REFUSED|WebSocket connection/)));

  test("stand-in: a feed that falls silent is shown as quiet and its charts as stale", () => running((url, server) => withBrowser(desktop, async (page) => {
    await page.clock.install();
    await page.goto(url);
    await dataArrived(page);
    server.chatPerSecond = server.tradesPerSecond = 0;
    for (let step = 0; step < 3; step++) { // not at once: the page takes a silent connection for a dead one
      await page.clock.fastForward(12_000);
      await page.waitForResponse(/sources/);
      await eventually(page, () => document.querySelector("#connection").dataset.state === "live");
    }
    await eventually(page, () => /^quiet for/.test(document.querySelector("#chat-state .text").textContent) && /^quiet for/.test(document.querySelector("#market-state .text").textContent));
    await eventually(page, () => [...document.querySelectorAll(".tag.stale")].every((tag) => !tag.hidden));
    await page.screenshot({path: `${out}stale.png`});
  })));

  test("stand-in: a server that holds its connection and says nothing is not shown as live", () => running((url, server) => withBrowser(desktop, async (page) => {
    await page.goto(url);
    await dataArrived(page);
    await eventually(page, () => document.querySelector("#connection").dataset.state === "live");
    server.frozen = true;
    await eventually(page, () => document.querySelector("#connection").dataset.state === "warn");
    assert.match(await page.locator("#connection-text").textContent(), /^No answer for /);
    server.frozen = false;
    await eventually(page, () => document.querySelector("#connection").dataset.state === "live");
  })));

  test("stand-in: frames that make no sense are passed over", () => running((url, server) => onPage(url, desktop, async (page) => {
    await dataArrived(page);
    for (const socket of server.sockets.clients) {
      for (const text of ["", "{", "null", "[]", "7", '{"topic":3}', '{"topic":"chat_stream"}', '{"topic":"chat_stream","event":{"payload":[]}}', '{"topic":"status","event":[1]}',
        '{"topic":"market_stream","event":{"id":"x","source":"market","timestamp":"2026-11-23T22:20:06Z","payload":{"kind":"trade","price":"1","symbol":{}}}}', '{"topic":"chat_stream","dropped":12}']) socket.send(text);
      socket.send(Buffer.from([1, 2, 3]));
    }
    await eventually(page, () => document.querySelector("#figures").textContent.includes("12"));
    await seesDataArrive(page);
  })));

  test("stand-in: pause holds the feed still and Resume catches up", () => running((url) => onPage(url, desktop, async (page) => {
    await dataArrived(page);
    await page.locator("#chat-log").focus();
    await page.keyboard.press("p");
    await eventually(page, () => document.querySelector("#chat-pause").getAttribute("aria-pressed") === "true");
    const held = await page.locator(".line").last().textContent();
    await eventually(page, () => /[1-9]\d* new/.test(document.querySelector("#chat-resume").textContent));
    assert.equal(await page.locator(".line").last().textContent(), held);
    await page.locator("#chat-resume").click();
    await eventually(page, (text) => document.querySelector(".line:last-child").textContent !== text, held);
    assert.ok(await page.locator("#chat-resume").isHidden());
    await page.locator("#chat-log").hover();
    await page.mouse.wheel(0, -200);
    await page.locator("#chat-resume").waitFor();
    await page.mouse.wheel(0, 100_000);
    await page.locator("#chat-resume").waitFor({state: "hidden"});
  })));

  test("stand-in: a change of the layout does not pause the feed", () => running((url) => onPage(url, desktop, async (page) => {
    await dataArrived(page);
    for (const [width, height] of [[1440, 500], [700, 900], [1440, 900]]) {
      await page.setViewportSize({width, height});
      const last = await page.locator(".line").last().textContent();
      await eventually(page, (text) => document.querySelector(".line:last-child").textContent !== text, last);
      await eventually(page, () => { const log = document.querySelector("#chat-log"); return log.scrollHeight - log.clientHeight - log.scrollTop < 2; });
      assert.ok(await page.locator("#chat-resume").isHidden());
    }
  })));

  test("stand-in: filters by channel and by text", () => running((url) => onPage(url, desktop, async (page) => {
    await dataArrived(page);
    await eventually(page, () => document.querySelectorAll("#chat-channel option").length > 2);
    await page.locator("#chat-text").fill("noranorth");
    await eventually(page, () => [...document.querySelectorAll(".line")].every((line) => line.textContent.includes("NoraNorth")));
    assert.ok((await page.locator(".line").count()) > 0);
    await page.locator("#chat-text").fill("no such text anywhere");
    await eventually(page, () => document.querySelector("#chat-empty").textContent === "No message matches this filter");
    await page.locator("#chat-text").fill("");
    await page.locator("#chat-channel").selectOption("chessclub");
    await eventually(page, () => document.querySelectorAll(".line").length > 0 && !document.querySelector(".line .channel"));
    await page.locator("#market-filter").fill("eth");
    await eventually(page, () => document.querySelectorAll(".card").length === 1 && document.querySelector(".card h3").textContent === "ETH-USDT");
  })));

  test("stand-in: deleted messages are struck through", () => running((url, server) => onPage(url, desktop, async (page) => {
    await dataArrived(page);
    const message = {...server.chat(Date.now()), id: "twitch:doomed"};
    message.payload = {...message.payload, kind: "message", message: "this will be deleted", metadata: {}};
    server.emit(message);
    await eventually(page, () => document.querySelector("#chat-log").textContent.includes("this will be deleted"));
    server.emit({...message, id: "twitch:deletion", payload: {...message.payload, kind: "delete", message: "", metadata: {target_message_id: "doomed"}}});
    await eventually(page, () => [...document.querySelectorAll(".line.removed")].some((line) => line.textContent.includes("this will be deleted")));
  })));

  test("stand-in: 2,000 messages a second leave the document bounded and the page smooth", () => withFake({chatPerSecond: 2000, tradesPerSecond: 400}, (url) => onPage(url, desktop, async (page) => {
    await dataArrived(page);
    const frames = await page.evaluate(() => new Promise((done) => {
      const times = [];
      const step = (time) => (times.push(time), times.length < 240 ? requestAnimationFrame(step) : done(times));
      requestAnimationFrame(step);
    }));
    const gaps = frames.slice(1).map((time, index) => time - frames[index]).sort((a, b) => a - b);
    console.log(`# at 2,000 messages/s: frame time median ${gaps[120].toFixed(1)} ms, 95 % ${gaps[227].toFixed(1)} ms, worst ${gaps.at(-1).toFixed(1)} ms`);
    assert.ok((await page.locator(".line").count()) <= 300);
    assert.ok((await page.evaluate(() => document.getElementsByTagName("*").length)) < 4000);
  })));

  test("stand-in: colours can be switched and stay switched", () => running((url) => onPage(url, {...desktop, colorScheme: "dark"}, async (page) => {
    await dataArrived(page);
    await page.locator("#theme").click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
    await page.reload();
    await dataArrived(page);
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
    await page.screenshot({path: `${out}stand-in-light.png`});
  })));

  test("stand-in: the keyboard reaches the content and the modules", () => running((url) => onPage(url, desktop, async (page) => {
    await dataArrived(page);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await eventually(page, () => document.querySelector("main").dataset.view === "twitch");
    assert.equal(await page.locator("nav a[aria-current=page]").textContent(), "Twitch");
  })));
}

function programCases(program) {
  commonCases("program", (use) => withProgram(program, ["--demo"], use));
  test("program: hostile texts run nothing", () => withProgram(program, {events: hostileEvents(Date.now())}, (url) => onPage(url, desktop, runsNothing)));
  test("program: the page survives a restart of the program", () => withProgram(program, ["--demo"], (url, instance) => onPage(url, desktop, async (page) => {
    await seesDataArrive(page);
    await instance.stop();
    await eventually(page, () => document.querySelector("#connection-text").textContent === "Disconnected");
    await instance.start();
    await eventually(page, () => document.querySelector("#connection").dataset.state === "live");
    await seesDataArrive(page);
  }, /ERR_CONNECTION_REFUSED|WebSocket connection|ERR_CONNECTION_RESET/)));
}

const urlAt = process.argv.indexOf("--url");
if (urlAt >= 0) commonCases("running", (use) => use(process.argv[urlAt + 1]));
else {
  fakeCases();
  if (process.env.DATAFLOW) programCases(process.env.DATAFLOW);
}
