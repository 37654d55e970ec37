// What a person does on the pages, and what the terminal holds: its own buffer, not pixels.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { devices } from 'playwright-core';
import type { Terminal } from '@xterm/xterm';
import { until } from './server';

/** Shown pages, for people to look at. */
export const SHOTS = new URL('../dist/screenshots/', import.meta.url).pathname;
mkdirSync(SHOTS, { recursive: true });

const { defaultBrowserType: _, ...pixel } = devices['Pixel 5'] ?? { defaultBrowserType: '' };
export const PHONE: BrowserContextOptions = { ...pixel, viewport: { width: 393, height: 727 } };
/** The narrowest phone that is in use. */
export const NARROW: BrowserContextOptions = { ...pixel, viewport: { width: 360, height: 740 } };
export const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };

/** Complaints of pages; what a test did not provoke must not be there. */
export function watch(context: BrowserContext): string[] {
  const complaints: string[] = [];
  context.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  context.on('weberror', (error) => complaints.push(String(error.error())));
  return complaints;
}

export async function signIn(page: Page, url: string, who: { username: string; password: string }): Promise<void> {
  await page.goto(url);
  await page.getByLabel('User name or email').fill(who.username);
  await page.getByLabel('Password', { exact: true }).fill(who.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe-core finds, of what hinders people. */
export async function hindrances(page: Page): Promise<string[]> {
  // Through the debugger: the page's policy lets no foreign script in.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: typeof import('axe-core') }).axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
  });
}

declare global {
  interface HTMLElement {
    terminal?: Terminal;
  }
}

/** The shown terminal's text, lines joined that were wrapped, if that is wanted. */
export function text(page: Page, joined = true): Promise<string> {
  return page.evaluate((joined) => {
    const terminal = document.querySelector<HTMLElement>('.screen:not([hidden])')?.terminal;
    if (!terminal) return '';
    const lines: string[] = [];
    const buffer = terminal.buffer.active;
    for (let at = 0; at < buffer.length; at += 1) {
      const line = buffer.getLine(at);
      const said = line?.translateToString(true) ?? '';
      if (joined && line?.isWrapped && lines.length > 0) lines[lines.length - 1] += said;
      else lines.push(said);
    }
    return lines.join('\n').trimEnd();
  }, joined);
}

export async function shows(page: Page, what: string | RegExp, patience?: number): Promise<string> {
  let last = '';
  try {
    return await until(`the terminal shows ${what}`, async () => {
      last = await text(page);
      return (typeof what === 'string' ? last.includes(what) : what.test(last)) ? last : undefined;
    }, patience);
  } catch (error) {
    throw new Error(`${String(error)}; it shows:\n${last}`);
  }
}

export async function focus(page: Page): Promise<void> {
  await page.locator('.screen:not([hidden]) .xterm-helper-textarea').focus();
}

/** Types a command as keys. */
export async function run(page: Page, command: string): Promise<void> {
  await focus(page);
  await page.keyboard.type(command);
  await page.keyboard.press('Enter');
}

export function live(page: Page): Promise<unknown> {
  return until('the terminal is connected', async () => (await state(page)) === 'live');
}

/** What the quiet line knows of the connection. */
export function state(page: Page): Promise<string | null> {
  return page.evaluate(() => document.querySelector('.state')?.getAttribute('data-state') ?? null);
}
