// Containers that cannot grow: a tab left open for a day holds as much as after its first hour.

// The last `capacity` values, oldest first.
export class Ring<T> {
  readonly capacity: number;
  private readonly slots: T[] = [];
  private start = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get length(): number {
    return this.slots.length;
  }

  // Returns the value that had to leave.
  push(value: T): T | undefined {
    if (this.slots.length < this.capacity) {
      this.slots.push(value);
      return undefined;
    }
    const evicted = this.slots[this.start];
    this.slots[this.start] = value;
    this.start = (this.start + 1) % this.capacity;
    return evicted;
  }

  at(index: number): T | undefined {
    if (index < 0 || index >= this.slots.length) return undefined;
    return this.slots[(this.start + index) % this.slots.length];
  }

  // The last `limit` values that `keep` accepts, oldest first.
  lastMatching(limit: number, keep: (value: T) => boolean): T[] {
    const found: T[] = [];
    for (let index = this.length - 1; index >= 0 && found.length < limit; index--) {
      const value = this.at(index) as T;
      if (keep(value)) found.push(value);
    }
    return found.reverse();
  }

  forEach(visit: (value: T) => void): void {
    for (let index = 0; index < this.length; index++) visit(this.at(index) as T);
  }
}

// Remembers at least the last `capacity` ids and at most twice as many.
export class RecentIds {
  private current = new Set<string>();
  private previous = new Set<string>();
  private readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  // False if the id was seen before.
  add(id: string): boolean {
    if (this.current.has(id) || this.previous.has(id)) return false;
    if (this.current.size >= this.capacity) {
      this.previous = this.current;
      this.current = new Set();
    }
    this.current.add(id);
    return true;
  }
}

// Events per second over the last ten whole seconds.
export class RateMeter {
  private static readonly seconds = 10;
  private readonly counts = new Array<number>(RateMeter.seconds + 1).fill(0);
  private second = 0;
  private firstSecond = -1;

  add(nowMs: number, count = 1): void {
    this.advance(nowMs);
    if (this.firstSecond < 0) this.firstSecond = this.second;
    const slot = this.second % this.counts.length;
    this.counts[slot] = (this.counts[slot] as number) + count;
  }

  perSecond(nowMs: number): number {
    this.advance(nowMs);
    if (this.firstSecond < 0) return 0;
    const current = this.counts[this.second % this.counts.length] as number;
    const total = this.counts.reduce((sum, count) => sum + count, 0) - current;
    const spanSeconds = Math.min(RateMeter.seconds, this.second - this.firstSecond);
    return spanSeconds === 0 ? current : total / spanSeconds;
  }

  private advance(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const first = Math.max(this.second + 1, second - this.counts.length + 1);
    for (let passed = first; passed <= second; passed++) this.counts[passed % this.counts.length] = 0;
    if (second > this.second) this.second = second;
  }
}
