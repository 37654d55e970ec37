// The frames of `devpocket.v2` (docs/protocol.md): a type byte, then big-endian fields.
//
// Offsets are 64 bit on the wire and numbers here: 2^53 bytes are more than a session lives to see.
// What lies beyond is refused instead of being rounded.

export const MAX_FRAME = 64 * 1024;
export const SUBPROTOCOL = 'devpocket.v2';

export interface Size {
  cols: number;
  rows: number;
}

export type ClientFrame =
  | { type: 'input'; offset: number; data: Uint8Array }
  | { type: 'resize'; size: Size }
  | { type: 'ack'; offset: number }
  | { type: 'ping'; number: number };

export interface Hello {
  session_id: string;
  session: string;
  stream: string;
  output_offset: number;
  oldest_offset: number;
  input_offset: number;
  cols: number;
  rows: number;
  window: number;
  heartbeat_s: number;
  mode: 'control' | 'view';
  environment: { id: string; name: string; status: string };
}

export interface Status {
  state?: 'live' | 'reconnecting' | 'environment_starting' | 'draining';
  attachments?: number;
  cols?: number;
  rows?: number;
  /** The input stream of the client that the size is from. */
  size_from?: string;
}

export interface Exit {
  reason?: string | null;
  code?: number | null;
  signal?: number | string | null;
}

export type ServerFrame =
  | { type: 'output'; offset: number; data: Uint8Array }
  | { type: 'snapshot'; offset: number; size: Size; data: Uint8Array }
  | { type: 'input_ack'; offset: number }
  | { type: 'pong'; number: number }
  | { type: 'status'; status: Status }
  | { type: 'exit'; exit: Exit }
  | { type: 'hello'; hello: Hello };

/** A message that is no frame of this protocol, or breaks its rules. */
export class ProtocolError extends Error {}

function fresh(type: number, length: number): DataView {
  const view = new DataView(new ArrayBuffer(1 + length));
  view.setUint8(0, type);
  return view;
}

export function encode(frame: ClientFrame): Uint8Array {
  switch (frame.type) {
    case 'input': {
      const view = fresh(0x01, 8 + frame.data.length);
      view.setBigUint64(1, BigInt(frame.offset));
      const bytes = new Uint8Array(view.buffer);
      bytes.set(frame.data, 9);
      return bytes;
    }
    case 'resize': {
      const view = fresh(0x02, 4);
      view.setUint16(1, frame.size.cols);
      view.setUint16(3, frame.size.rows);
      return new Uint8Array(view.buffer);
    }
    case 'ack':
    case 'ping': {
      const view = fresh(frame.type === 'ack' ? 0x03 : 0x04, 8);
      view.setBigUint64(1, BigInt(frame.type === 'ack' ? frame.offset : frame.number));
      return new Uint8Array(view.buffer);
    }
  }
}

export function decode(message: ArrayBuffer): ServerFrame {
  if (message.byteLength > MAX_FRAME) throw new ProtocolError('a frame is too large');
  const view = new DataView(message);
  const need = (length: number) => {
    if (view.byteLength < length) throw new ProtocolError('a frame is too short');
  };
  const offset = () => {
    need(9);
    const value = view.getBigUint64(1);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProtocolError('an offset is too large');
    return Number(value);
  };
  need(1);
  switch (view.getUint8(0)) {
    case 0x81:
      return { type: 'output', offset: offset(), data: new Uint8Array(message, 9) };
    case 0x82: {
      need(13);
      const size = { cols: view.getUint16(9), rows: view.getUint16(11) };
      if (size.cols < 1 || size.cols > 1000 || size.rows < 1 || size.rows > 1000) {
        throw new ProtocolError('a snapshot has no size');
      }
      return { type: 'snapshot', offset: offset(), size, data: new Uint8Array(message, 13) };
    }
    case 0x83:
      return { type: 'input_ack', offset: offset() };
    case 0x84:
      return { type: 'pong', number: offset() };
    case 0x85:
      return { type: 'status', status: json(message) as Status };
    case 0x86:
      return { type: 'exit', exit: json(message) as Exit };
    case 0x87:
      return { type: 'hello', hello: hello(json(message)) };
    default:
      throw new ProtocolError(`a frame of an unknown type: ${view.getUint8(0)}`);
  }
}

function json(message: ArrayBuffer): object {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 1)));
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told below.
  }
  throw new ProtocolError('a frame holds no JSON object');
}

function hello(value: object): Hello {
  const hello = value as Hello;
  const texts = [hello.session_id, hello.session, hello.stream];
  const numbers = [hello.output_offset, hello.input_offset, hello.window, hello.heartbeat_s];
  if (texts.every((text) => typeof text === 'string') && numbers.every(Number.isSafeInteger)) return hello;
  throw new ProtocolError('HELLO lacks something');
}
