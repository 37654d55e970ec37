// The arithmetic of a long list of which only what is seen is there.

/** What the server sends at most. */
export const MOST = 200;

export interface Range {
  from: number;
  count: number;
}

/** The rows that are seen, wholly or in part. */
export function seen(top: number, height: number, rowHeight: number, total: number): Range {
  const from = Math.min(Math.max(0, Math.floor(top / rowHeight)), Math.max(0, total - 1));
  const end = Math.min(total, Math.ceil((top + height) / rowHeight));
  return { from, count: Math.max(0, end - from) };
}

/** The window to ask for: what is seen and a margin of a screen on both sides. */
export function wanted(visible: Range): Range {
  const room = Math.max(0, MOST - visible.count);
  const margin = Math.min(Math.max(visible.count, 10), Math.floor(room / 2));
  const from = Math.max(0, visible.from - margin);
  return { from, count: Math.min(MOST, visible.from - from + visible.count + margin) };
}

/** Whether the window that was asked for will do: what is seen lies in it with half a margin to spare. */
export function covers(asked: Range, visible: Range, total: number): boolean {
  const spare = Math.floor(Math.max(visible.count, 10) / 2);
  const first = Math.max(0, visible.from - spare);
  const last = Math.min(total, visible.from + visible.count + spare);
  return asked.from <= first && asked.from + asked.count >= last;
}

/**
 * How many rows a list has moved between two windows, judged by rows that are in both: the first of them
 * from `anchor` on. 0 if none is.
 */
export function shift(before: { from: number; order: readonly string[] }, after: { from: number; order: readonly string[] }, anchor: number): number {
  const places = new Map(after.order.map((name, at) => [name, after.from + at]));
  for (let at = Math.max(0, anchor - before.from); at < before.order.length; at += 1) {
    const place = places.get(before.order[at] ?? '');
    if (place !== undefined) return place - (before.from + at);
  }
  return 0;
}

/** Where to scroll so that a row is seen; as it is, if it is. */
export function scrolledTo(row: number, top: number, height: number, rowHeight: number): number {
  const above = row * rowHeight;
  if (above < top) return above;
  return above + rowHeight > top + height ? above + rowHeight - height : top;
}
