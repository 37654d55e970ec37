// The arithmetic of small charts: where a value lies, and what the axis says.

export interface Scale {
  /** The top of the axis: a round number that no value passes. */
  top: number;
}

/** The top of an axis that begins at 0: 1, 2, 2.5 or 5 times a power of the base. */
export function scaleOf(values: readonly number[], least = 1, base: 10 | 1024 = 10): Scale {
  let most = least;
  for (const value of values) if (Number.isFinite(value) && value > most) most = value;
  // Bytes are counted by 1,024, so that the axis says 2 MB and not 1.91 MB.
  const unit = base === 1024 ? 1024 ** Math.floor(Math.log(most) / Math.log(1024) + 1e-9) : 1;
  const left = most / unit;
  const power = 10 ** Math.floor(Math.log10(left) + 1e-9);
  for (const step of [1, 2, 2.5, 5, 10]) {
    if (step * power >= left - 1e-9) return { top: step * power * unit };
  }
  return { top: most };
}

/** A place in a chart of 100 by 100, whose y goes down. */
export function placed(at: number, value: number, begin: number, end: number, { top }: Scale): { x: number; y: number } {
  const x = end > begin ? ((at - begin) / (end - begin)) * 100 : 100;
  return { x: round(Math.min(100, Math.max(0, x))), y: round(100 - Math.min(1, Math.max(0, value / top)) * 100) };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/**
 * A line through values at times, both as long; broken where the server was away: where more than
 * `gap` lies between two. One point alone is a dot.
 */
export function line(times: readonly number[], values: readonly number[], begin: number, end: number, scale: Scale, gap: number): string {
  const parts: string[] = [];
  for (let at = 0; at < times.length; at += 1) {
    const time = times[at] ?? 0;
    const { x, y } = placed(time, values[at] ?? 0, begin, end, scale);
    const before = at > 0 ? (times[at - 1] ?? 0) : undefined;
    const after = times[at + 1];
    const begins = before === undefined || time - before > gap;
    const ends = after === undefined || after - time > gap;
    parts.push(begins ? `M${x} ${y}` : `L${x} ${y}`);
    if (begins && ends) parts.push(`h0.01`);
  }
  return parts.join('');
}

const MINUTE = 60_000;

/** How far back a chart goes, in milliseconds: the last hour, or less of it where there is less. */
export function reach(known: number): number {
  return [5, 10, 15, 30, 60].map((minutes) => minutes * MINUTE).find((step) => known <= step) ?? 60 * MINUTE;
}

/** The index of the time nearest to where a pointer is, from 0 to 1 across; -1 of none. */
export function nearest(times: readonly number[], begin: number, end: number, across: number): number {
  const wanted = begin + across * (end - begin);
  let found = -1;
  let least = Number.POSITIVE_INFINITY;
  for (let at = 0; at < times.length; at += 1) {
    const distance = Math.abs((times[at] ?? 0) - wanted);
    if (distance < least) [found, least] = [at, distance];
  }
  return found;
}
