// How long to wait before the next attempt: steps that double, with jitter, so that the clients of
// a server that comes back do not come all at once.

export class Backoff {
  private next: number;

  /** Waits in milliseconds. */
  constructor(
    private readonly first = 250,
    private readonly limit = 15_000,
    private readonly random: () => number = Math.random,
  ) {
    this.next = first;
  }

  /** The next wait: between half and the whole of the step. */
  wait(): number {
    const step = this.next;
    this.next = Math.min(step * 2, this.limit);
    return step * (0.5 + 0.5 * this.random());
  }

  /** A short wait that does not count as a failure. */
  soon(): number {
    return this.first * (0.5 + 0.5 * this.random());
  }

  /** It works: the next wait is the first again. */
  reset(): void {
    this.next = this.first;
  }
}
