// Sources, ledger and figures as tables.  Cells are made once and then only their text changes.
import {byId, clip, element, setData, setHidden, setText} from "./dom.ts";
import {formatAge, formatBytes, formatCount, formatRate, formatShort} from "./format.ts";
import {LiveTable} from "./live_table.ts";
import {sourceCounters, stageImbalance, stageOutcomes, type AlertEvent, type Figure, type SourceState} from "./schema.ts";
import type {SystemModel} from "./system_model.ts";

const stateWords: Record<string, string> = {
  connecting: "Connecting", live: "Live", stale: "Stale", backing_off: "Backing off", failed: "Failed", ended: "Ended",
};
const stateHelp: Record<string, string> = {
  connecting: "Waiting for the other side to accept the connection",
  live: "Connected, and data are coming",
  stale: "Connected, but silent for longer than usual",
  backing_off: "The connection was lost; the next attempt follows by itself",
  failed: "Will not be tried again: see the log for what to put right",
  ended: "Played to its end",
};

export class SystemView {
  private readonly model: SystemModel;
  private readonly sources = new LiveTable(byId("sources"), "State of each source",
    ["Source", "State", "Data age", "Rate", "Events", "Rejected", "Duplicates", "Filtered", "Gaps", "Missing", "Reconnects"]);
  private readonly ledger = new LiveTable(byId("ledger"),
    "Ledger by stage: in + created = out + rejected + duplicate + filtered + late + dropped + pending",
    ["Stage", "In", "Created", "Out", "Rejected", "Duplicate", "Filtered", "Late", "Dropped", "Pending", "Balance"]);
  private readonly figureCells = new Map<string, HTMLElement>();
  private figureShape = "";

  constructor(model: SystemModel) {
    this.model = model;
  }

  render(nowMs: number, pageDropped: number): void {
    this.renderSources(nowMs);
    this.renderLedger();
    this.renderFigures(pageDropped);
    const about: string[] = [];
    if (this.model.version !== "") about.push(`version ${clip(this.model.version, 24)}`);
    if (this.model.uptimeSeconds !== undefined) {
      about.push(`up ${formatAge(this.model.uptimeSeconds + (nowMs - this.model.statusAtMs) / 1000)}`);
    }
    setText(byId("system-about"), about.join(" · "));
  }

  // The worst of it in a word, for the pill beside the title.
  verdict(): {state: string; text: string} {
    const {sources, stages, ready} = this.model;
    if (ready === undefined && sources.length === 0) return {state: "waiting", text: "waiting"};
    if (ready === false) return {state: "bad", text: "not ready"};
    const failed = sources.filter((source) => source.state === "failed").length;
    if (failed > 0) return {state: "bad", text: `${failed} failed`};
    const troubled = sources.filter((source) => ["stale", "backing_off"].includes(source.state)).length;
    if (troubled > 0) return {state: "warn", text: `${troubled} degraded`};
    if (stages.some((stage) => stageImbalance(stage) !== 0)) return {state: "warn", text: "ledger off"};
    return {state: "live", text: "all well"};
  }

  private renderSources(nowMs: number): void {
    const {sources, sourcesAtMs} = this.model;
    setHidden(byId("sources-empty"), sources.length > 0);
    this.sources.keepOnly(sources.map((source) => source.name));
    for (const source of sources) {
      const cells = this.sources.row(source.name);
      setText(cells[0] as HTMLElement, clip(source.name, 60));
      this.renderState(cells[1] as HTMLElement, source);
      setText(cells[2] as HTMLElement, formatAge(ageNow(source, (nowMs - sourcesAtMs) / 1000)));
      sourceCounters.forEach((name, index) => {
        const value = source.counters[name];
        const cell = cells[3 + index] as HTMLElement;
        setText(cell, name === "rate" ? formatRate(value) : formatCount(value));
        setData(cell, "weight", value === 0 || value === undefined ? "none" : ["rejected", "gaps", "missing"].includes(name) ? "notable" : "");
      });
    }
  }

  private renderState(cell: HTMLElement, source: SourceState): void {
    if (cell.childElementCount === 0) {
      cell.classList.remove("number");
      cell.append(element("span", "pill small", element("span", "dot"), element("span", "text")), element("span", "why quiet"));
    }
    const pill = cell.firstElementChild as HTMLElement;
    setData(pill, "state", source.state);
    setText(pill.lastElementChild as HTMLElement, stateWords[source.state] ?? clip(source.state, 20));
    const help = stateHelp[source.state] ?? "";
    if (pill.title !== help) pill.title = help;
    const why = source.state === "live" || source.state === "ended" ? "" : clip(source.error, 200);
    setText(cell.lastElementChild as HTMLElement, why);
    if (cell.title !== why) cell.title = why;
  }

  private renderLedger(): void {
    const {stages} = this.model;
    setHidden(byId("ledger-empty"), stages.length > 0);
    this.ledger.keepOnly(stages.map((stage) => stage.name));
    for (const stage of stages) {
      const cells = this.ledger.row(stage.name);
      setText(cells[0] as HTMLElement, clip(stage.name, 40));
      const values = [stage.in, stage.created, ...stageOutcomes.map((name) => stage.outcomes[name])];
      values.forEach((value, index) => {
        const cell = cells[1 + index] as HTMLElement;
        setText(cell, formatCount(value));
        setData(cell, "weight", value === 0 ? "none" : "");
      });
      const off = stageImbalance(stage);
      const balance = cells[cells.length - 1] as HTMLElement;
      setText(balance, off === 0 ? "✓ holds" : `✗ off by ${formatCount(off)}`);
      setData(balance, "state", off === 0 ? "live" : "bad");
    }
  }

  private renderFigures(pageDropped: number): void {
    const groups = [...this.model.groups, {name: "this page", figures: [{name: "dropped as too slow", value: pageDropped}]}];
    const shape = JSON.stringify(groups.map((group) => [group.name, group.figures.map((figure) => figure.name)]));
    if (shape !== this.figureShape) {
      this.figureShape = shape;
      this.figureCells.clear();
      byId("figures").replaceChildren(...groups.map((group) => {
        const list = element("dl");
        for (const figure of group.figures) {
          const value = element("dd", "number");
          this.figureCells.set(`${group.name} ${figure.name}`, value);
          list.append(element("div", "", element("dt", "", words(figure.name)), value));
        }
        return element("div", "panel", element("h3", "", words(group.name)), list);
      }));
    }
    for (const group of groups) {
      for (const figure of group.figures) {
        const cell = this.figureCells.get(`${group.name} ${figure.name}`);
        if (cell) setText(cell, figureText(figure));
      }
    }
  }
}

// The age ticks on between two answers, but for a source whose events come faster than the answers do.
function ageNow(source: SourceState, sinceAnswerSeconds: number): number | undefined {
  if (source.ageSeconds === undefined) return undefined;
  const flowing = source.state === "live" && source.ageSeconds < 1 && sinceAnswerSeconds < 3;
  return flowing ? source.ageSeconds : source.ageSeconds + sinceAnswerSeconds;
}

function words(name: string): string {
  const spaced = clip(name, 60).replaceAll("_", " ").replace(/ (bytes|seconds|ms)$/, "");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

function figureText(figure: Figure): string {
  const value = figure.value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return value === null ? "–" : clip(value, 80);
  if (figure.name.endsWith("bytes")) return formatBytes(value);
  if (figure.name.endsWith("seconds")) return formatAge(value);
  if (figure.name.endsWith("_ms")) return `${formatShort(value)}\u202fms`;
  return Number.isInteger(value) ? formatCount(value) : formatShort(value);
}

const keptAlerts = 20;

// Incidents, newest first; an incident is one id through all its states.
export class AlertList {
  private readonly items = new Map<string, HTMLElement>();

  add(alert: AlertEvent): void {
    setHidden(byId("panel-alerts"), false);
    const list = byId("alerts");
    const previous = this.items.get(alert.id);
    previous?.remove();
    this.items.delete(alert.id);
    const level = alert.severity >= 0.7 ? "bad" : "warn";
    const pill = element("span", "pill small", element("span", "dot"), element("span", "text", clip(alert.state, 12)));
    pill.dataset["state"] = alert.state === "closed" ? "ended" : level;
    const item = element("li", "", pill, " ", element("b", "", words(alert.type)), " ",
      element("span", "quiet", clip(alert.key, 60)), " ", element("span", "", clip(alert.reason, 300)));
    list.prepend(item);
    this.items.set(alert.id, item);
    for (const [id, oldest] of this.items) {
      if (this.items.size <= keptAlerts) break;
      oldest.remove();
      this.items.delete(id);
    }
  }
}
