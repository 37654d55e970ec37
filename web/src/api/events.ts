// What happens to one's environments, as it happens: one socket for the whole page
// (docs/json-dialect.md), which comes back by itself.

import { Backoff } from '../protocol/backoff';
import { Heartbeat } from '../protocol/heartbeat';
import { socketUrl, ticket } from './http';
import type { Status } from './model';
import { SignedOut } from './tokens';

export interface Known {
  id: string;
  name: string;
  phase?: Status;
  status: Status;
  reason?: string | null;
}

export interface Quota {
  environments: number;
  limit: number;
}

export type Happening =
  | { type: 'welcome' | 'resync'; environments: Known[]; quota?: Quota }
  | { type: 'quota'; quota?: Quota; environments?: number; limit?: number }
  | {
      type: 'environment_status';
      environment_id: string;
      status: Status;
      phase?: Status;
      reason?: string | null;
      progress?: string | null;
    }
  | { type: 'installation_log'; environment_id: string; data: string }
  | { type: 'session'; environment_id: string; session_id: string; name: string; state: 'began' | 'ended' };

const BEAT = 20_000;

export class EventFeed {
  private socket: WebSocket | undefined;
  private heartbeat: Heartbeat | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff();
  private attempts = 0;
  private stopped = false;

  constructor(
    private readonly happened: (happening: Happening) => void,
    private readonly live: (live: boolean) => void,
  ) {}

  async connect(): Promise<void> {
    this.drop();
    this.attempts += 1;
    const attempt = this.attempts;
    try {
      const pass = await ticket();
      if (this.stopped || attempt !== this.attempts) return;
      this.take(new WebSocket(socketUrl('/events'), ['devpocket.events', `ticket.${pass}`]));
    } catch (error) {
      if (attempt === this.attempts && !(error instanceof SignedOut)) this.away();
    }
  }

  /** The page came to the foreground, or the network came back. */
  hurry(): void {
    if (this.stopped) return;
    if (!this.heartbeat) {
      void this.connect();
      return;
    }
    this.heartbeat.hurry(Date.now());
    this.beat();
  }

  /** The network is gone: no use in waiting for what is in flight. */
  offline(): void {
    if (!this.stopped) this.away();
  }

  stop(): void {
    this.stopped = true;
    this.drop();
  }

  private drop(): void {
    clearTimeout(this.timer);
    this.heartbeat = undefined;
    const socket = this.socket;
    this.socket = undefined;
    if (socket) {
      socket.onclose = null;
      socket.onmessage = null;
      socket.onopen = null;
      socket.close();
    }
    this.live(false);
  }

  private away(): void {
    this.drop();
    if (!this.stopped) this.timer = setTimeout(() => void this.connect(), this.backoff.wait());
  }

  private take(socket: WebSocket): void {
    this.socket = socket;
    socket.onclose = () => this.away();
    socket.onopen = () => {
      this.heartbeat = new Heartbeat(Date.now(), BEAT);
      this.beat();
    };
    socket.onmessage = ({ data }) => {
      let message: { type?: string } | null;
      try {
        message = JSON.parse(String(data)) as { type?: string } | null;
      } catch {
        return;
      }
      // PINGs go one at a time, so any PONG is the one that is waited for.
      if (message?.type === 'pong') this.heartbeat?.answered();
      if (message?.type === 'welcome') {
        this.backoff.reset();
        this.live(true);
      }
      if (message?.type) this.happened(message as Happening);
    };
  }

  private beat(): void {
    const { heartbeat, socket } = this;
    if (!heartbeat || !socket) return;
    const now = Date.now();
    const beat = heartbeat.poll(now);
    if (beat.do === 'dead') {
      void this.connect();
      return;
    }
    if (beat.do === 'ping') socket.send('{"type":"ping"}');
    clearTimeout(this.timer);
    const next = heartbeat.poll(now);
    this.timer = setTimeout(() => this.beat(), next.do === 'wait' ? next.until - now : 0);
  }
}
