// Events as the page uses them, read from JSON that is not trusted: a wrong field is left out, never a crash.

export type JsonObject = {readonly [name: string]: unknown};

export interface ChatEvent {
  readonly topic: "chat";
  readonly id: string;
  readonly timeMs: number;
  readonly receivedMs: number;
  readonly kind: string;
  readonly channel: string;
  readonly username: string;
  readonly displayName: string;
  readonly message: string;
  readonly metadata: JsonObject;
  readonly removed: string; // why a moderator took it down before this page asked, "" while it stands
  readonly gap: Gap | undefined;
}

export interface MarketEvent {
  readonly topic: "market";
  readonly id: string;
  readonly timeMs: number;
  readonly receivedMs: number;
  readonly kind: string;
  readonly exchange: string;
  readonly symbol: string;
  readonly price: number | undefined;
  readonly volume: number | undefined;
  readonly bid: number | undefined; // of a quote
  readonly ask: number | undefined;
  readonly gap: Gap | undefined;
}

// When an event reached this page, by the browser's clock.  What was there before the page asked (`live` false) counts
// for no rate and is as old as its receipt.
export interface Arrival {
  readonly atMs: number;
  readonly live: boolean;
}

export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly count: number | undefined;
  readonly reason: string;
}

export interface AlertEvent {
  readonly topic: "alert";
  readonly id: string;
  readonly timeMs: number;
  readonly type: string;
  readonly key: string;
  readonly state: string;
  readonly severity: number;
  readonly reason: string;
}

export interface SourceState {
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly sinceMs: number | undefined;
  readonly ageSeconds: number | undefined;
  readonly counters: Readonly<Record<SourceCounter, number | undefined>>;
  readonly error: string;
}
export const sourceCounters = ["rate", "events", "rejected", "duplicates", "filtered", "gaps", "missing", "reconnects"] as const;
export type SourceCounter = (typeof sourceCounters)[number];

export const stageOutcomes = ["out", "rejected", "duplicate", "filtered", "late", "dropped", "pending"] as const;
export interface Stage {
  readonly name: string;
  readonly in: number;
  readonly created: number;
  readonly outcomes: Readonly<Record<(typeof stageOutcomes)[number], number>>;
}

// What goes in must come out: 0 when the stage's equation holds, otherwise how many records it is off.
export function stageImbalance(stage: Stage): number {
  const accounted = stageOutcomes.reduce((sum, name) => sum + stage.outcomes[name], 0);
  return stage.in + stage.created - accounted;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function finite(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

export function parseTime(value: unknown): number | undefined {
  if (typeof value !== "string") return undefined;
  const timeMs = Date.parse(value);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

// As the live page words what it sees happen.
const removals = new Map([["deleted", "deleted"], ["timed_out", "timed out"], ["banned", "banned"], ["cleared", "chat cleared"]]);

function readRemoval(moderation: unknown, metadata: JsonObject): string {
  const removal = removals.get(isObject(moderation) ? text(moderation["state"]) : "");
  return removal ?? (metadata["erased"] === true ? "erased" : "");
}

function readGap(kind: string, payload: JsonObject, timeMs: number): Gap | undefined {
  if (kind !== "gap") return undefined;
  return {
    fromMs: parseTime(payload["from"]) ?? timeMs,
    toMs: parseTime(payload["to"]) ?? timeMs,
    count: finite(payload["count"]),
    reason: text(payload["reason"]),
  };
}

export function readEvent(value: unknown): ChatEvent | MarketEvent | AlertEvent | undefined {
  if (!isObject(value) || !isObject(value["payload"])) return undefined;
  const payload = value["payload"];
  const id = text(value["id"]);
  const timeMs = parseTime(value["timestamp"]);
  const receivedMs = parseTime(value["received"]) ?? timeMs ?? 0;
  const kind = text(payload["kind"]);
  const metadata = isObject(payload["metadata"]) ? payload["metadata"] : {};
  if (id === "" || timeMs === undefined || kind === "") return undefined;
  switch (value["source"]) {
    case "twitch":
      return {
        topic: "chat", id, timeMs, receivedMs, kind,
        channel: text(payload["channel"]),
        username: text(payload["username"]),
        displayName: text(payload["display_name"]) || text(payload["username"]),
        message: text(payload["message"]),
        metadata,
        removed: kind === "message" ? readRemoval(value["moderation"], metadata) : "",
        gap: readGap(kind, payload, timeMs),
      };
    case "market":
      return {
        topic: "market", id, timeMs, receivedMs, kind,
        exchange: text(payload["exchange"]),
        symbol: text(payload["symbol"]),
        price: finite(payload["price"]),
        volume: finite(payload["volume"]),
        bid: finite(metadata["bid"]),
        ask: finite(metadata["ask"]),
        gap: readGap(kind, payload, timeMs),
      };
    case "analytics":
      if (kind !== "alert" && kind !== "anomaly") return undefined;
      return {
        topic: "alert", id, timeMs,
        type: text(payload["type"]),
        key: text(payload["key"]),
        state: text(payload["state"]),
        severity: finite(payload["severity"]) ?? 0,
        reason: text(payload["reason"]),
      };
    default:
      return undefined;
  }
}

export function readSources(body: unknown): SourceState[] {
  if (!isObject(body) || !Array.isArray(body["sources"])) return [];
  return body["sources"].filter(isObject).map((source) => {
    const counters = {} as Record<SourceCounter, number | undefined>;
    for (const name of sourceCounters) counters[name] = finite(source[name]);
    return {
      name: text(source["name"]),
      kind: text(source["kind"]),
      state: text(source["state"]),
      sinceMs: parseTime(source["since"]),
      ageSeconds: finite(source["age_seconds"]),
      counters,
      error: text(source["error"]),
    };
  });
}

export function readStages(body: unknown): Stage[] {
  if (!isObject(body) || !Array.isArray(body["stages"])) return [];
  return body["stages"].filter(isObject).map((stage) => {
    const outcomes = {} as Record<(typeof stageOutcomes)[number], number>;
    for (const name of stageOutcomes) outcomes[name] = finite(stage[name]) ?? 0;
    return {name: text(stage["name"]), in: finite(stage["in"]) ?? 0, created: finite(stage["created"]) ?? 0, outcomes};
  });
}

export interface Figure {
  readonly name: string;
  readonly value: string | number | boolean | null;
}
export interface FigureGroup {
  readonly name: string;
  readonly figures: readonly Figure[];
}

const shownElsewhere = new Set(["stages", "sources", "version", "ready", "problem", "uptime_seconds"]);

// Whatever else the status says (log, bus, store, …), as groups of figures; so a new part shows without a new page.
export function readFigures(body: unknown): FigureGroup[] {
  if (!isObject(body)) return [];
  const loose: Figure[] = [];
  const groups: FigureGroup[] = [];
  for (const [name, value] of Object.entries(body)) {
    if (shownElsewhere.has(name)) continue;
    if (isObject(value)) groups.push({name, figures: flatten("", value)});
    else if (isPlain(value)) loose.push({name, value});
  }
  if (loose.length > 0) groups.unshift({name: "general", figures: loose});
  return groups.filter((group) => group.figures.length > 0);
}

function isPlain(value: unknown): value is string | number | boolean | null {
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}

function flatten(prefix: string, value: JsonObject): Figure[] {
  return Object.entries(value).slice(0, 40).flatMap(([name, inner]): Figure[] => {
    const path = prefix === "" ? name : `${prefix} ${name}`;
    if (isPlain(inner)) return [{name: path, value: inner}];
    return isObject(inner) && prefix === "" ? flatten(path, inner) : [];
  });
}
