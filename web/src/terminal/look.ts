// How the terminal looks: colours from the tokens, and a size of the letters that is kept.

import type { ITheme } from '@xterm/xterm';
import { Store } from '../store';

const KEY = 'devpocket.font-size';
const SMALLEST = 8;
const LARGEST = 32;

function kept(): number {
  const size = Number(localStorage.getItem(KEY));
  return size >= SMALLEST && size <= LARGEST ? size : 14;
}

/** In CSS pixels. */
export const fontSize = new Store(kept());

export function changeFontSize(size: number): void {
  const fitting = Math.min(LARGEST, Math.max(SMALLEST, Math.round(size)));
  localStorage.setItem(KEY, String(fitting));
  fontSize.set(fitting);
}

const NAMES = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'] as const;

export function colours(): ITheme {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(`--term-${name}`).trim();
  const ansi = NAMES.flatMap((name) => [
    [name, token(name)],
    [`bright${name[0]?.toUpperCase()}${name.slice(1)}`, token(`bright-${name}`)],
  ]);
  return {
    ...(Object.fromEntries(ansi) as ITheme),
    background: token('ground'),
    foreground: token('text'),
    cursor: token('cursor'),
    cursorAccent: token('ground'),
    selectionBackground: token('selection'),
    // A line beside the scroll bar that means nothing.
    overviewRulerBorder: token('ground'),
  };
}
