// The one WebSocket of the page.  It comes back by itself:
//
//   connecting --open--> live --close or silence--> waiting --delay over, or the network is back--> connecting
//
// The attempt counter falls back only after a connection has held for `stableMs`.
import {backoffDelayMs} from "./backoff.ts";
import {isObject} from "./schema.ts";

export type ConnectionState =
  | {readonly kind: "connecting"}
  | {readonly kind: "live"}
  | {readonly kind: "waiting"; readonly retryAtMs: number};

export interface ConnectionHandlers {
  state(state: ConnectionState): void;
  event(topic: string, event: unknown): void;
  dropped(topic: string, count: number): void;
}

const stableMs = 5_000;
const silenceMs = 20_000; // the server pushes its status every second: longer silence is a dead connection

export class LiveConnection {
  private readonly url: string;
  private readonly topics: readonly string[];
  private readonly handlers: ConnectionHandlers;
  private socket: WebSocket | undefined;
  private attempt = 0;
  private openedAtMs = 0;
  private lastFrameAtMs = 0;
  private statusSeen = false;
  private retryTimer = 0;

  constructor(url: string, topics: readonly string[], handlers: ConnectionHandlers) {
    this.url = url;
    this.topics = topics;
    this.handlers = handlers;
    setInterval(() => this.checkSilence(), 5_000);
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.retryNow();
    });
  }

  connect(): void {
    clearTimeout(this.retryTimer);
    this.retryTimer = 0;
    this.handlers.state({kind: "connecting"});
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.openedAtMs = this.lastFrameAtMs = performance.now();
      this.statusSeen = false;
      socket.send(JSON.stringify({subscribe: this.topics}));
      this.handlers.state({kind: "live"});
    };
    socket.onmessage = (message) => this.receive(message.data);
    socket.onclose = () => {
      if (this.socket === socket) this.lost();
    };
  }

  private receive(data: unknown): void {
    this.lastFrameAtMs = performance.now();
    if (typeof data !== "string") return;
    let frame: unknown;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (!isObject(frame) || typeof frame["topic"] !== "string") return;
    if (frame["topic"] === "status") this.statusSeen = true;
    if (typeof frame["dropped"] === "number") this.handlers.dropped(frame["topic"], frame["dropped"]);
    if (frame["event"] !== undefined) this.handlers.event(frame["topic"], frame["event"]);
  }

  private lost(): void {
    const held = this.openedAtMs > 0 ? performance.now() - this.openedAtMs : 0;
    this.attempt = held >= stableMs ? 0 : this.attempt + 1;
    this.openedAtMs = 0;
    this.socket = undefined;
    const delayMs = backoffDelayMs(this.attempt, Math.random());
    this.handlers.state({kind: "waiting", retryAtMs: Date.now() + delayMs});
    this.retryTimer = window.setTimeout(() => this.connect(), delayMs);
  }

  private retryNow(): void {
    if (this.retryTimer !== 0) this.connect();
  }

  private checkSilence(): void {
    if (!this.socket || !this.statusSeen || performance.now() - this.lastFrameAtMs < silenceMs) return;
    const socket = this.socket;
    this.lost();
    socket.close();
  }
}
