// Numbers and times as people read them.  Pure; the page shows all figures through these.

const grouped = new Intl.NumberFormat("en-GB", {maximumFractionDigits: 0});

// Whole, with thousands set apart: 1 234 567.
export function formatCount(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return grouped.format(value).replaceAll(",", "\u202f");
}

// Short: 987, 12.3 k, 4.56 M.
export function formatShort(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size < 10 && !Number.isInteger(value)) return value.toFixed(size < 1 ? 2 : 1);
  if (size < 999.5) return value.toFixed(0);
  const units = ["k", "M", "G", "T"];
  let scaled = value;
  let unit = "";
  for (const next of units) {
    if (Math.abs(scaled) < 999.5) break;
    scaled /= 1000;
    unit = next;
  }
  return `${scaled.toFixed(Math.abs(scaled) < 9.995 ? 2 : Math.abs(scaled) < 99.95 ? 1 : 0)}\u202f${unit}`;
}

export function formatRate(perSecond: number | null | undefined): string {
  return `${formatShort(perSecond)}/s`;
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let scaled = bytes;
  let unit = 0;
  while (Math.abs(scaled) >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit++;
  }
  return `${unit === 0 || scaled >= 99.95 ? scaled.toFixed(0) : scaled.toFixed(1)}\u202f${units[unit]}`;
}

// An age or a duration: 0.4 s, 12 s, 3 min 04 s, 2 h 05 min, 3 d 04 h.
export function formatAge(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const positive = Math.max(0, seconds);
  if (positive < 9.95) return `${positive.toFixed(1)}\u202fs`;
  const whole = Math.round(positive);
  const pad = (value: number): string => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}\u202fs`;
  if (whole < 3600) return `${Math.floor(whole / 60)}\u202fmin ${pad(whole % 60)}\u202fs`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}\u202fh ${pad(Math.floor((whole % 3600) / 60))}\u202fmin`;
  return `${Math.floor(whole / 86400)}\u202fd ${pad(Math.floor((whole % 86400) / 3600))}\u202fh`;
}

// Local time of day, 24 hours.
export function formatClock(timeMs: number): string {
  const time = new Date(timeMs);
  const pad = (value: number): string => String(value).padStart(2, "0");
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}`;
}

export function formatPrice(value: number, decimals: number): string {
  const [whole, fraction] = value.toFixed(decimals).split(".") as [string, string?];
  const head = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return fraction === undefined ? head : `${head}.${fraction}`;
}

// The decimals that a number shows when written out.
export function decimalsOf(value: number): number {
  const text = String(value);
  const exponent = /e-(\d+)$/.exec(text);
  const mantissa = text.replace(/e.*$/, "").split(".")[1]?.length ?? 0;
  return Math.min(12, mantissa + (exponent ? Number(exponent[1]) : 0));
}

export function formatPercent(ratio: number): string {
  const percent = ratio * 100;
  const text = Math.abs(percent).toFixed(2);
  if (text === "0.00") return "0.00\u202f%";
  return `${percent > 0 ? "+" : "−"}${text}\u202f%`;
}
