// One terminal session that survives its connections. Framework-free: what it needs from the
// browser comes through `Transport` and `Clock`, so that tests hold both.

import { Backoff } from './backoff';
import { afterClose } from './closing';
import { decode, encode, type Exit, type Hello, ProtocolError, type Size, type Status } from './frames';
import { Heartbeat } from './heartbeat';
import { type Opening, Resume } from './resume';

/** How long an upgrade may take: the server lets it wait for the environment, at most 25 s. */
const OPEN_LIMIT = 28_000;

/** As much of a WebSocket as is used. */
export interface Socket {
  binaryType: string;
  readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
}

/** Why the server did not let a connection begin: browsers do not tell a page. */
export type Refusal =
  | { next: 'later' }
  /** The session does not go on from this client's byte, or has another one by that name. */
  | { next: 'anew' }
  | { next: 'stop'; reason: string };

export interface Transport {
  /** A socket that begins to connect. Throws `Unauthorised` or what else kept it from that. */
  open(opening: Opening, signal: AbortSignal): Promise<Socket>;
  /** Asks the server why a socket did not open. */
  diagnose(opening: Opening): Promise<Refusal>;
}

/** Nobody is signed in any more. */
export class Unauthorised extends Error {}

export type Link =
  | { state: 'connecting' }
  | { state: 'live' }
  | { state: 'away'; retryAt: number; reason: string }
  /** The session has ended. */
  | { state: 'ended'; exit: Exit }
  /** Another device took this client's place; a person decides. */
  | { state: 'detached' }
  | { state: 'signed-out' }
  | { state: 'stopped'; reason: string };

export interface Handlers {
  link(link: Link): void;
  hello(hello: Hello): void;
  /** Output; `shown` is called when the emulator has parsed it. */
  output(data: Uint8Array, shown: () => void): void;
  /** The whole screen: its bytes reset the terminal. */
  snapshot(data: Uint8Array, size: Size, shown: () => void): void;
  status(status: Status): void;
  /** There is room for input again. */
  room(): void;
}

export interface Clock {
  now(): number;
  after(milliseconds: number, act: () => void): () => void;
}

export const clock: Clock = {
  now: () => Date.now(),
  after: (milliseconds, act) => {
    const timer = setTimeout(act, milliseconds);
    return () => clearTimeout(timer);
  },
};

export class TerminalClient {
  readonly resume: Resume;
  private link: Link = { state: 'connecting' };
  private socket: Socket | undefined;
  private heartbeat: Heartbeat | undefined;
  private cancelTimer: () => void = () => {};
  private attempt: AbortController | undefined;
  private left = false;
  private refusals = 0;

  constructor(
    session: string,
    stream: string,
    size: Size,
    private readonly transport: Transport,
    private readonly handlers: Handlers,
    private readonly time: Clock = clock,
    private readonly backoff = new Backoff(),
  ) {
    this.resume = new Resume(session, stream, size);
  }

  /** Connects, at once; a connection that stands or is being made is given up. */
  connect(): void {
    if (this.left) return;
    this.drop();
    const attempt = new AbortController();
    this.attempt = attempt;
    this.tell({ state: 'connecting' });
    const opening = this.resume.open();
    const cancelLimit = this.time.after(OPEN_LIMIT, () => this.failed(attempt, opening, false));
    this.cancelTimer = cancelLimit;
    this.transport.open(opening, attempt.signal).then(
      (socket) => {
        if (attempt.signal.aborted) socket.close();
        else this.take(socket, attempt, opening);
      },
      (error: unknown) => {
        if (attempt.signal.aborted) return;
        if (error instanceof Unauthorised) this.end({ state: 'signed-out' });
        else this.away('later', error instanceof Error ? error.message : 'no connection');
      },
    );
  }

  /** Types; false when there is no room, and then nothing was taken. */
  type(data: Uint8Array): boolean {
    const taken = this.resume.type(data);
    if (taken) this.pump();
    return taken;
  }

  resize(size: Size): void {
    this.resume.resize(size);
    this.pump();
  }

  /** This screen is the one that is looked at: its size counts. */
  claim(): void {
    this.resume.claim();
    this.pump();
  }

  /** The page came to the foreground or the network came back: does the connection live? */
  hurry(): void {
    if (this.link.state === 'away') this.connect();
    if (this.link.state !== 'live' || !this.heartbeat) return;
    this.heartbeat.hurry(this.time.now());
    this.beat();
  }

  /** The network is gone: no use in waiting for what is in flight. */
  offline(): void {
    if (this.link.state === 'live' || this.link.state === 'connecting') this.away('later', 'offline');
  }

  /** Disconnects until it is connected again; the session goes on. */
  rest(): void {
    this.drop();
  }

  /** Leaves the session, which goes on. */
  leave(): void {
    this.left = true;
    this.drop();
  }

  private tell(link: Link): void {
    this.link = link;
    this.handlers.link(link);
  }

  private drop(): void {
    this.cancelTimer();
    this.attempt?.abort();
    this.resume.lost();
    this.heartbeat = undefined;
    const socket = this.socket;
    this.socket = undefined;
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
  }

  private end(link: Link): void {
    this.drop();
    this.tell(link);
  }

  /** The connection is gone; sets the time of the next attempt. */
  private away(how: 'soon' | 'later', reason: string): void {
    this.drop();
    const wait = how === 'soon' ? this.backoff.soon() : this.backoff.wait();
    this.cancelTimer = this.time.after(wait, () => this.connect());
    this.tell({ state: 'away', retryAt: this.time.now() + wait, reason });
  }

  private take(socket: Socket, attempt: AbortController, opening: Opening): void {
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    let opened = false;
    socket.onopen = () => {
      opened = true;
    };
    socket.onmessage = ({ data }) => {
      try {
        if (!(data instanceof ArrayBuffer)) throw new ProtocolError('a text message');
        this.receive(data);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        // What this client knows is of no use: the screen is what both can agree upon.
        this.resume.forgetOutput();
        this.away('later', error.message);
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (!opened) {
        this.failed(attempt, opening, true);
        return;
      }
      const next = afterClose(code);
      if (next === 'stop') this.stop(code, reason);
      else if (next === 'ask') this.end({ state: 'detached' });
      else if (next === 'anew') {
        this.resume.forgetOutput();
        this.away('later', reason);
      } else this.away(next === 'later' ? 'later' : 'soon', reason || 'connection lost');
    };
  }

  private stop(code: number, reason: string): void {
    if (this.link.state === 'ended') this.drop();
    else if (code === 1000) this.end({ state: 'ended', exit: {} });
    else this.end({ state: 'stopped', reason: reason || 'The server closed this terminal.' });
  }

  /** A socket did not open. */
  private failed(attempt: AbortController, opening: Opening, ask: boolean): void {
    if (attempt.signal.aborted) return;
    if (!ask) {
      this.away('later', 'no answer');
      return;
    }
    this.refusals += 1;
    // Not open and not yet given up: nothing else happens until the server said why.
    this.socket = undefined;
    this.transport
      .diagnose(opening)
      .catch((): Refusal => ({ next: 'later' }))
      .then((refusal) => {
        if (attempt.signal.aborted) return;
        if (refusal.next === 'stop') {
          this.end({ state: 'stopped', reason: refusal.reason });
          return;
        }
        // The session is there, yet it does not take us: our place in it is probably wrong.
        if (refusal.next === 'anew' && this.refusals > 1) this.resume.forgetOutput();
        this.away('later', 'no connection');
      });
  }

  private receive(message: ArrayBuffer): void {
    const frame = decode(message);
    this.resume.receive(frame);
    switch (frame.type) {
      case 'hello':
        this.refusals = 0;
        this.backoff.reset();
        this.heartbeat = new Heartbeat(this.time.now(), Math.max(1, frame.hello.heartbeat_s) * 1_000);
        this.handlers.hello(frame.hello);
        this.tell({ state: 'live' });
        this.handlers.room();
        this.beat();
        break;
      case 'output':
        this.handlers.output(frame.data, this.shown(frame.offset + frame.data.length));
        break;
      case 'snapshot':
        this.handlers.snapshot(frame.data, frame.size, this.shown(frame.offset));
        break;
      case 'input_ack':
        this.handlers.room();
        break;
      case 'pong':
        this.heartbeat?.pong(frame.number);
        this.beat();
        break;
      case 'status':
        this.handlers.status(frame.status);
        break;
      case 'exit':
        this.tell({ state: 'ended', exit: frame.exit });
        break;
    }
    this.pump();
  }

  private shown(offset: number): () => void {
    return () => {
      this.resume.show(offset);
      this.pump();
    };
  }

  private pump(): void {
    const socket = this.socket;
    if (socket?.readyState !== 1) return;
    for (let frame = this.resume.next(); frame; frame = this.resume.next()) {
      socket.send(encode(frame) as Uint8Array<ArrayBuffer>);
    }
  }

  private beat(): void {
    const { heartbeat, socket } = this;
    if (!heartbeat || !socket) return;
    for (;;) {
      const now = this.time.now();
      const beat = heartbeat.poll(now);
      if (beat.do === 'dead') {
        this.backoff.reset();
        this.connect();
        return;
      }
      if (beat.do === 'wait') {
        this.cancelTimer();
        this.cancelTimer = this.time.after(beat.until - now, () => this.beat());
        return;
      }
      if (socket.readyState === 1) {
        socket.send(encode({ type: 'ping', number: beat.number }) as Uint8Array<ArrayBuffer>);
      }
    }
  }
}
