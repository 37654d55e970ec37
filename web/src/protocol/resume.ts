// What a client knows of its session over all its connections: no I/O, no clock. The rules are
// those of docs/protocol.md; src/client/resume.rs is the same in Rust.

import { type ClientFrame, type Hello, ProtocolError, type ServerFrame, type Size } from './frames';

/** The most input that waits for INPUT_ACK, in bytes: one large paste. */
export const UNACKED_LIMIT = 256 * 1024;
/** Output that was shown is acknowledged at least this often, in bytes. */
export const ACK_EVERY = 16 * 1024;
/** The most input in one frame. */
const INPUT_FRAME = 16 * 1024;
/** The most input in flight: one's own keys must not wait behind more than this. */
const IN_FLIGHT = 64 * 1024;

/** Where a connection shall begin: the query of the upgrade request. */
export interface Opening {
  session: string;
  /** An output offset; none asks for the screen. */
  from: number | undefined;
  stream: string;
  size: Size;
}

interface Connection {
  /** Where output begins when the client has none. */
  begins: number;
  /** The last ACK, or where this connection's output began. */
  acked: number;
  /** A snapshot that stands here is acknowledged as soon as it is shown. */
  snapshot: number | undefined;
  /** The next input byte to send. */
  sent: number;
}

export class Resume {
  sessionId: string | undefined;
  /** The next output byte; unknown before the first output or snapshot. */
  output: number | undefined;
  private shown = 0;
  /** Input that was not acknowledged, and the offset of its first byte. */
  private input: Uint8Array = new Uint8Array(0);
  private inputStart = 0;
  private connection: Connection | undefined;
  private resized = false;

  constructor(
    private readonly session: string,
    private readonly stream: string,
    private size: Size,
  ) {}

  /** Input that was not acknowledged, in bytes. */
  get unacked(): number {
    return this.input.length;
  }

  get isOpen(): boolean {
    return this.connection !== undefined;
  }

  /** A new connection begins: what to ask for. */
  open(): Opening {
    this.connection = undefined;
    const { stream, size } = this;
    if (this.sessionId === undefined) return { session: this.session, from: undefined, stream, size };
    return { session: this.sessionId, from: this.output, stream, size };
  }

  /** The connection is gone. */
  lost(): void {
    this.connection = undefined;
  }

  /** Forgets the place in the output: the next connection begins with the screen. */
  forgetOutput(): void {
    this.output = undefined;
  }

  /** Takes input, all of it or, when there is no room, nothing. */
  type(data: Uint8Array): boolean {
    if (this.input.length + data.length > UNACKED_LIMIT) return false;
    const joined = new Uint8Array(this.input.length + data.length);
    joined.set(this.input);
    joined.set(data, this.input.length);
    this.input = joined;
    return true;
  }

  /** The screen has this size now. */
  resize(size: Size): void {
    if (size.cols === this.size.cols && size.rows === this.size.rows) return;
    this.size = size;
    this.resized = true;
  }

  /** The size counts again although it has not changed. */
  claim(): void {
    this.resized = true;
  }

  /** The emulator parsed all output before `offset`. */
  show(offset: number): void {
    this.shown = Math.max(this.shown, offset);
  }

  /** Checks a frame against what is known, and notes what it tells. */
  receive(frame: ServerFrame): void {
    if (frame.type === 'hello') {
      this.hello(frame.hello);
      return;
    }
    const connection = this.connection;
    if (!connection) throw new ProtocolError('HELLO must be the first frame');
    switch (frame.type) {
      case 'output': {
        const expected = this.output ?? connection.begins;
        if (frame.offset !== expected) {
          throw new ProtocolError(`output goes on at ${frame.offset}, but should at ${expected}`);
        }
        this.output = frame.offset + frame.data.length;
        break;
      }
      case 'snapshot':
        if (this.output !== undefined && frame.offset < this.output) {
          throw new ProtocolError(`a snapshot stands at ${frame.offset}, behind ${this.output}`);
        }
        this.output = frame.offset;
        connection.snapshot = frame.offset;
        break;
      case 'input_ack':
        if (frame.offset > connection.sent) throw new ProtocolError('input is acknowledged that was not sent');
        this.release(frame.offset);
        break;
      default:
        break;
    }
  }

  private hello(hello: Hello): void {
    if (this.connection) throw new ProtocolError('HELLO came twice');
    if (hello.stream !== this.stream) throw new ProtocolError('HELLO is about another stream');
    if (this.sessionId !== undefined && hello.session_id !== this.sessionId) {
      throw new ProtocolError('HELLO is about another session');
    }
    const end = this.inputStart + this.input.length;
    if (hello.input_offset < this.inputStart || hello.input_offset > end) {
      throw new ProtocolError(`the server takes input from ${hello.input_offset}`);
    }
    this.release(hello.input_offset);
    this.sessionId = hello.session_id;
    this.connection = {
      begins: hello.output_offset,
      acked: this.output ?? hello.output_offset,
      snapshot: undefined,
      sent: hello.input_offset,
    };
  }

  private release(offset: number): void {
    if (offset <= this.inputStart) return;
    this.input = this.input.slice(offset - this.inputStart);
    this.inputStart = offset;
  }

  /** The next frame to send, if there is one now. */
  next(): ClientFrame | undefined {
    const connection = this.connection;
    if (!connection) return undefined;
    const snapshotShown = connection.snapshot !== undefined && this.shown >= connection.snapshot;
    if (snapshotShown || this.shown >= connection.acked + ACK_EVERY) {
      if (snapshotShown) connection.snapshot = undefined;
      connection.acked = this.shown;
      return { type: 'ack', offset: this.shown };
    }
    if (this.resized) {
      this.resized = false;
      return { type: 'resize', size: this.size };
    }
    const begin = connection.sent - this.inputStart;
    const room = Math.min(INPUT_FRAME, IN_FLIGHT - begin);
    if (begin >= this.input.length || room <= 0) return undefined;
    const data = this.input.slice(begin, begin + room);
    const offset = connection.sent;
    connection.sent += data.length;
    return { type: 'input', offset, data };
  }
}
