// One symbol's card: the last price and its change as text, a line per exchange, volume below, gaps shaded.
import uPlot from "uplot";
import {clip, element, setData, setHidden, setText} from "./dom.ts";
import {decimalsOf, formatAge, formatClock, formatPercent, formatPrice, formatRate, formatShort} from "./format.ts";
import type {Series, SymbolState} from "./market_model.ts";
import {cssColor} from "./theme.ts";

const colorCount = 4;
const font = "11px system-ui, sans-serif";
const staleAfterMs = 30_000;

const arrows = {up: "▲", down: "▼", flat: "■"};

export class ChartCard {
  readonly root = element("article", "card");
  private readonly state: SymbolState;
  private readonly price = element("span", "price number");
  private readonly mid = element("span", "tag mid", "mid");
  private readonly arrow = element("span", "arrow");
  private readonly change = element("span", "change number");
  private readonly stale = element("span", "tag stale");
  private readonly legend = element("ul", "legend");
  private readonly readout = element("p", "readout number");
  private readonly plotBox = element("div", "plot");
  private readonly legendRows = new Map<Series, {price: HTMLElement; rate: HTMLElement; volume: HTMLElement}>();
  private readonly resized: ResizeObserver;
  private plot: uPlot | undefined;
  private spanMs = 60_000;
  private fromMs = 0;
  private toMs = 0;
  private hovered: number | null = null;

  constructor(state: SymbolState) {
    this.state = state;
    const heading = element("h3", "", clip(state.symbol, 24));
    const wide = element("button", "icon widen", "⤢");
    wide.type = "button";
    wide.title = "Larger chart";
    wide.setAttribute("aria-label", `Larger chart of ${clip(state.symbol, 24)}`);
    wide.setAttribute("aria-pressed", "false");
    wide.addEventListener("click", () => {
      const isWide = this.root.classList.toggle("wide");
      wide.setAttribute("aria-pressed", String(isWide));
    });
    this.stale.hidden = true;
    this.mid.title = "The middle between bid and ask: nothing has been traded yet";
    this.arrow.setAttribute("role", "img");
    this.root.append(
      element("header", "", heading, this.stale, this.mid, this.arrow, this.price, this.change, wide),
      element("div", "graph", this.plotBox, this.readout), this.legend,
    );
    this.plotBox.setAttribute("aria-hidden", "true"); // the figures beside it say the same
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.plotBox);
  }

  destroy(): void {
    this.resized.disconnect();
    this.plot?.destroy();
    this.root.remove();
  }

  themeChanged(): void {
    this.plot?.destroy();
    this.plot = undefined;
  }

  // Redraws the lines: at most a few times a second, see MarketView.
  draw(spanMs: number, nowMs: number): void {
    this.spanMs = spanMs;
    this.toMs = this.state.timeNowMs(nowMs);
    this.fromMs = this.toMs - spanMs;
    const window = this.state.window(this.fromMs, this.toMs);
    const data = [window.times, ...window.prices, window.volumes] as uPlot.AlignedData;
    if (this.plot && this.plot.series.length !== data.length) this.themeChanged();
    if (!this.plot) this.plot = this.makePlot(data);
    else this.plot.setData(data);
    this.drawText(nowMs);
  }

  private drawText(nowMs: number): void {
    const leader = this.state.leader;
    if (!leader) return;
    const decimals = this.state.decimals;
    setText(this.price, formatPrice(leader.lastPrice, leader.traded ? decimals : Math.min(decimals + 1, decimalsOf(leader.lastPrice))));
    setHidden(this.mid, leader.traded);
    setText(this.arrow, arrows[leader.direction]);
    if (this.arrow.getAttribute("aria-label") !== leader.direction) this.arrow.setAttribute("aria-label", leader.direction);
    setData(this.price, "direction", leader.direction);
    setData(this.arrow, "direction", leader.direction);
    const change = this.state.change(this.fromMs, this.toMs);
    setText(this.change, change === undefined ? "" : formatPercent(change));
    setData(this.change, "direction", change === undefined || Math.abs(change) < 5e-5 ? "flat" : change > 0 ? "up" : "down");
    const silentMs = nowMs - this.state.lastAtMs;
    const isStale = silentMs >= staleAfterMs;
    setHidden(this.stale, !isStale);
    setHidden(this.arrow, isStale);
    setHidden(this.change, isStale);
    if (isStale) setText(this.stale, `stale ${formatAge(Math.round(silentMs / 1000))}`);
    this.drawLegend(nowMs, decimals);
    this.drawReadout();
  }

  private drawLegend(nowMs: number, decimals: number): void {
    this.state.series.forEach((series, index) => {
      let row = this.legendRows.get(series);
      if (!row) {
        row = {price: element("span", "number"), rate: element("span", "number quiet"), volume: element("span", "number quiet")};
        const item = element("li", "", element("span", `swatch ${colorName(series)}`), element("span", "exchange", clip(series.exchange, 16)),
          row.price, row.rate, row.volume);
        this.legend.insertBefore(item, this.legend.children[index] ?? null);
        this.legendRows.set(series, row);
      }
      setText(row.price, series.traded ? formatPrice(series.lastPrice, decimals) : "");
      setText(row.rate, formatRate(series.rate.perSecond(nowMs)));
      setText(row.volume, series.traded ? `vol ${formatShort(series.volumeSince(this.fromMs, this.toMs))}` : quoteText(series));
    });
  }

  private drawReadout(): void {
    const index = this.hovered;
    if (index === null || !this.plot) {
      setText(this.readout, "");
      return;
    }
    const timeMs = (this.plot.data[0]?.[index] ?? 0) * 1000;
    const parts = [formatClock(timeMs)];
    this.state.series.forEach((series, at) => {
      const price = this.plot?.data[at + 1]?.[index];
      if (typeof price === "number") parts.push(`${clip(series.exchange, 16)} ${formatPrice(price, this.state.decimals)}`);
    });
    const volume = this.plot.data[this.state.series.length + 1]?.[index];
    if (typeof volume === "number" && volume > 0) parts.push(`vol ${formatShort(volume)}`);
    const gap = this.state.gaps.find((each) => each.fromMs <= timeMs && timeMs <= each.toMs);
    if (gap) parts.push(gap.text);
    setText(this.readout, parts.join("  ·  "));
  }

  private size(): {width: number; height: number} {
    return {width: Math.max(120, this.plotBox.clientWidth), height: Math.max(80, this.plotBox.clientHeight)};
  }

  private resize(): void {
    const size = this.size();
    if (this.plot && (this.plot.width !== size.width || this.plot.height !== size.height)) this.plot.setSize(size);
  }

  private makePlot(data: uPlot.AlignedData): uPlot {
    const quiet = cssColor("muted");
    const grid = {stroke: cssColor("grid"), width: 1};
    const volumeBars = uPlot.paths.bars?.({size: [0.9, 8], align: 1});
    const steps = uPlot.paths.stepped?.({align: 1}); // a price holds until the next
    const lines = this.state.series.map((series): uPlot.Series => ({
      stroke: cssColor(colorName(series)), width: 1.5, points: {show: isAlone, size: 4}, ...(steps && {paths: steps}),
    }));
    const bars: uPlot.Series = {
      scale: "volume", fill: cssColor("volume"), width: 0, points: {show: false}, ...(volumeBars && {paths: volumeBars}),
    };
    return new uPlot({
      ...this.size(),
      padding: [8, 0, 0, 8],
      legend: {show: false},
      cursor: {y: false, drag: {x: false, y: false}, points: {show: false}, sync: {key: "market"}},
      scales: {
        x: {time: true, range: () => [this.fromMs / 1000, this.toMs / 1000]},
        y: {range: (_, low, high) => priceRange(low, high, this.state.decimals)},
        volume: {range: (_, __, high) => [0, Math.max(high ?? 0, 1e-12) * 4]},
      },
      axes: [
        {stroke: quiet, grid, ticks: {show: false}, font, size: 24, gap: 4, space: 72,
         values: (plot, splits) => splits.map((time) => this.timeLabel(plot, time))},
        {side: 1, stroke: quiet, grid, ticks: {show: false}, font, gap: 4, space: 32,
         size: (_, values) => 12 + 6.4 * Math.max(4, ...(values ?? []).map((value) => value.length)),
         values: (plot, splits, _, __, step) => axisPrices(splits, step, plot.scales["y"]?.min ?? 0, plot.scales["y"]?.max ?? 1)},
      ],
      series: [{}, ...lines, bars],
      hooks: {
        drawClear: [(plot) => this.shadeGaps(plot)],
        setCursor: [(plot) => {
          this.hovered = plot.cursor.idx ?? null;
          this.drawReadout();
        }],
      },
    }, data, this.plotBox);
  }

  // None where it would not fit before the left edge.
  private timeLabel(plot: uPlot, time: number): string {
    const short = this.spanMs > 120_000;
    if (plot.valToPos(time, "x") < (short ? 10 : 20)) return "";
    return formatClock(time * 1000).slice(0, short ? 5 : 8);
  }

  private shadeGaps(plot: uPlot): void {
    const {left, top, width, height} = plot.bbox;
    plot.ctx.save();
    plot.ctx.fillStyle = cssColor("gap");
    for (const gap of this.state.gaps) {
      const from = Math.max(left, plot.valToPos(gap.fromMs / 1000, "x", true));
      const to = Math.min(left + width, Math.max(from + 2, plot.valToPos(gap.toMs / 1000, "x", true)));
      if (to > left && from < left + width) plot.ctx.fillRect(from, top, to - from, height);
    }
    plot.ctx.restore();
  }
}

// With all the digits that this exchange's quotes have.
function quoteText(series: Series): string {
  if (series.bid === undefined || series.ask === undefined) return "";
  return `bid ${formatPrice(series.bid, series.decimals)}  ask ${formatPrice(series.ask, series.decimals)}`;
}

// A line needs two prices; one alone is drawn as a point.
function isAlone(plot: uPlot, index: number): boolean {
  return (plot.data[index] ?? []).filter((price) => typeof price === "number").length === 1;
}

// An exchange has one colour in all charts.
function colorName(series: Series): string {
  return `series-${(series.colorIndex % colorCount) + 1}`;
}

// Room above for the line and below for the volume bars; a flat price gets a range of a few of its last digits.
function priceRange(low: number | null, high: number | null, decimals: number): [number, number] {
  if (low === null || high === null) return [0, 1];
  const height = Math.max(high - low, 4 * 10 ** -decimals);
  return [low - height * 0.35, high + height * 0.1];
}

// The lowest part belongs to the volume and, beside it, to the time's labels.
function axisPrices(splits: number[], step: number, low: number, high: number): string[] {
  const decimals = Math.max(0, Math.min(8, Math.ceil(-Math.log10(step) - 1e-9)));
  const labels = splits.map((value) => (value < low + (high - low) * 0.1 ? "" : formatPrice(value, decimals)));
  return labels.map((label, index) => (label === labels[index - 1] ? "" : label));
}
