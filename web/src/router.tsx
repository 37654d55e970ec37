// Addresses are the page's own: the server answers each with the same page.

import type { ComponentChildren } from 'preact';
import { Store } from './store';

export const address = new Store(location.pathname + location.search);

window.addEventListener('popstate', () => address.set(location.pathname + location.search));

/** `stay` is the same screen, looked at otherwise: the address changes, and nothing scrolls. */
export function go(path: string, how: 'push' | 'replace' | 'stay' = 'push'): void {
  if (how === 'push') history.pushState(null, '', path);
  else history.replaceState(null, '', path);
  address.set(location.pathname + location.search);
  if (how !== 'stay') window.scrollTo(0, 0);
}

/** Where to go after signing in: a place of this site, whatever the address says. */
export function nextPlace(query: URLSearchParams): string {
  const next = query.get('next') ?? '';
  try {
    const url = new URL(next, location.origin);
    if (next.startsWith('/') && url.origin === location.origin) return url.pathname + url.search;
  } catch {
    // No place at all.
  }
  return '/environments';
}

interface Props {
  to: string;
  class?: string;
  'aria-label'?: string;
  'aria-current'?: 'page' | undefined;
  title?: string;
  children?: ComponentChildren;
}

export function Link({ to, children, ...rest }: Props) {
  const follow = (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} onClick={follow} {...rest}>
      {children}
    </a>
  );
}
