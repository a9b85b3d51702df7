import assert from "node:assert/strict";
import {test} from "node:test";
import {backoffDelayMs} from "../src/backoff.ts";
import {contrast, paletteColor, parseColor, readableColor} from "../src/color.ts";
import {decimalsOf, formatAge, formatBytes, formatCount, formatPercent, formatPrice, formatRate, formatShort} from "../src/format.ts";

const plain = (text: string): string => text.replace(/\u202f/g, "_");

test("counts are whole and set apart by thousands", () => {
  assert.equal(plain(formatCount(1234567)), "1_234_567");
  assert.equal(formatCount(0), "0");
  assert.equal(formatCount(undefined), "–");
  assert.equal(formatCount(NaN), "–");
});

test("short numbers keep three figures", () => {
  const cases: [number, string][] = [[0, "0"], [0.25, "0.25"], [7.25, "7.3"], [12.6, "13"], [999, "999"], [1000, "1.00_k"],
    [12345, "12.3_k"], [999_600, "1.00_M"], [4_560_000, "4.56_M"], [-2500, "-2.50_k"]];
  for (const [value, text] of cases) assert.equal(plain(formatShort(value)), text);
  assert.equal(plain(formatRate(1500)), "1.50_k/s");
});

test("ages read as people say them", () => {
  const cases: [number, string][] = [[-1, "0.0_s"], [0.44, "0.4_s"], [9.97, "10_s"], [59.4, "59_s"], [59.6, "1_min_00_s"], [184, "3_min_04_s"],
    [7500, "2_h_05_min"], [273_600, "3_d_04_h"]];
  for (const [value, text] of cases) assert.equal(plain(formatAge(value)).replaceAll(" ", "_"), text);
  assert.equal(formatAge(undefined), "–");
});

test("bytes in powers of 1024", () => {
  assert.equal(plain(formatBytes(512)), "512_B");
  assert.equal(plain(formatBytes(1536)), "1.5_KiB");
  assert.equal(plain(formatBytes(3 * 1024 ** 3)), "3.0_GiB");
});

test("prices keep their decimals", () => {
  assert.equal(plain(formatPrice(84123.1, 2)), "84_123.10");
  assert.equal(formatPrice(0.15, 5), "0.15000");
  assert.equal(plain(formatPrice(1234567, 0)), "1_234_567");
  assert.equal(decimalsOf(84123.1), 1);
  assert.equal(decimalsOf(1e-8), 8);
  assert.equal(decimalsOf(1.5e-7), 8);
  assert.equal(decimalsOf(100), 0);
});

test("a change that rounds to nothing has no sign", () => {
  assert.equal(plain(formatPercent(0.0123)), "+1.23_%");
  assert.equal(plain(formatPercent(-0.0123)), "−1.23_%");
  assert.equal(plain(formatPercent(-0.00001)), "0.00_%");
});

test("every colour of a user becomes readable on both themes", () => {
  for (const background of ["#141a22", "#ffffff"]) {
    for (const color of ["#0000ff", "#ffff00", "#000000", "#ffffff", "#8a2be2", "#808080", paletteColor("someone")]) {
      const readable = parseColor(readableColor(color, background));
      assert.ok(readable && contrast(readable, parseColor(background)!) >= 4.5, `${color} on ${background}`);
    }
  }
  assert.equal(readableColor("red; background: url(x)", "#141a22"), "#dddddd");
});

test("back-off grows to its cap, jitters fully, and never spins", () => {
  assert.equal(backoffDelayMs(0, 1), 500);
  assert.equal(backoffDelayMs(3, 1), 4000);
  assert.equal(backoffDelayMs(50, 1), 15000);
  assert.equal(backoffDelayMs(50, 0), 250);
  assert.equal(backoffDelayMs(3, 0.5), 2000);
});
