// When to send PING, and when a connection counts as dead. Time comes from outside, in
// milliseconds, so that a page that slept is judged by the clock and not by its timers.

/** How long a PONG may take. */
export const PONG_LIMIT = 3_000;

export type Beat = { do: 'ping'; number: number } | { do: 'dead' } | { do: 'wait'; until: number };

export class Heartbeat {
  private next: number;
  private number = 0;
  private waiting: { number: number; until: number } | undefined;

  constructor(
    now: number,
    private readonly every: number,
  ) {
    this.next = now + every;
  }

  poll(now: number): Beat {
    if (this.waiting) {
      return now >= this.waiting.until ? { do: 'dead' } : { do: 'wait', until: this.waiting.until };
    }
    if (now < this.next) return { do: 'wait', until: this.next };
    this.number += 1;
    this.waiting = { number: this.number, until: now + PONG_LIMIT };
    this.next = now + this.every;
    return { do: 'ping', number: this.number };
  }

  /** PING at the next poll: the page came to the foreground, or the network changed. */
  hurry(now: number): void {
    this.next = now;
    // A PING from before the page slept says nothing about the connection now.
    if (this.waiting && now >= this.waiting.until) this.waiting = undefined;
  }

  pong(number: number): void {
    if (this.waiting?.number === number) this.waiting = undefined;
  }

  /** The same where PONGs bear no number. */
  answered(): void {
    this.waiting = undefined;
  }
}
