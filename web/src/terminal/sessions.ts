// The tabs of an environment: its live sessions, of this page and of others.

import { asked } from '../api/http';
import type { Session } from '../api/model';

export async function sessionsOf(environment: string): Promise<string[]> {
  const path = `/environments/${encodeURIComponent(environment)}/sessions`;
  const { sessions } = await asked<{ sessions: Session[] }>('GET', path);
  return sessions.map((session) => session.name);
}

export async function endSession(environment: string, name: string): Promise<void> {
  await asked('DELETE', `/environments/${encodeURIComponent(environment)}/sessions/${encodeURIComponent(name)}`);
}

/** The next free name: `main`, then `2`, `3`… */
export function nextName(taken: readonly string[]): string {
  if (!taken.includes('main')) return 'main';
  for (let number = 2; ; number += 1) if (!taken.includes(String(number))) return String(number);
}
