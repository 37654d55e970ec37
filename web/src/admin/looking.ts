// What somebody looks at in the tree: held over a visit to another section, and by the address.

import { useEffect } from 'preact/hooks';
import { Store } from '../store';
import { view } from './live';
import type { Only, TreeView } from './wire';

/** As many may be unfolded. */
const MOST_OPEN = 1_000;

/** The actors that are unfolded. */
export const unfolded = new Store<ReadonlySet<string>>(new Set(['root', 'clusters', 'users']));

export function unfold(name: string, open: boolean): void {
  const next = new Set(unfolded.value);
  next.delete(name);
  if (open) next.add(name);
  // The one that was unfolded longest ago gives way.
  for (const oldest of next) {
    if (next.size <= MOST_OPEN) break;
    next.delete(oldest);
  }
  unfolded.set(next);
}

export function fold(): void {
  unfolded.set(new Set(['root']));
}

/** Looks at a window of the tree as long as it is shown. */
export function useTree({ search, only, from, count }: Omit<TreeView, 'open'>, open: ReadonlySet<string>): void {
  useEffect(() => {
    view.change((before) => ({ ...before, tree: { open: [...open], search, only, from, count } }));
  }, [open, search, only, from, count]);
  useEffect(() => () => view.change(({ tree: _, ...rest }) => rest), []);
}

/** Follows one actor as long as it is shown. */
export function useActor(name: string | undefined): void {
  useEffect(() => {
    if (name === undefined) return;
    view.change((before) => ({ ...before, actor: name }));
    return () => view.change(({ actor: _, ...rest }) => rest);
  }, [name]);
}

export const ONLY: readonly (readonly [Only, string])[] = [
  ['all', 'All'],
  ['failing', 'Failing'],
  ['waiting', 'Waiting'],
  ['slow', 'Slow'],
];

export function onlyOf(word: string | null): Only {
  return ONLY.find(([only]) => only === word)?.[0] ?? 'all';
}
