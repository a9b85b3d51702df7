// What the Twitch module knows: the last lines of chat and what became of them.
import {RateMeter, RecentIds, Ring} from "./bounded.ts";
import {finite, isObject, type Arrival, type ChatEvent} from "./schema.ts";

export const keptLines = 2000;
const keptChannels = 200;

export interface ChatLine {
  readonly sequence: number;
  readonly event: ChatEvent;
  removed: string; // why it was taken down, "" while it stands
}

export interface ChatFilter {
  readonly channel: string; // "" for all
  readonly text: string; // lower case
}

export function matches(line: ChatLine, filter: ChatFilter): boolean {
  const event = line.event;
  if (filter.channel !== "" && event.channel !== filter.channel) return false;
  if (filter.text === "") return true;
  return (
    event.message.toLowerCase().includes(filter.text) ||
    event.username.toLowerCase().includes(filter.text) ||
    event.displayName.toLowerCase().includes(filter.text)
  );
}

export interface Channel {
  readonly name: string;
  readonly rate: RateMeter;
  messages: number;
  removed: number;
  punished: number;
}

export class ChatModel {
  readonly lines = new Ring<ChatLine>(keptLines);
  readonly channels = new Map<string, Channel>();
  readonly rate = new RateMeter();
  readonly totals = {removed: 0, punished: 0};
  lastEventAtMs = 0; // arrival, by the browser's clock
  private readonly byId = new Map<string, ChatLine>();
  private readonly seen = new RecentIds(8192);
  private nextSequence = 1;

  // Calls `changed` for each line already there that is taken down.  Returns the new line, if the event makes one.
  add(event: ChatEvent, arrival: Arrival, changed: (line: ChatLine) => void): ChatLine | undefined {
    if (!this.seen.add(event.id)) return undefined;
    this.lastEventAtMs = Math.max(this.lastEventAtMs, arrival.atMs);
    if (arrival.live) this.rate.add(arrival.atMs);
    switch (event.kind) {
      case "message":
        this.countMessage(event.channel, arrival);
        break;
      case "delete": {
        const target = this.byId.get(`twitch:${String(event.metadata["target_message_id"])}`);
        if (target) this.remove(target, "deleted", changed);
        return undefined;
      }
      case "timeout":
      case "ban":
        this.totals.punished++;
        this.countPunished(event.channel);
        this.removeOf(event.channel, event.username, event.kind === "ban" ? "banned" : "timed out", changed);
        break;
      case "clear":
        this.removeOf(event.channel, event.username, event.username === "" ? "chat cleared" : "cleared", changed);
        break;
    }
    const line: ChatLine = {sequence: this.nextSequence++, event, removed: event.removed};
    if (line.removed !== "") this.countRemoved(event.channel);
    const evicted = this.lines.push(line);
    if (evicted) this.byId.delete(evicted.event.id);
    this.byId.set(event.id, line);
    return line;
  }

  private remove(line: ChatLine, why: string, changed: (line: ChatLine) => void): void {
    if (line.removed !== "" || line.event.kind !== "message") return;
    line.removed = why;
    this.countRemoved(line.event.channel);
    changed(line);
  }

  private countRemoved(name: string): void {
    this.totals.removed++;
    const channel = this.channels.get(name);
    if (channel) channel.removed++;
  }

  private removeOf(channel: string, username: string, why: string, changed: (line: ChatLine) => void): void {
    this.lines.forEach((line) => {
      if (line.event.channel === channel && (username === "" || line.event.username === username)) {
        this.remove(line, why, changed);
      }
    });
  }

  private countMessage(name: string, arrival: Arrival): void {
    const channel = this.channelOf(name);
    if (!channel) return;
    channel.messages++;
    if (arrival.live) channel.rate.add(arrival.atMs);
  }

  private countPunished(name: string): void {
    const channel = this.channelOf(name);
    if (channel) channel.punished++;
  }

  private channelOf(name: string): Channel | undefined {
    let channel = this.channels.get(name);
    if (!channel && this.channels.size < keptChannels) {
      channel = {name, rate: new RateMeter(), messages: 0, removed: 0, punished: 0};
      this.channels.set(name, channel);
    }
    return channel;
  }
}

export type Badge = "broadcaster" | "moderator" | "vip" | "subscriber" | "first";

export function badgesOf(event: ChatEvent): Badge[] {
  const metadata = event.metadata;
  const listed = metadata["badges"];
  const names = new Set<string>(
    Array.isArray(listed)
      ? listed.map((badge) => String(isObject(badge) ? (badge["set_id"] ?? badge["name"]) : badge).split("/")[0] as string)
      : typeof listed === "string"
        ? listed.split(",").map((badge) => badge.split("/")[0] as string)
        : typeof listed === "object" && listed !== null
          ? Object.keys(listed)
          : [],
  );
  const found: Badge[] = [];
  if (names.has("broadcaster")) found.push("broadcaster");
  if (names.has("moderator") || metadata["moderator"] === true) found.push("moderator");
  if (names.has("vip")) found.push("vip");
  if (names.has("subscriber") || names.has("founder") || metadata["subscriber"] === true) found.push("subscriber");
  if (metadata["first_message"] === true) found.push("first");
  return found;
}

// The text of a line that is not a user's message.
export function systemText(event: ChatEvent, who: string): string {
  const metadata = event.metadata;
  switch (event.kind) {
    case "raid": {
      const viewers = finite(metadata["viewers"]);
      return `${who} raids ${viewers === undefined ? "the channel" : `with ${viewers} viewers`}`;
    }
    case "subscription": {
      const months = finite(metadata["months"]);
      const duration = months !== undefined && months > 1 ? ` for ${months} months` : "";
      return `${who} subscribed${duration}${event.message === "" ? "" : `: ${event.message}`}`;
    }
    case "announcement":
      return `${who} announces: ${event.message}`;
    case "timeout": {
      const seconds = finite(metadata["duration_seconds"]);
      return `${who} was timed out${seconds === undefined ? "" : ` for ${seconds} s`}`;
    }
    case "ban":
      return `${who} was banned`;
    case "clear":
      return event.username === "" ? "A moderator cleared the chat" : `${who}'s messages were cleared`;
    case "room_state": {
      const seconds = finite(metadata["slow_seconds"]);
      return seconds === undefined ? "Room settings changed" : seconds > 0 ? `Slow mode: one message in ${seconds} s` : "Slow mode is off";
    }
    case "gap":
      return event.gap?.reason ? `Messages may be missing: ${event.gap.reason}` : "Messages may be missing here";
    default:
      return event.message || event.kind.replaceAll("_", " ");
  }
}
