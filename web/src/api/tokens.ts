// The tokens of who is signed in here.
//
// They are in localStorage: an installed app and new tabs must stay signed in, which sessionStorage
// does not do, and the API takes tokens from headers, not from cookies. A script of somebody else
// could read them, so there is none: the content security policy allows only this site's files,
// nothing here writes HTML, and the terminal's output is drawn, never parsed as HTML. The access
// token is good for an hour at most, and a refresh token that is used twice ends its sign-in.

import { Store } from '../store';
import type { TokenPair } from './model';

const KEY = 'devpocket.tokens';
/** A token is renewed when it has less than this left, in milliseconds. */
const MARGIN = 30_000;
const ANSWER_LIMIT = 15_000;

interface Kept {
  access: string;
  refresh: string;
  /** When the access token ends, by this device's clock. */
  until: number;
}

export class SignedOut extends Error {}

function read(): Kept | undefined {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Kept | null;
    return kept && typeof kept.access === 'string' && typeof kept.refresh === 'string' ? kept : undefined;
  } catch {
    return undefined;
  }
}

export const signedIn = new Store(read() !== undefined);

// Another tab signed in or out.
window.addEventListener('storage', (event) => {
  if (event.key === KEY || event.key === null) signedIn.set(read() !== undefined);
});

export function keep(pair: TokenPair): void {
  const until = Date.now() + pair.expiresIn * 1_000;
  const kept: Kept = { access: pair.accessToken, refresh: pair.refreshToken, until };
  localStorage.setItem(KEY, JSON.stringify(kept));
  signedIn.set(true);
}

export function forget(): void {
  localStorage.removeItem(KEY);
  signedIn.set(false);
}

let renewal: Promise<string> | undefined;

/** An access token that is good for a while. `refused` is one that the server did not take. */
export async function accessToken(refused?: string): Promise<string> {
  const kept = read();
  if (!kept) throw new SignedOut('Nobody is signed in.');
  if (kept.access !== refused && kept.until - MARGIN > Date.now()) return kept.access;
  renewal ??= oneTab(() => renew(kept.access)).finally(() => {
    renewal = undefined;
  });
  return renewal;
}

/** One tab at a time: a refresh token is good once. Locks need HTTPS or this machine's own address. */
async function oneTab<T>(act: () => Promise<T>): Promise<T> {
  if (!('locks' in navigator)) return act();
  return (await navigator.locks.request('devpocket.refresh', act)) as T;
}

async function renew(stale: string): Promise<string> {
  const kept = read();
  if (!kept) throw new SignedOut('Nobody is signed in.');
  // Another tab did it meanwhile.
  if (kept.access !== stale && kept.until - MARGIN > Date.now()) return kept.access;
  const answer = await fetch('/api/v1/auth/refresh', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-DevPocket-Dialect': 'camel' },
    body: JSON.stringify({ refreshToken: kept.refresh }),
    signal: AbortSignal.timeout(ANSWER_LIMIT),
  });
  if (answer.ok) {
    const pair = (await answer.json()) as TokenPair;
    keep(pair);
    return pair.accessToken;
  }
  if (answer.status !== 401 && answer.status !== 400) throw new Error('The server is not ready.');
  // Without locks another tab may have been faster; then its tokens are there.
  const now = read();
  if (now && now.refresh !== kept.refresh) return now.access;
  forget();
  throw new SignedOut('Please sign in again.');
}
