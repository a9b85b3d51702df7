// Delay before the next attempt to connect: exponential with full jitter, so that a hundred tabs do not come back
// at once; never under 250 ms, so that a refused connection does not spin.
const firstMs = 500;
const capMs = 15_000;
const leastMs = 250;

export function backoffDelayMs(attempt: number, random: number): number {
  const ceiling = Math.min(capMs, firstMs * 2 ** Math.min(attempt, 10));
  return Math.max(leastMs, Math.round(ceiling * random));
}
