// What the Market module knows: for each symbol and exchange the last quarter of an hour of prices, in half seconds.
//
// Buckets lie on the grid of event time, so the lines of several exchanges share one time axis; a bucket is found by
// its number modulo `bucketCount` and is cleared when a later number takes its place.
import {RateMeter, RecentIds} from "./bounded.ts";
import {decimalsOf} from "./format.ts";
import type {Arrival, MarketEvent} from "./schema.ts";

export const bucketMs = 500;
const bucketCount = 1800;
export const keptMs = bucketMs * bucketCount;
export const keptSymbols = 64;
const keptExchanges = 8; // of one symbol
const keptGaps = 64;
const knownExchanges = ["binance", "coinbase", "simulated"]; // these keep their colours whoever trades first
const startAnewAfter = 8; // trades older than all that is kept, one after the other

export interface MarketGap {
  readonly fromMs: number;
  toMs: number;
  readonly text: string;
}

export class Series {
  readonly exchange: string;
  readonly colorIndex: number; // one for each exchange
  readonly rate = new RateMeter();
  lastPrice = NaN;
  lastTimeMs = -Infinity; // event time
  lastAtMs = 0; // arrival
  direction: "up" | "down" | "flat" = "flat";
  traded = false; // until then the line is the middle of the quotes
  bid: number | undefined;
  ask: number | undefined;
  decimals = 0; // that its quotes have shown
  private oldInARow = 0;
  private readonly numbers = new Float64Array(bucketCount).fill(-1);
  private readonly prices = new Float64Array(bucketCount);
  private readonly volumes = new Float64Array(bucketCount);

  constructor(exchange: string, colorIndex: number) {
    this.exchange = exchange;
    this.colorIndex = colorIndex;
  }

  addTrade(timeMs: number, price: number, volume: number, arrival: Arrival): void {
    this.traded = true;
    this.add(timeMs, price, volume, arrival);
  }

  addQuote(timeMs: number, bid: number, ask: number, arrival: Arrival): void {
    this.bid = bid;
    this.ask = ask;
    this.decimals = Math.max(this.decimals, Math.min(12, decimalsOf(bid)), Math.min(12, decimalsOf(ask)));
    if (!this.traded) this.add(timeMs, (bid + ask) / 2, 0, arrival);
  }

  private add(timeMs: number, price: number, volume: number, arrival: Arrival): void {
    if (!this.isOfThisTime(timeMs)) return;
    const number = Math.floor(timeMs / bucketMs);
    const slot = number % bucketCount;
    const there = this.numbers[slot] as number;
    if (there > number) return; // older than what is kept
    if (there < number) {
      this.numbers[slot] = number;
      this.volumes[slot] = 0;
      this.prices[slot] = price;
    }
    this.volumes[slot] = (this.volumes[slot] as number) + volume;
    this.lastAtMs = arrival.atMs;
    if (arrival.live) this.rate.add(arrival.atMs);
    if (timeMs < this.lastTimeMs) return;
    this.prices[slot] = price;
    if (price > this.lastPrice) this.direction = "up";
    else if (price < this.lastPrice) this.direction = "down";
    this.lastPrice = price;
    this.lastTimeMs = timeMs;
  }

  // Trades from before the kept time are late ones, unless they keep coming: then time itself has gone back (a
  // replay began again, or one trade had claimed the future) and the series starts anew.
  private isOfThisTime(timeMs: number): boolean {
    if (timeMs >= this.lastTimeMs - keptMs) {
      this.oldInARow = 0;
      return true;
    }
    if (++this.oldInARow < startAnewAfter) return false;
    this.oldInARow = 0;
    this.numbers.fill(-1);
    this.lastTimeMs = -Infinity;
    return true;
  }

  // undefined: no trade in that half second.
  priceAt(number: number): number | undefined {
    const slot = number % bucketCount;
    return this.numbers[slot] === number ? this.prices[slot] : undefined;
  }

  // The price that was in force when the bucket began; undefined if it is older than what is kept or than `since`.
  priceBefore(number: number, since: number): number | undefined {
    for (let earlier = number - 1; earlier > Math.max(since, number - bucketCount); earlier--) {
      const price = this.priceAt(earlier);
      if (price !== undefined) return price;
    }
    return undefined;
  }

  volumeAt(number: number): number {
    const slot = number % bucketCount;
    return this.numbers[slot] === number ? (this.volumes[slot] as number) : 0;
  }

  volumeSince(fromMs: number, toMs: number): number {
    let sum = 0;
    for (let number = Math.floor(fromMs / bucketMs); number * bucketMs <= toMs; number++) sum += this.volumeAt(number);
    return sum;
  }
}

export interface Window {
  readonly times: number[]; // seconds, as uPlot wants them
  readonly prices: (number | null | undefined)[][]; // by series; null breaks the line
  readonly volumes: number[];
}

export class SymbolState {
  readonly symbol: string;
  readonly series: Series[] = []; // by name
  readonly gaps: MarketGap[] = [];
  decimals = 0;
  lastAtMs = 0;

  constructor(symbol: string) {
    this.symbol = symbol;
  }

  // The series that traded last.
  get leader(): Series | undefined {
    let leader: Series | undefined;
    for (const series of this.series) if (!leader || series.lastTimeMs > leader.lastTimeMs) leader = series;
    return leader;
  }

  get traded(): boolean {
    return this.series.some((series) => series.traded);
  }

  seriesOf(exchange: string, colorIndex: number): Series | undefined {
    let found = this.series.find((series) => series.exchange === exchange);
    if (!found && this.series.length < keptExchanges) {
      found = new Series(exchange, colorIndex);
      this.series.push(found);
      this.series.sort((first, second) => (first.exchange < second.exchange ? -1 : 1));
    }
    return found;
  }

  // Event time now: the latest trade's, carried on by the time since it came.  A feed that has stopped so leaves
  // the right of its chart empty, and the browser's clock need not agree with the exchange's.
  timeNowMs(nowMs: number): number {
    const leader = this.leader;
    return leader && leader.lastTimeMs > 0 ? leader.lastTimeMs + (nowMs - leader.lastAtMs) : nowMs;
  }

  window(fromMs: number, toMs: number): Window {
    const first = Math.floor(fromMs / bucketMs);
    const last = Math.floor(toMs / bucketMs);
    const lastGapMs = Math.max(...this.gaps.filter((gap) => gap.fromMs < fromMs).map((gap) => gap.toMs));
    const gaps = this.gaps.filter((gap) => gap.fromMs <= toMs && gap.toMs >= fromMs);
    const times: number[] = [];
    const volumes: number[] = [];
    const prices: (number | null | undefined)[][] = this.series.map(() => []);
    for (let number = first; number <= last; number++) {
      const startMs = number * bucketMs;
      const inGap = gaps.some((gap) => gap.fromMs < startMs + bucketMs && gap.toMs > startMs);
      times.push(startMs / 1000);
      let volume = 0;
      this.series.forEach((series, index) => {
        const price = series.priceAt(number) ?? (number === first && !inGap ? series.priceBefore(first, Math.floor(lastGapMs / bucketMs)) : undefined);
        (prices[index] as (number | null | undefined)[]).push(price ?? (inGap ? null : undefined));
        volume += series.volumeAt(number);
      });
      volumes.push(volume);
    }
    return {times, prices, volumes};
  }

  // The price at the window's start, for the change over it; undefined while nothing lies there.
  change(fromMs: number, toMs: number): number | undefined {
    const leader = this.leader;
    if (!leader) return undefined;
    const last = Math.floor(toMs / bucketMs);
    for (let number = Math.floor(fromMs / bucketMs); number <= last; number++) {
      const price = leader.priceAt(number);
      if (price !== undefined && price !== 0) return leader.lastPrice / price - 1;
    }
    return undefined;
  }

  showDecimals(price: number): void {
    this.decimals = Math.max(this.decimals, Math.min(8, decimalsOf(price)));
  }

  addGap(gap: MarketGap): void {
    this.gaps.push(gap);
    if (this.gaps.length > keptGaps) this.gaps.shift();
  }
}

export class MarketModel {
  readonly symbols = new Map<string, SymbolState>();
  readonly rate = new RateMeter();
  lastEventAtMs = 0;
  private readonly seen = new RecentIds(16384);
  private readonly exchanges = [...knownExchanges]; // their place gives their colour

  add(event: MarketEvent, arrival: Arrival): void {
    if (event.symbol === "" || !this.seen.add(event.id)) return;
    this.lastEventAtMs = Math.max(this.lastEventAtMs, arrival.atMs);
    if (arrival.live) this.rate.add(arrival.atMs);
    const state = this.symbolOf(event.symbol);
    if (event.kind === "gap" && event.gap) {
      const count = event.gap.count === undefined ? "trades missing" : `${event.gap.count} trades missing`;
      state.addGap({fromMs: event.gap.fromMs, toMs: event.gap.toMs, text: `${event.exchange}: ${count}`});
      return;
    }
    const series = state.seriesOf(event.exchange, this.colorIndex(event.exchange));
    if (event.kind === "trade" && event.price !== undefined) {
      series?.addTrade(event.timeMs, event.price, event.volume ?? 0, arrival);
      state.showDecimals(event.price);
    } else if (event.kind === "quote" && event.bid !== undefined && event.ask !== undefined) {
      series?.addQuote(event.timeMs, event.bid, event.ask, arrival);
      state.showDecimals(event.bid);
      state.showDecimals(event.ask);
    } else return;
    state.lastAtMs = arrival.atMs;
  }

  // The page itself was not listening between the two arrivals: what its lines miss there is shown.
  pageWasAway(fromMs: number, toMs: number): void {
    for (const state of this.symbols.values()) {
      const offset = state.timeNowMs(fromMs) - fromMs;
      state.addGap({fromMs: fromMs + offset, toMs: toMs + offset, text: "this page was disconnected"});
    }
  }

  private colorIndex(exchange: string): number {
    const index = this.exchanges.indexOf(exchange);
    if (index >= 0 || this.exchanges.length >= keptExchanges) return Math.max(0, index);
    return this.exchanges.push(exchange) - 1;
  }

  // The symbol that has been silent longest makes room for a new one.
  private symbolOf(symbol: string): SymbolState {
    let state = this.symbols.get(symbol);
    if (state) return state;
    if (this.symbols.size >= keptSymbols) {
      let oldest: SymbolState | undefined;
      for (const other of this.symbols.values()) if (!oldest || other.lastAtMs < oldest.lastAtMs) oldest = other;
      if (oldest) this.symbols.delete(oldest.symbol);
    }
    state = new SymbolState(symbol);
    this.symbols.set(symbol, state);
    return state;
  }
}
