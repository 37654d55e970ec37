import { beforeEach, describe, expect, it } from 'vitest';
import { Backoff } from './backoff';
import { type Handlers, type Link, type Refusal, type Socket, TerminalClient, Unauthorised } from './client';
import type { Opening } from './resume';

/** A socket whose other end is the test. */
class FakeSocket implements Socket {
  binaryType = 'blob';
  readyState = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  sent: Uint8Array[] = [];
  constructor(readonly opening: Opening) {}
  send(data: Uint8Array<ArrayBuffer>) {
    this.sent.push(data);
  }
  close() {
    this.readyState = 3;
  }
  /** The server answers with HELLO. */
  welcome(input_offset = 0, output_offset = 0) {
    this.readyState = 1;
    this.onopen?.(undefined as never);
    this.json(0x87, {
      session_id: 'a', session: 'main', stream: 's', output_offset, oldest_offset: 0, input_offset,
      cols: 80, rows: 24, window: 262144, heartbeat_s: 20, mode: 'control', environment: {},
    });
  }
  json(type: number, value: object) {
    const text = new TextEncoder().encode(JSON.stringify(value));
    this.onmessage?.({ data: new Uint8Array([type, ...text]).buffer });
  }
  output(offset: number, text: string) {
    const data = new Uint8Array([0x81, 0, 0, 0, 0, 0, 0, 0, offset, ...new TextEncoder().encode(text)]);
    this.onmessage?.({ data: data.buffer });
  }
  ends(code: number) {
    this.readyState = 3;
    this.onclose?.({ code, reason: '' });
  }
  types() {
    return this.sent.map((frame) => frame[0]);
  }
}

let now: number;
let timers: { at: number; act: () => void }[];
let sockets: FakeSocket[];
let links: Link[];
let shown: string;
let unauthorised: boolean;
let refusal: Refusal;
let client: TerminalClient;

const settled = () => new Promise<void>((done) => setImmediate(done));
/** Time passes; what is due happens. */
async function pass(milliseconds: number) {
  now += milliseconds;
  for (const timer of timers.filter((timer) => timer.at <= now)) {
    timers = timers.filter((other) => other !== timer);
    timer.act();
  }
  await settled();
}
const socket = () => sockets[sockets.length - 1]!;
const state = () => links[links.length - 1]?.state;

beforeEach(async () => {
  [now, timers, sockets, links, shown, unauthorised] = [0, [], [], [], '', false];
  refusal = { next: 'later' };
  const handlers: Handlers = {
    link: (link) => links.push(link),
    hello: () => {},
    output: (data, done) => {
      shown += new TextDecoder().decode(data);
      done();
    },
    snapshot: (_data, _size, done) => done(),
    status: () => {},
    room: () => {},
  };
  const time = {
    now: () => now,
    after: (milliseconds: number, act: () => void) => {
      const timer = { at: now + milliseconds, act };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
  };
  const transport = {
    open: async (opening: Opening) => {
      if (unauthorised) throw new Unauthorised('no');
      const made = new FakeSocket(opening);
      sockets.push(made);
      return made;
    },
    diagnose: async () => refusal,
  };
  const size = { cols: 80, rows: 24 };
  client = new TerminalClient('main', 's', size, transport, handlers, time, new Backoff(250, 15_000, () => 1));
  client.connect();
  await settled();
});

describe('a terminal client', () => {
  it('resumes by offset after a loss and sends again what was not acknowledged', async () => {
    socket().welcome();
    socket().output(0, 'one ');
    client.type(new TextEncoder().encode('abc'));
    socket().ends(1006);
    expect(state()).toBe('away');
    client.type(new TextEncoder().encode('d'));
    await pass(250);
    expect(sockets).toHaveLength(2);
    expect(socket().opening).toMatchObject({ session: 'a', from: 4, stream: 's' });
    socket().welcome(1, 4);
    socket().output(4, 'two');
    expect(shown).toBe('one two');
    const input = socket().sent.find((frame) => frame[0] === 1)!;
    expect(new TextDecoder().decode(input.slice(9))).toBe('bcd');
  });

  it('takes a connection for dead when a PONG is late, and does not wait for its end', async () => {
    socket().welcome();
    await pass(20_000);
    expect(socket().types()).toEqual([4]);
    await pass(3_000);
    expect(sockets).toHaveLength(2);
    expect(sockets[0]!.readyState).toBe(3);
  });

  it('asks at once whether the connection lives when the page comes back', async () => {
    socket().welcome();
    client.hurry();
    expect(socket().types()).toEqual([4]);
    socket().onmessage?.({ data: new Uint8Array([0x84, 0, 0, 0, 0, 0, 0, 0, 1]).buffer });
    await pass(3_000);
    expect(sockets).toHaveLength(1);
  });

  it('does not wait out its back-off when the network comes back', async () => {
    socket().welcome();
    client.offline();
    expect(state()).toBe('away');
    client.hurry();
    await settled();
    expect(sockets).toHaveLength(2);
  });

  it.each([
    [1000, 'ended'], [1001, 'away'], [1011, 'away'], [1013, 'away'], [4401, 'away'], [4403, 'stopped'],
    [4404, 'stopped'], [4408, 'away'], [4410, 'detached'], [4400, 'away'],
  ])('after close code %i it is %s', (code, expected) => {
    socket().welcome();
    socket().ends(code);
    expect(state()).toBe(expected);
  });

  it('says who refused, when the server does', async () => {
    refusal = { next: 'stop', reason: 'It is stopped.' };
    socket().ends(1006);
    await settled();
    expect(links[links.length - 1]).toEqual({ state: 'stopped', reason: 'It is stopped.' });
  });

  it('begins with the screen when its place in the session is refused', async () => {
    socket().welcome();
    socket().output(0, 'abc');
    socket().ends(1006);
    refusal = { next: 'anew' };
    await pass(250);
    socket().ends(1006);
    await settled();
    await pass(500);
    expect(socket().opening.from).toBe(3);
    socket().ends(1006);
    await settled();
    await pass(1_000);
    expect(socket().opening.from).toBeUndefined();
  });

  it('stops when nobody is signed in', async () => {
    socket().welcome();
    socket().ends(4401);
    unauthorised = true;
    await pass(250);
    expect(state()).toBe('signed-out');
  });

  it('begins anew with the screen after a server that broke the rules', async () => {
    socket().welcome();
    socket().output(9, 'x');
    expect(state()).toBe('away');
    await pass(250);
    expect(socket().opening.from).toBeUndefined();
    expect(shown).toBe('');
  });

  it('does nothing more after it left', async () => {
    socket().welcome();
    client.leave();
    client.connect();
    await pass(60_000);
    expect(sockets).toHaveLength(1);
  });
});
