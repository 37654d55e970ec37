// One session on the screen: the emulator, its client, and what a thumb does to them.

import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { Unicode11Addon } from '@xterm/addon-unicode11';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { Terminal } from '@xterm/xterm';
import { type Link, TerminalClient } from '../protocol/client';
import type { Size } from '../protocol/frames';
import { Store } from '../store';
import { theme } from '../ui/theme';
import { arrow, type Arrow, isReport, modified, type Modifiers } from './keys';
import { colours, fontSize } from './look';
import { hasFastWebgl } from './webgl';
import { touch } from './touch';
import { newStream, transportTo } from './transport';

/** Typed or pasted bytes that wait for room, at most. */
const PENDING_LIMIT = 8 * 1024 * 1024;
/** Pieces in which they are handed over. */
const PIECE = 64 * 1024;
/** How long a session that is not shown stays connected, in milliseconds. */
const REST_AFTER = 60_000;

/** How long after a composition that a modifier ended its text is dropped, in milliseconds. */
const TAKEN_FOR = 60;

/** How a modifier of the bar is: for the next key, or until it is tapped again. */
export type Stuck = 'off' | 'once' | 'locked';

export class Screen {
  readonly terminal: Terminal;
  readonly search = new SearchAddon();
  readonly link = new Store<Link>({ state: 'connecting' });
  readonly ctrl = new Store<Stuck>('off');
  readonly alt = new Store<Stuck>('off');
  readonly notice = new Store('');
  private readonly fit = new FitAddon();
  private client: TerminalClient;
  private stream = newStream();
  private readonly undo: (() => void)[] = [];
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;
  /** Whose size the session has: who answers what programs ask of a terminal. */
  private sizeFrom: string | undefined;
  private host: HTMLElement | undefined;
  private resting: ReturnType<typeof setTimeout> | undefined;
  private rests = true;
  /** Text that a keyboard still composes, but that was taken with a modifier already. */
  private taken: string | undefined;

  constructor(
    private readonly environment: string,
    private readonly session: string,
  ) {
    this.terminal = new Terminal({
      allowProposedApi: true,
      cursorBlink: false,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--mono'),
      fontSize: fontSize.value,
      lineHeight: 1.15,
      scrollback: 5_000,
      theme: colours(),
      minimumContrastRatio: 4.5,
    });
    this.client = this.begin();
    this.terminal.onData((data) => this.data(data));
    this.terminal.onBinary((data) => this.send(Uint8Array.from(data, (character) => character.charCodeAt(0))));
    this.undo.push(
      theme.watch(() => {
        this.terminal.options.theme = colours();
      }),
      fontSize.watch((size) => {
        this.terminal.options.fontSize = size;
        this.measure();
      }),
    );
  }

  /** Shows it in `host`, and connects. */
  show(host: HTMLElement): void {
    clearTimeout(this.resting);
    if (!this.host) this.open(host);
    this.measure();
    if (this.rests) {
      this.rests = false;
      this.client.connect();
    } else {
      this.client.hurry();
      this.client.claim();
    }
  }

  /** It is not looked at: after a while it disconnects, and its session goes on. */
  hide(): void {
    this.resting = setTimeout(() => {
      this.rests = true;
      this.client.rest();
    }, REST_AFTER);
  }

  dispose(): void {
    clearTimeout(this.resting);
    this.client.leave();
    for (const undo of this.undo) undo();
    this.terminal.dispose();
  }

  /** The page came to the foreground, or the network came back. */
  hurry(): void {
    if (!this.rests) this.client.hurry();
  }

  offline(): void {
    if (!this.rests) this.client.offline();
  }

  /** Connects although the server or another device ended it. */
  again(): void {
    this.client.connect();
  }

  /** The session has ended: another one of its name. */
  anew(): void {
    this.client.leave();
    this.stream = newStream();
    this.sizeFrom = undefined;
    [this.pending, this.pendingBytes] = [[], 0];
    this.terminal.reset();
    this.client = this.begin();
    this.measure();
    this.client.connect();
    this.terminal.focus();
  }

  /** How much fits is how large the session shall be. */
  measure(): void {
    const size = this.fit.proposeDimensions();
    if (!size || !Number.isFinite(size.cols) || !Number.isFinite(size.rows)) return;
    const fitting = { cols: clamp(size.cols), rows: clamp(size.rows) };
    this.client.resize(fitting);
    if (this.link.value.state === 'connecting' && this.client.resume.sessionId === undefined) this.resized(fitting);
  }

  key(text: string): void {
    this.typed(text);
    this.terminal.focus();
  }

  arrow(which: Arrow): void {
    const sequence = arrow(which, this.modifiers(), this.terminal.modes.applicationCursorKeysMode);
    this.spend();
    this.terminal.scrollToBottom();
    this.send(new TextEncoder().encode(sequence));
  }

  paste(text: string): void {
    this.terminal.paste(text);
    this.terminal.focus();
  }

  /** What stands there as plain text: to be selected with a thumb. */
  text(): string {
    const buffer = this.terminal.buffer.active;
    const lines: string[] = [];
    for (let at = Math.max(0, buffer.length - 1_000); at < buffer.length; at += 1) {
      const line = buffer.getLine(at);
      if (!line) continue;
      const text = line.translateToString(true);
      if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    return lines.join('\n').trimEnd();
  }

  private begin(): TerminalClient {
    const { cols, rows } = this.terminal;
    return new TerminalClient(this.session, this.stream, { cols, rows }, transportTo(this.environment), {
      link: (link) => this.link.set(link),
      hello: (hello) => {
        this.resized({ cols: hello.cols, rows: hello.rows });
        if (this.host) this.client.claim();
      },
      output: (data, shown) => this.terminal.write(data, shown),
      snapshot: (data, size, shown) => {
        // In its place among what is being written.
        this.terminal.write('', () => this.resized(size));
        this.terminal.write(data, shown);
      },
      status: (status) => {
        const { cols, rows, size_from } = status;
        if (size_from !== undefined) this.sizeFrom = size_from;
        if (cols !== undefined && rows !== undefined) this.resized({ cols, rows });
      },
      room: () => this.hand(),
    });
  }

  private open(host: HTMLElement): void {
    this.host = host;
    this.terminal.loadAddon(this.fit);
    this.terminal.loadAddon(this.search);
    this.terminal.loadAddon(new Unicode11Addon());
    this.terminal.unicode.activeVersion = '11';
    this.terminal.loadAddon(new WebLinksAddon((_, uri) => window.open(uri, '_blank', 'noopener,noreferrer')));
    this.terminal.open(host);
    // For tools in the browser's console, and for tests.
    Object.assign(host, { terminal: this.terminal });
    void this.accelerate();
    this.undo.push(touch(host, this.terminal), this.keyboard());
    const observer = new ResizeObserver(() => this.measure());
    observer.observe(host);
    this.undo.push(() => observer.disconnect());
  }

  /** Draws with WebGL where hardware does it; the emulator's own renderer does without. */
  private async accelerate(): Promise<void> {
    if (!hasFastWebgl()) return;
    try {
      const { WebglAddon } = await import('@xterm/addon-webgl');
      const webgl = new WebglAddon();
      webgl.onContextLoss(() => webgl.dispose());
      this.terminal.loadAddon(webgl);
    } catch {
      // Drawn as elements of the page, which is slower and looks the same.
    }
  }

  /** What a soft keyboard needs beyond what the emulator does. */
  private keyboard(): () => void {
    const area = this.terminal.textarea;
    if (!area) return () => {};
    for (const [name, value] of [
      ['autocomplete', 'off'], ['autocorrect', 'off'], ['autocapitalize', 'none'], ['spellcheck', 'false'],
      ['aria-label', 'Terminal input'], ['enterkeyhint', 'enter'],
    ] as const) {
      area.setAttribute(name, value);
    }
    // A keyboard that composes whole words tells a letter only when the word is done. With Ctrl or
    // Alt stuck the first letter counts at once, and what becomes of the word does not.
    const updated = (event: CompositionEvent) => {
      const { ctrl, alt } = this.modifiers();
      if (this.taken !== undefined || (!ctrl && !alt) || event.data === '') return;
      this.taken = event.data;
      this.typed(event.data.slice(-1));
      // Ends the composition; the emulator tells what became of it right after.
      area.blur();
      area.focus({ preventScroll: true });
      setTimeout(() => {
        this.taken = undefined;
        area.value = '';
      }, TAKEN_FOR);
    };
    area.addEventListener('compositionupdate', updated);
    return () => area.removeEventListener('compositionupdate', updated);
  }

  private data(data: string): void {
    if (isReport(data)) {
      // Of several screens one answers.
      if (this.sizeFrom === undefined || this.sizeFrom === this.stream) this.send(new TextEncoder().encode(data));
      return;
    }
    if (this.taken !== data) {
      this.typed(data);
      return;
    }
    this.taken = undefined;
  }

  private typed(data: string): void {
    const isKey = [...data].length === 1 && data >= ' ';
    const text = isKey ? modified(data, this.modifiers()) : data;
    if (isKey) this.spend();
    this.send(new TextEncoder().encode(text));
  }

  private modifiers(): Modifiers {
    return { ctrl: this.ctrl.value !== 'off', alt: this.alt.value !== 'off' };
  }

  private spend(): void {
    for (const modifier of [this.ctrl, this.alt]) if (modifier.value === 'once') modifier.set('off');
  }

  private send(data: Uint8Array): void {
    if (this.pendingBytes + data.length > PENDING_LIMIT) {
      this.notice.set('That is too much to paste at once: 8 MiB at most.');
      return;
    }
    for (let at = 0; at < data.length; at += PIECE) this.pending.push(data.subarray(at, at + PIECE));
    this.pendingBytes += data.length;
    this.hand();
  }

  private hand(): void {
    for (let piece = this.pending[0]; piece && this.client.type(piece); piece = this.pending[0]) {
      this.pending.shift();
      this.pendingBytes -= piece.length;
    }
  }

  private resized({ cols, rows }: Size): void {
    if (cols !== this.terminal.cols || rows !== this.terminal.rows) this.terminal.resize(cols, rows);
  }
}

function clamp(side: number): number {
  return Math.min(1_000, Math.max(1, Math.floor(side)));
}
