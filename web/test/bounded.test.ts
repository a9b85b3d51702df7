import assert from "node:assert/strict";
import {test} from "node:test";
import {RateMeter, RecentIds, Ring} from "../src/bounded.ts";

test("a ring keeps the last values in order and says what had to leave", () => {
  const ring = new Ring<number>(3);
  assert.deepEqual([1, 2, 3, 4, 5].map((value) => ring.push(value)), [undefined, undefined, undefined, 1, 2]);
  assert.deepEqual([ring.at(0), ring.at(1), ring.at(2), ring.at(3), ring.at(-1)], [3, 4, 5, undefined, undefined]);
  const seen: number[] = [];
  ring.forEach((value) => seen.push(value));
  assert.deepEqual(seen, [3, 4, 5]);
});

test("the last matching values of a ring, oldest first", () => {
  const ring = new Ring<number>(100);
  for (let value = 0; value < 150; value++) ring.push(value);
  assert.deepEqual(ring.lastMatching(3, (value) => value % 2 === 0), [144, 146, 148]);
  assert.deepEqual(ring.lastMatching(3, () => false), []);
});

test("recent ids are known for at least the capacity and forgotten after twice that", () => {
  const ids = new RecentIds(10);
  for (let id = 0; id < 25; id++) assert.equal(ids.add(String(id)), true);
  for (let id = 15; id < 25; id++) assert.equal(ids.add(String(id)), false, String(id));
  assert.equal(ids.add("0"), true);
});

test("the rate is the mean over whole seconds, at most ten", () => {
  const rate = new RateMeter();
  assert.equal(rate.perSecond(1_000_000), 0);
  for (let ms = 0; ms < 4000; ms += 100) rate.add(1_000_000 + ms);
  assert.equal(rate.perSecond(1_004_000), 10);
  assert.equal(rate.perSecond(1_008_000), 5);
  assert.equal(rate.perSecond(1_030_000), 0);
});

test("the rate survives a clock that goes back", () => {
  const rate = new RateMeter();
  rate.add(2_000_000);
  rate.add(1_000_000);
  assert.ok(rate.perSecond(2_001_000) >= 0);
});
