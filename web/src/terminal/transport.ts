// Opens terminal sockets, each with a ticket of its own, and finds out why one did not open: a
// browser tells a page nothing about a refused upgrade.

import { ApiError, asked, socketUrl, ticket } from '../api/http';
import type { Environment, Session } from '../api/model';
import { SignedOut } from '../api/tokens';
import { type Refusal, type Socket, type Transport, Unauthorised } from '../protocol/client';
import { SUBPROTOCOL } from '../protocol/frames';
import type { Opening } from '../protocol/resume';

export function transportTo(environment: string): Transport {
  return {
    async open(opening: Opening, signal: AbortSignal): Promise<Socket> {
      let pass: string;
      try {
        pass = await ticket();
      } catch (error) {
        throw error instanceof SignedOut ? new Unauthorised(error.message) : error;
      }
      signal.throwIfAborted();
      const query = new URLSearchParams({
        session: opening.session,
        from: opening.from === undefined ? 'screen' : String(opening.from),
        stream: opening.stream,
        cols: String(opening.size.cols),
        rows: String(opening.size.rows),
      });
      const url = socketUrl(`/terminal/${encodeURIComponent(environment)}?${query}`);
      return new WebSocket(url, [SUBPROTOCOL, `ticket.${pass}`]) as Socket;
    },

    async diagnose(opening: Opening): Promise<Refusal> {
      const path = `/environments/${encodeURIComponent(environment)}`;
      try {
        const { phase, statusReason } = await asked<Environment>('GET', path);
        if (phase === 'STOPPED') return { next: 'stop', reason: 'The environment is stopped.' };
        if (phase === 'TERMINATED') return { next: 'stop', reason: 'The environment was deleted.' };
        if (phase === 'ERROR') return { next: 'stop', reason: statusReason ?? 'The environment failed.' };
        if (phase !== 'RUNNING' || opening.from === undefined) return { next: 'later' };
        const { sessions } = await asked<{ sessions: Session[] }>('GET', `${path}/sessions`);
        const lives = sessions.some((session) => session.sessionId === opening.session);
        return lives ? { next: 'anew' } : { next: 'stop', reason: 'This session has ended.' };
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) {
          return { next: 'stop', reason: 'There is no such environment.' };
        }
        return { next: 'later' };
      }
    },
  };
}

/** Names an input stream: 122 random bits as a UUID, also where `randomUUID` is not offered. */
export function newStream(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
