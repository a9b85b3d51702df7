// The chat feed.  At most `shownLines` rows are in the document; what arrives between two frames is added in one go.
//
// The feed follows its end until it is paused: by the button, by the key P in the feed, or by scrolling up (by hand: the
// browser also reports scrolling when the layout changes).  While paused nothing moves; new lines are counted and come
// with Resume, or by scrolling down to the end again.
import {badgesOf, matches, systemText, type Badge, type ChatFilter, type ChatLine, type ChatModel} from "./chat_model.ts";
import {paletteColor, readableColor} from "./color.ts";
import {byId, clip, element, setHidden, setText} from "./dom.ts";
import {formatClock, formatCount, formatRate} from "./format.ts";
import {LiveTable} from "./live_table.ts";
import {cssColor} from "./theme.ts";

const shownLines = 300;
const nearEndPx = 48;
const byHandMs = 1_000; // scrolling this soon after a touch of the feed is by hand, its momentum included
const longestMessage = 500; // Twitch's own limit
const longestName = 40;

const badgeLooks: Record<Badge, {letter: string; title: string}> = {
  broadcaster: {letter: "B", title: "Broadcaster"},
  moderator: {letter: "M", title: "Moderator"},
  vip: {letter: "V", title: "VIP"},
  subscriber: {letter: "S", title: "Subscriber"},
  first: {letter: "1", title: "First message in this channel"},
};

const systemMarks: Record<string, string> = {
  raid: "Raid", subscription: "Sub", announcement: "Note", timeout: "Timeout", ban: "Ban", clear: "Clear", gap: "Gap", room_state: "Room",
};

export class ChatView {
  private readonly model: ChatModel;
  private readonly log = byId<HTMLDivElement>("chat-log");
  private readonly empty = byId("chat-empty");
  private readonly pauseButton = byId<HTMLButtonElement>("chat-pause");
  private readonly resumeButton = byId<HTMLButtonElement>("chat-resume");
  private readonly channelSelect = byId<HTMLSelectElement>("chat-channel");
  private readonly textInput = byId<HTMLInputElement>("chat-text");
  private readonly channelTable = new LiveTable(byId("channels"), "Channels", ["Channel", "Rate", "Messages", "Removed", "Punished"]);
  private readonly rows = new Map<ChatLine, HTMLElement>();
  private readonly colors = new Map<string, string>();
  private pending: ChatLine[] = [];
  private changed = new Set<ChatLine>();
  private filter: ChatFilter = {channel: "", text: ""};
  private paused = false;
  private pausedByScroll = false;
  private touchedAtMs = -Infinity;
  private unseen = 0;
  private rebuild = true;
  private readonly redraw: () => void;

  constructor(model: ChatModel, redraw: () => void) {
    this.model = model;
    this.redraw = redraw;
    byId<HTMLFormElement>("chat-controls").addEventListener("submit", (event) => event.preventDefault());
    this.pauseButton.addEventListener("click", () => this.setPaused(!this.paused));
    this.resumeButton.addEventListener("click", () => {
      this.setPaused(false);
      this.log.focus({preventScroll: true});
    });
    this.channelSelect.addEventListener("change", () => this.setFilter());
    this.textInput.addEventListener("input", () => this.setFilter());
    this.log.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "p" || event.key === "P") this.setPaused(!this.paused);
      else if (event.key === "End") this.setPaused(false);
      else if (["PageUp", "ArrowUp", "Home"].includes(event.key)) this.setPaused(true, true);
    });
    this.log.addEventListener("wheel", (event) => {
      this.touched();
      if (event.deltaY < 0 && this.log.scrollHeight > this.log.clientHeight) this.setPaused(true, true);
    }, {passive: true});
    for (const kind of ["pointerdown", "pointermove", "touchmove", "keydown"]) {
      this.log.addEventListener(kind, () => this.touched(), {passive: true});
    }
    this.log.addEventListener("scroll", () => this.scrolled(), {passive: true});
    new ResizeObserver(() => this.followEnd()).observe(this.log);
  }

  private touched(): void {
    this.touchedAtMs = performance.now();
  }

  private followEnd(): void {
    if (!this.paused) this.log.scrollTop = this.log.scrollHeight;
  }

  added(line: ChatLine): void {
    if (!matches(line, this.filter)) return;
    if (this.paused) this.unseen++;
    else {
      this.pending.push(line);
      if (this.pending.length > 2 * shownLines) this.pending = this.pending.slice(-shownLines);
    }
  }

  changedLine(line: ChatLine): void {
    if (this.rows.has(line)) this.changed.add(line);
  }

  themeChanged(): void {
    this.colors.clear();
    this.rebuild = true;
  }

  render(nowMs: number): void {
    if (this.rebuild) this.renderAll();
    else if (!this.paused && this.pending.length > 0) this.renderPending();
    for (const line of this.changed) this.markRemoved(line);
    this.changed.clear();
    this.renderSummary(nowMs);
  }

  private renderAll(): void {
    this.rebuild = false;
    this.pending = [];
    this.rows.clear();
    const lines = this.model.lines.lastMatching(shownLines, (line) => matches(line, this.filter));
    this.log.replaceChildren(...lines.map((line) => this.rowOf(line)));
    this.followEnd();
  }

  private renderPending(): void {
    const lines = this.pending.slice(-shownLines);
    this.pending = [];
    const fragment = document.createDocumentFragment();
    for (const line of lines) fragment.append(this.rowOf(line));
    this.log.append(fragment);
    for (const [line, row] of this.rows) {
      if (this.rows.size <= shownLines) break;
      row.remove();
      this.rows.delete(line);
    }
    this.followEnd();
  }

  private renderSummary(nowMs: number): void {
    setText(byId("chat-rate"), formatRate(this.model.rate.perSecond(nowMs)));
    const {removed, punished} = this.model.totals;
    setText(byId("chat-removed"), removed + punished === 0 ? "" : `${formatCount(removed)} removed · ${formatCount(punished)} punished`);
    setHidden(this.empty, this.rows.size > 0);
    if (this.rows.size === 0) {
      setText(this.empty, this.model.lines.length === 0 ? "Waiting for the first message" : "No message matches this filter");
    }
    setHidden(this.resumeButton, !this.paused);
    const news = this.unseen === 0 ? "" : ` · ${formatCount(this.unseen)} new`;
    if (this.paused) setText(this.resumeButton, `Paused${news} · Resume`);
    this.offerChannels();
    if (this.channelTable.visible) this.renderChannels(nowMs);
  }

  private renderChannels(nowMs: number): void {
    for (const channel of this.model.channels.values()) {
      const cells = this.channelTable.row(channel.name);
      setText(cells[0] as HTMLElement, `#${clip(channel.name, 25)}`);
      [formatRate(channel.rate.perSecond(nowMs)), formatCount(channel.messages), formatCount(channel.removed), formatCount(channel.punished)].forEach(
        (figure, index) => setText(cells[index + 1] as HTMLElement, figure));
    }
  }

  private offerChannels(): void {
    if (this.channelSelect.options.length === this.model.channels.size + 1) return;
    const names = [...this.model.channels.keys()].sort();
    const chosen = this.channelSelect.value;
    this.channelSelect.replaceChildren(new Option("All channels", ""), ...names.map((name) => new Option(`#${clip(name, 40)}`, name)));
    this.channelSelect.value = chosen;
  }

  private rowOf(line: ChatLine): HTMLElement {
    const event = line.event;
    const row = element("div", "line", element("time", "number", formatClock(event.timeMs)), " ");
    if (this.filter.channel === "") row.append(element("span", "channel", `#${clip(event.channel, longestName)}`), " ");
    if (event.kind === "message") this.fillMessage(row, line);
    else {
      row.classList.add("system", `system-${systemMarks[event.kind] ? event.kind : "notice"}`);
      row.append(element("span", "tag", systemMarks[event.kind] ?? "Info"), " ", textSpan(systemText(event, clip(event.displayName, longestName) || "someone")));
    }
    this.rows.set(line, row);
    if (line.removed !== "") this.markRemoved(line);
    return row;
  }

  private fillMessage(row: HTMLElement, line: ChatLine): void {
    const event = line.event;
    for (const badge of badgesOf(event)) {
      const look = badgeLooks[badge];
      const mark = element("span", `badge badge-${badge}`, look.letter);
      mark.title = look.title;
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", look.title);
      row.append(mark);
    }
    const name = element("bdi", "user", clip(event.displayName, longestName));
    name.style.color = this.colorOf(event.metadata["color"], event.username);
    row.append(name, element("span", "quiet", ": "));
    if (typeof event.metadata["reply_parent_id"] === "string") {
      const reply = element("span", "quiet", "↪ ");
      reply.title = "A reply";
      row.append(reply);
    }
    row.append(textSpan(event.message));
  }

  private markRemoved(line: ChatLine): void {
    const row = this.rows.get(line);
    if (!row || row.classList.contains("removed")) return;
    row.classList.add("removed");
    row.append(" ", element("span", "tag", line.removed));
  }

  private colorOf(color: unknown, username: string): string {
    const wanted = typeof color === "string" && /^#[0-9a-f]{6}$/i.test(color) ? color : paletteColor(username);
    let readable = this.colors.get(wanted);
    if (readable === undefined) {
      if (this.colors.size > 2000) this.colors.clear();
      readable = readableColor(wanted, cssColor("panel"));
      this.colors.set(wanted, readable);
    }
    return readable;
  }

  private setFilter(): void {
    this.filter = {channel: this.channelSelect.value, text: this.textInput.value.trim().toLowerCase()};
    this.setPaused(false);
    this.rebuild = true;
    this.redraw();
  }

  private setPaused(paused: boolean, byScroll = false): void {
    if (paused === this.paused) return;
    this.paused = paused;
    this.pausedByScroll = byScroll;
    this.unseen = 0;
    if (!paused) this.rebuild = true;
    this.pauseButton.setAttribute("aria-pressed", String(paused));
    this.redraw();
  }

  private scrolled(): void {
    if (performance.now() - this.touchedAtMs > byHandMs) return;
    const belowPx = this.log.scrollHeight - this.log.clientHeight - this.log.scrollTop;
    if (belowPx > nearEndPx) this.setPaused(true, true);
    else if (belowPx < 2 && this.pausedByScroll) this.setPaused(false);
  }
}

function textSpan(text: string): HTMLElement {
  const span = element("span", "text", clip(text, longestMessage));
  span.dir = "auto";
  return span;
}
