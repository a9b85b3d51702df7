// Colours of users: their own, moved as far as needed to be readable on the page (WCAG AA: 4.5 to 1).

type Rgb = [number, number, number];

function parseHex(text: string): Rgb | undefined {
  const match = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text);
  if (!match) return undefined;
  return [parseInt(match[1] as string, 16), parseInt(match[2] as string, 16), parseInt(match[3] as string, 16)];
}

function luminance([red, green, blue]: Rgb): number {
  const linear = (channel: number): number => {
    const part = channel / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

export function contrast(first: Rgb, second: Rgb): number {
  const [dark, light] = [luminance(first), luminance(second)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

export const parseColor = parseHex;

// Chat's own palette for users who have chosen none; by name, so that a user keeps one.
const palette = ["#5b9bf5", "#3fb37f", "#d9853b", "#c96fc0", "#8f7ae5", "#d4636b", "#3aa8b8", "#a8a33c"];

function hash(text: string): number {
  let value = 2166136261;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 16777619);
  return value >>> 0;
}

export function paletteColor(name: string): string {
  return palette[hash(name) % palette.length] as string;
}

// `color` moved towards white or black until it stands out from `background`.
export function readableColor(color: string, background: string): string {
  const base = parseHex(color);
  const behind = parseHex(background);
  if (!base || !behind) return background === "#ffffff" ? "#333333" : "#dddddd";
  const target: Rgb = luminance(behind) < 0.4 ? [255, 255, 255] : [0, 0, 0];
  for (let step = 0; step <= 20; step++) {
    const mixed = base.map((channel, index) => Math.round(channel + ((target[index] as number) - channel) * (step / 20)));
    if (contrast(mixed as Rgb, behind) >= 4.6) {
      return "#" + mixed.map((channel) => channel.toString(16).padStart(2, "0")).join("");
    }
  }
  return "#" + target.map((channel) => channel.toString(16).padStart(2, "0")).join("");
}
