import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff';
import { decode, encode, type Hello, ProtocolError } from './frames';
import { Heartbeat } from './heartbeat';
import { ACK_EVERY, Resume, UNACKED_LIMIT } from './resume';

const bytes = (text: string) => new TextEncoder().encode(text);
const buffer = (...parts: number[]) => new Uint8Array(parts).buffer;

const hello = (more: Partial<Hello> = {}): { type: 'hello'; hello: Hello } => ({
  type: 'hello',
  hello: {
    session_id: 'a', session: 'main', stream: 's', output_offset: 0, oldest_offset: 0, input_offset: 0,
    cols: 80, rows: 24, window: 262144, heartbeat_s: 20, mode: 'control',
    environment: { id: 'e', name: 'e', status: 'RUNNING' }, ...more,
  },
});

describe('frames', () => {
  it('are what the protocol says, byte for byte', () => {
    expect([...encode({ type: 'input', offset: 258, data: bytes('hi') })]).toEqual(
      [1, 0, 0, 0, 0, 0, 0, 1, 2, 104, 105]);
    expect([...encode({ type: 'resize', size: { cols: 300, rows: 24 } })]).toEqual([2, 1, 44, 0, 24]);
    expect([...encode({ type: 'ack', offset: 2 ** 40 })]).toEqual([3, 0, 0, 1, 0, 0, 0, 0, 0]);
    expect([...encode({ type: 'ping', number: 7 })]).toEqual([4, 0, 0, 0, 0, 0, 0, 0, 7]);
    expect(decode(buffer(0x81, 0, 0, 0, 0, 0, 0, 0, 9, 65))).toEqual(
      { type: 'output', offset: 9, data: new Uint8Array([65]) });
    expect(decode(buffer(0x82, 0, 0, 0, 0, 0, 0, 0, 9, 0, 80, 0, 24, 66))).toEqual(
      { type: 'snapshot', offset: 9, size: { cols: 80, rows: 24 }, data: new Uint8Array([66]) });
  });

  it('that make no sense are refused', () => {
    for (const bad of [
      buffer(), buffer(0x99), buffer(0x81, 0, 0), buffer(0x81, 255, 0, 0, 0, 0, 0, 0, 0),
      buffer(0x82, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 24), buffer(0x85, 0x5b), buffer(0x87, 0x7b, 0x7d),
      new ArrayBuffer(65_537),
    ]) {
      expect(() => decode(bad)).toThrow(ProtocolError);
    }
  });
});

describe('resume', () => {
  const opened = () => {
    const resume = new Resume('main', 's', { cols: 80, rows: 24 });
    resume.open();
    resume.receive(hello());
    return resume;
  };

  it('asks for the screen first, then for the byte after the last', () => {
    const resume = new Resume('main', 's', { cols: 80, rows: 24 });
    expect(resume.open()).toMatchObject({ session: 'main', from: undefined });
    resume.receive(hello({ output_offset: 5 }));
    resume.receive({ type: 'output', offset: 5, data: bytes('abc') });
    expect(resume.open()).toMatchObject({ session: 'a', from: 8 });
  });

  it('takes output as one sequence', () => {
    const resume = opened();
    resume.receive({ type: 'output', offset: 0, data: bytes('abc') });
    expect(() => resume.receive({ type: 'output', offset: 2, data: bytes('x') })).toThrow(/should at 3/);
    expect(() => resume.receive({ type: 'output', offset: 4, data: bytes('x') })).toThrow(/should at 3/);
    resume.receive({ type: 'snapshot', offset: 9, size: { cols: 1, rows: 1 }, data: bytes('') });
    resume.receive({ type: 'output', offset: 9, data: bytes('d') });
    expect(resume.output).toBe(10);
  });

  it('acknowledges what was shown, a snapshot at once', () => {
    const resume = opened();
    resume.receive({ type: 'output', offset: 0, data: new Uint8Array(ACK_EVERY) });
    expect(resume.next()).toBeUndefined();
    resume.show(ACK_EVERY - 1);
    expect(resume.next()).toBeUndefined();
    resume.show(ACK_EVERY);
    expect(resume.next()).toEqual({ type: 'ack', offset: ACK_EVERY });
    resume.receive({ type: 'snapshot', offset: ACK_EVERY + 1, size: { cols: 1, rows: 1 }, data: bytes('') });
    expect(resume.next()).toBeUndefined();
    resume.show(ACK_EVERY + 1);
    expect(resume.next()).toEqual({ type: 'ack', offset: ACK_EVERY + 1 });
    expect(resume.next()).toBeUndefined();
  });

  it('sends input again from where the server is, and no byte twice', () => {
    const resume = opened();
    resume.type(bytes('hello'));
    expect(resume.next()).toMatchObject({ offset: 0, data: bytes('hello') });
    resume.receive({ type: 'input_ack', offset: 2 });
    resume.lost();
    resume.type(bytes('!'));
    expect(resume.next()).toBeUndefined();
    resume.open();
    resume.receive(hello({ input_offset: 4 }));
    expect(resume.next()).toMatchObject({ offset: 4, data: bytes('o!') });
    expect(() => resume.receive({ type: 'input_ack', offset: 7 })).toThrow(ProtocolError);
  });

  it('bounds what waits and what is in flight', () => {
    const resume = opened();
    expect(resume.type(new Uint8Array(UNACKED_LIMIT))).toBe(true);
    expect(resume.type(bytes('x'))).toBe(false);
    let sent = 0;
    for (let frame = resume.next(); frame?.type === 'input'; frame = resume.next()) sent += frame.data.length;
    expect(sent).toBe(65_536);
    resume.receive({ type: 'input_ack', offset: 16_384 });
    expect(resume.next()).toMatchObject({ offset: 65_536 });
  });

  it('refuses a server that is somewhere else', () => {
    const resume = opened();
    resume.lost();
    expect(() => resume.receive(hello({ session_id: 'b' }))).toThrow(/another session/);
    expect(() => resume.receive(hello({ stream: 't' }))).toThrow(/another stream/);
    expect(() => resume.receive(hello({ input_offset: 1 }))).toThrow(/takes input/);
    expect(() => resume.receive({ type: 'output', offset: 0, data: bytes('x') })).toThrow(/HELLO/);
  });
});

it('waits double up to the limit and begin anew after success', () => {
  const backoff = new Backoff(250, 15_000, () => 1);
  const waits = Array.from({ length: 8 }, () => backoff.wait());
  expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
  backoff.reset();
  expect(backoff.wait()).toBe(250);
});

it('a heart beats, and is dead without its PONG, but not for having slept', () => {
  const beat = new Heartbeat(0, 20_000);
  expect(beat.poll(1)).toEqual({ do: 'wait', until: 20_000 });
  expect(beat.poll(20_000)).toEqual({ do: 'ping', number: 1 });
  expect(beat.poll(20_001)).toEqual({ do: 'wait', until: 23_000 });
  beat.pong(1);
  beat.hurry(25_000);
  expect(beat.poll(25_000)).toEqual({ do: 'ping', number: 2 });
  beat.pong(1);
  expect(beat.poll(28_000)).toEqual({ do: 'dead' });
  beat.hurry(90_000);
  expect(beat.poll(90_000)).toEqual({ do: 'ping', number: 3 });
});
