// What keys of the bar mean to a terminal, with the modifiers that stick to the next key.

export interface Modifiers {
  ctrl: boolean;
  alt: boolean;
}

export type Arrow = 'up' | 'down' | 'right' | 'left';

const ARROWS: Record<Arrow, string> = { up: 'A', down: 'B', right: 'C', left: 'D' };

/** An arrow as xterm sends it. `application` is the mode that vim and less switch on. */
export function arrow(which: Arrow, { ctrl, alt }: Modifiers, application: boolean): string {
  const modifier = 1 + (alt ? 2 : 0) + (ctrl ? 4 : 0);
  if (modifier > 1) return `\x1b[1;${modifier}${ARROWS[which]}`;
  return `\x1b${application ? 'O' : '['}${ARROWS[which]}`;
}

/** A typed character with modifiers: Ctrl makes a control character where there is one. */
export function modified(text: string, { ctrl, alt }: Modifiers): string {
  let key = text;
  if (ctrl) key = control(key);
  return alt ? `\x1b${key}` : key;
}

function control(key: string): string {
  if (key === ' ') return '\x00';
  if (key === '?' || key === '-') return key === '?' ? '\x7f' : '\x1f';
  if (key === '/') return '\x1f';
  const code = key.toUpperCase().charCodeAt(0);
  return key.length === 1 && code >= 0x40 && code <= 0x5f ? String.fromCharCode(code & 0x1f) : key;
}

/** Whether the terminal itself says this, as an answer to a program, and no person typed it. */
export function isReport(data: string): boolean {
  return /^\x1b\[[?>]?[\d;]*[cnR]$|^\x1b\[\?[\d;]*\$y$|^\x1b\]1[0-2];[^\x07\x1b]*(\x07|\x1b\\)$|^\x1bP/.test(data);
}
