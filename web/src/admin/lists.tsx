// Lists that are asked for page by page: filters in the address, and asked again as long as they are seen.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { asked, told } from '../api/http';
import { address, go } from '../router';
import { useStore } from '../store';
import { Problem } from '../ui/parts';
import type { Pagination } from './wire';
import { count } from './words';

const PAGE = 50;
/** How long somebody may type before it is asked. */
const TYPING = 200;

/** The filters of this section, which its address holds. */
export function useFilters(): [URLSearchParams, (name: string, value: string) => void] {
  const { pathname, searchParams } = new URL(useStore(address), location.origin);
  const change = (name: string, value: string) => {
    const next = new URLSearchParams(location.search);
    if (value === '') next.delete(name);
    else next.set(name, value);
    if (name !== 'page') next.delete('page');
    const query = next.toString();
    go(query ? `${pathname}?${query}` : pathname, 'stay');
  };
  return [searchParams, change];
}

/** How many filters are set, but for the search. */
export function usedOf(filters: URLSearchParams): number {
  return [...filters].filter(([name, value]) => name !== 'page' && name !== 'search' && value !== '').length;
}

export interface Listed<T> {
  answer: T | undefined;
  problem: string;
  /** Asks anew at once: something was done. */
  again: () => void;
  /** When the answer came. */
  at: number;
}

/** Asks for a list now, when the filters change, and every so often. */
export function useListed<T>(path: string, filters: URLSearchParams, every: number): Listed<T> {
  const [state, setState] = useState<{ answer: T | undefined; problem: string; at: number }>({ answer: undefined, problem: '', at: 0 });
  const read = useRef<() => void>(() => {});
  const first = useRef(true);
  const query = queryOf(filters);
  useEffect(() => {
    let current = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      clearTimeout(timer);
      try {
        if (document.visibilityState === 'visible') {
          const answer = await asked<T>('GET', `${path}?${query}`);
          if (current) setState({ answer, problem: '', at: Date.now() });
        }
      } catch (error) {
        if (current) setState((before) => ({ ...before, problem: told(error) }));
      }
      if (current) timer = setTimeout(() => void load(), every);
    };
    read.current = () => void load();
    timer = setTimeout(() => void load(), first.current ? 0 : TYPING);
    first.current = false;
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [path, query, every]);
  return { ...state, again: () => read.current() };
}

function queryOf(filters: URLSearchParams): string {
  const query = new URLSearchParams();
  for (const [name, value] of filters) if (name !== 'page' && value !== '') query.set(name, value);
  query.set('limit', String(PAGE));
  query.set('offset', String((pageOf(filters) - 1) * PAGE));
  return query.toString();
}

function pageOf(filters: URLSearchParams): number {
  return Math.max(1, Number.parseInt(filters.get('page') ?? '1', 10) || 1);
}

interface ListProps {
  problem: string;
  pagination: Pagination | undefined;
  /** What the list is of, in the plural. */
  what: string;
  filters: URLSearchParams;
  change: (name: string, value: string) => void;
  columns: readonly (readonly [name: string, className?: string])[];
  children: ComponentChildren;
}

/** A table of a page, and how to come to the others. */
export function List({ problem, pagination, what, filters, change, columns, children }: ListProps) {
  const page = pageOf(filters);
  const pages = pagination ? Math.max(1, Math.ceil(pagination.total / PAGE)) : 1;
  return (
    <>
      <Problem text={problem} />
      <div class="table-box">
        <table class="table" aria-label={what} aria-busy={!pagination && !problem}>
          <thead>
            <tr>
              {columns.map(([name, className]) => (
                <th key={name} scope="col" class={className}>
                  {name === 'Acts' ? <span class="unseen">Acts</span> : name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>{children}</tbody>
        </table>
      </div>
      <nav class="pages" aria-label={`Pages of ${what.toLowerCase()}`}>
        <span class="pages-total" role="status">
          {pagination ? `${count(pagination.total)} in all` : problem ? '' : 'Loading…'}
        </span>
        {pages > 1 && (
          <>
            <button type="button" class="act act-plain" disabled={page <= 1} onClick={() => change('page', page <= 2 ? '' : String(page - 1))}>
              Before
            </button>
            <span class="pages-at">
              {count(page)} of {count(pages)}
            </span>
            <button type="button" class="act act-plain" disabled={page >= pages} onClick={() => change('page', String(page + 1))}>
              Next
            </button>
          </>
        )}
      </nav>
    </>
  );
}
