import { expect, it } from 'vitest';
import { arrow, isReport, modified } from './keys';

const none = { ctrl: false, alt: false };
const ctrl = { ctrl: true, alt: false };

it('arrows follow the mode and the modifiers', () => {
  expect(arrow('up', none, false)).toBe('\x1b[A');
  expect(arrow('left', none, true)).toBe('\x1bOD');
  expect(arrow('right', ctrl, true)).toBe('\x1b[1;5C');
  expect(arrow('down', { ctrl: true, alt: true }, false)).toBe('\x1b[1;7B');
});

it('Ctrl makes control characters, Alt an escape before', () => {
  expect(modified('c', ctrl)).toBe('\x03');
  expect(modified('C', ctrl)).toBe('\x03');
  expect(modified('[', ctrl)).toBe('\x1b');
  expect(modified(' ', ctrl)).toBe('\x00');
  expect(modified('-', ctrl)).toBe('\x1f');
  expect(modified('é', ctrl)).toBe('é');
  expect(modified('1', ctrl)).toBe('1');
  expect(modified('b', { ctrl: false, alt: true })).toBe('\x1bb');
  expect(modified('c', { ctrl: true, alt: true })).toBe('\x1b\x03');
});

it('knows what a terminal answers from what is typed', () => {
  for (const report of ['\x1b[?1;2c', '\x1b[>0;276;0c', '\x1b[0n', '\x1b[12;1R', '\x1b]11;rgb:00/00/00\x1b\\', '\x1bP1+r\x1b\\']) {
    expect(isReport(report)).toBe(true);
  }
  for (const typed of ['c', '\x1b', '\x1b[A', '\x1bOP', '\x1b[200~\x1b[0n\x1b[201~', '\x1b[3~']) {
    expect(isReport(typed)).toBe(false);
  }
});
