// Fingers on the terminal: one scrolls, two change the size of the letters.

import type { Terminal } from '@xterm/xterm';
import { changeFontSize, fontSize } from './look';

/** What a finger may move before it counts as scrolling, in pixels. */
const SLACK = 8;

export function touch(host: HTMLElement, terminal: Terminal): () => void {
  let last: { x: number; y: number } | undefined;
  let scrolls = false;
  let rest = 0;
  let pinch: { distance: number; size: number } | undefined;

  const distance = (touches: TouchList) => {
    const [a, b] = [touches[0], touches[1]];
    return a && b ? Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) : 0;
  };
  const scroll = (pixels: number, x: number, y: number) => {
    const height = host.clientHeight / Math.max(1, terminal.rows);
    rest += pixels;
    const lines = Math.trunc(rest / height);
    if (lines === 0) return;
    rest -= lines * height;
    const program = terminal.buffer.active.type === 'alternate' || terminal.modes.mouseTrackingMode !== 'none';
    if (!program) {
      terminal.scrollLines(lines);
      return;
    }
    // A program's screen: it gets what it would get from a wheel.
    const target = host.querySelector('.xterm-screen');
    for (let count = Math.min(20, Math.abs(lines)); count > 0; count -= 1) {
      const deltaY = Math.sign(lines) * height;
      target?.dispatchEvent(new WheelEvent('wheel', { deltaY, clientX: x, clientY: y, bubbles: true, cancelable: true }));
    }
  };
  const start = (event: TouchEvent) => {
    if (event.touches.length === 2) {
      pinch = { distance: distance(event.touches), size: fontSize.value };
      last = undefined;
      return;
    }
    const finger = event.touches[0];
    [scrolls, rest] = [false, 0];
    last = finger && { x: finger.clientX, y: finger.clientY };
  };
  const move = (event: TouchEvent) => {
    if (pinch && event.touches.length === 2) {
      event.preventDefault();
      changeFontSize((pinch.size * distance(event.touches)) / Math.max(1, pinch.distance));
      return;
    }
    const finger = event.touches[0];
    if (!last || !finger) return;
    const moved = last.y - finger.clientY;
    if (!scrolls && Math.abs(moved) < SLACK) return;
    scrolls = true;
    event.preventDefault();
    last = { x: finger.clientX, y: finger.clientY };
    scroll(moved, finger.clientX, finger.clientY);
  };
  const end = (event: TouchEvent) => {
    if (event.touches.length < 2) pinch = undefined;
    // A finger that scrolled is no tap: no keyboard shall come up.
    if (scrolls && event.cancelable) event.preventDefault();
  };
  host.addEventListener('touchstart', start, { passive: true });
  host.addEventListener('touchmove', move, { passive: false });
  host.addEventListener('touchend', end, { passive: false });
  host.addEventListener('touchcancel', end);
  return () => {
    host.removeEventListener('touchstart', start);
    host.removeEventListener('touchmove', move);
    host.removeEventListener('touchend', end);
    host.removeEventListener('touchcancel', end);
  };
}
