// The charts, one card a symbol.  A chart is redrawn a few times a second, and no more than `drawsPerFrame` of them
// in one frame, so that many charts cost many frames a little instead of one frame all.
import {ChartCard} from "./chart.ts";
import {byId, setHidden, setText} from "./dom.ts";
import {formatCount, formatRate} from "./format.ts";
import type {MarketModel, SymbolState} from "./market_model.ts";

const shownCharts = 24;
const drawsPerFrame = 3;

interface Shown {
  readonly state: SymbolState;
  readonly card: ChartCard;
  drawnAtMs: number;
}

export class MarketView {
  private readonly model: MarketModel;
  private readonly grid = byId("charts");
  private readonly empty = byId("market-empty");
  private readonly shown = new Map<SymbolState, Shown>();
  private readonly visible = new Set<Element>();
  private readonly watcher: IntersectionObserver;
  private readonly redraw: () => void;
  private spanMs = 60_000;
  private filter = "";

  constructor(model: MarketModel, redraw: () => void) {
    this.model = model;
    this.redraw = redraw;
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) this.visible.add(entry.target);
        else this.visible.delete(entry.target);
      }
      redraw();
    }, {rootMargin: "200px"});
    const form = byId<HTMLFormElement>("market-controls");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", (event) => {
      const input = event.target as HTMLInputElement;
      if (input.name === "span") this.spanMs = Number(input.value) * 1000;
      this.redrawAll();
    });
    byId<HTMLInputElement>("market-filter").addEventListener("input", (event) => {
      this.filter = (event.target as HTMLInputElement).value.trim().toLowerCase();
      this.redrawAll();
    });
  }

  themeChanged(): void {
    for (const shown of this.shown.values()) shown.card.themeChanged();
    this.redrawAll();
  }

  // True if charts are still waiting for a frame of their own.
  render(nowMs: number): boolean {
    const matching = this.arrange();
    setText(byId("market-rate"), formatRate(this.model.rate.perSecond(nowMs)));
    const size = [...this.model.symbols.values()].filter((state) => state.series.length > 0).length;
    const hiddenCount = matching - this.shown.size;
    setText(byId("market-count"), size === 0 ? "" :
      `${formatCount(size)} ${size === 1 ? "symbol" : "symbols"}${hiddenCount > 0 ? `, ${hiddenCount} not shown: filter to see them` : ""}`);
    setHidden(this.empty, this.shown.size > 0);
    if (this.shown.size === 0) setText(this.empty, size === 0 ? "Waiting for the first trade" : "No symbol matches this filter");
    return this.drawDue(nowMs);
  }

  private redrawAll(): void {
    for (const shown of this.shown.values()) shown.drawnAtMs = 0;
    this.redraw();
  }

  // Makes and drops cards as symbols come and go.  Returns how many symbols match the filter.
  private arrange(): number {
    const matching = [...this.model.symbols.values()]
      .filter((state) => state.series.length > 0 && state.symbol.toLowerCase().includes(this.filter))
      .sort((first, second) => Number(second.traded) - Number(first.traded) || (first.symbol < second.symbol ? -1 : 1));
    const wanted = matching.slice(0, shownCharts);
    for (const [state, shown] of this.shown) {
      if (wanted.includes(state)) continue;
      this.watcher.unobserve(shown.card.root);
      this.visible.delete(shown.card.root);
      shown.card.destroy();
      this.shown.delete(state);
    }
    wanted.forEach((state, index) => {
      let shown = this.shown.get(state);
      if (!shown) {
        shown = {state, card: new ChartCard(state), drawnAtMs: 0};
        this.shown.set(state, shown);
        this.watcher.observe(shown.card.root);
        this.visible.add(shown.card.root);
      }
      if (this.grid.children[index] !== shown.card.root) this.grid.insertBefore(shown.card.root, this.grid.children[index] ?? null);
    });
    return matching.length;
  }

  private drawDue(nowMs: number): boolean {
    const everyMs = Math.max(250, this.spanMs / 1200);
    const due = [...this.shown.values()]
      .filter((shown) => this.visible.has(shown.card.root) && nowMs - shown.drawnAtMs >= everyMs)
      .sort((first, second) => first.drawnAtMs - second.drawnAtMs);
    for (const shown of due.slice(0, drawsPerFrame)) {
      shown.card.draw(this.spanMs, nowMs);
      shown.drawnAtMs = nowMs;
    }
    return due.length > drawsPerFrame;
  }
}
