// A socket of JSON messages that comes back by itself: opened with a ticket, kept alive by PINGs,
// and opened again after a back-off.

import { Backoff } from '../protocol/backoff';
import { Heartbeat } from '../protocol/heartbeat';
import { socketUrl, ticket } from './http';
import { SignedOut } from './tokens';

const BEAT = 20_000;

interface Feeding<M> {
  /** Below `/api/v1/ws`. */
  path: string;
  /** The subprotocol. */
  protocol: string;
  /** Messages that tell that the server has taken us. */
  welcomes: readonly string[];
  happened(message: M): void;
  live(live: boolean): void;
  /** The socket is open: what to say first. */
  opened?(): void;
}

export class Feed<M extends { type: string }> {
  private socket: WebSocket | undefined;
  private heartbeat: Heartbeat | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff();
  private attempts = 0;
  private stopped = false;

  constructor(private readonly feeding: Feeding<M>) {}

  async connect(): Promise<void> {
    this.drop();
    this.attempts += 1;
    const attempt = this.attempts;
    try {
      const pass = await ticket();
      if (this.stopped || attempt !== this.attempts) return;
      const { path, protocol } = this.feeding;
      this.take(new WebSocket(socketUrl(path), [protocol, `ticket.${pass}`]));
    } catch (error) {
      if (attempt === this.attempts && !(error instanceof SignedOut)) this.away();
    }
  }

  /** Says something, if there is a connection; else it is not said. */
  send(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
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
    this.feeding.live(false);
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
      this.feeding.opened?.();
    };
    socket.onmessage = ({ data }) => {
      let message: M | null;
      try {
        message = JSON.parse(String(data)) as M | null;
      } catch {
        return;
      }
      if (!message?.type) return;
      // PINGs go one at a time, so any PONG is the one that is waited for.
      if (message.type === 'pong') this.heartbeat?.answered();
      if (this.feeding.welcomes.includes(message.type)) {
        this.backoff.reset();
        this.feeding.live(true);
      }
      this.feeding.happened(message);
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
