// A terminal in a browser through everything that happens to phones and servers.

import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { DESKTOP, focus, live, PHONE, run, SHOTS, shows, signIn, state, text, watch } from './pages';
import { browser, pause, Server, until } from './server';

const server = new Server();
let chromium: Browser;
let phone: BrowserContext;
let page: Page;
let debug: CDPSession;
let complaints: string[];
let address: string;

beforeAll(async () => {
  [chromium] = await Promise.all([browser(), server.start()]);
  const { username, password } = server.account();
  const token = await server.signIn(username, password);
  const made = await server.ask<{ id: string }>('POST', '/environments', token, { name: 'pocket', templateId: 'ubuntu' });
  address = `${server.url}/e/${made.id}`;
  phone = await chromium.newContext(PHONE);
  complaints = watch(phone);
  page = await phone.newPage();
  page.setDefaultTimeout(20_000);
  debug = await phone.newCDPSession(page);
  await signIn(page, address, { username, password });
  await live(page);
  await run(page, "PS1='$ '; clear");
  await shows(page, /^\$ $|^\$$/m);
});

afterAll(async () => {
  await chromium?.close();
  await server.end();
});

afterEach(async () => {
  await debug.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
});

it('goes on by itself after ten seconds without a network: nothing lost, nothing twice', async () => {
  await run(page, 'clear; for i in $(seq 100 160); do echo tick-$i; sleep 0.2; done; read x; echo "got <$x>"');
  await shows(page, 'tick-103');
  const sockets = trackSockets(page);
  await phone.setOffline(true);
  await until('the page noticed', async () => (await state(page)) === 'away');
  await focus(page);
  await page.keyboard.type('typed offline');
  await page.keyboard.press('Enter');
  await pause(10_000);
  expect(await text(page)).not.toContain('tick-150');
  await page.screenshot({ path: `${SHOTS}phone-offline.png` });
  await phone.setOffline(false);
  const said = await shows(page, 'got <typed offline>');
  const ticks = [...said.matchAll(/^tick-(\d+)$/gm)].map((match) => Number(match[1]));
  expect(ticks).toEqual(Array.from({ length: 61 }, (_, at) => 100 + at));
  // It resumed by offset instead of asking for the screen.
  expect(sockets.some((url) => /from=\d+/.test(url))).toBe(true);
  complaints.splice(0, complaints.length);
});

it('shows one session in two tabs, each what the other types', async () => {
  const other = await phone.newPage();
  await other.goto(address);
  await live(other);
  await run(other, 'clear; echo from-the-other-$((1+1))');
  await shows(page, 'from-the-other-2');
  await run(page, 'echo from-the-first-$((1+2))');
  const said = await shows(other, 'from-the-first-3');
  expect(said.match(/^from-the-first-3$/gm)).toHaveLength(1);
  await other.close();
});

it('takes what a soft keyboard composes, once', async () => {
  await run(page, 'clear; echo reading-$((1+3)); cat');
  await shows(page, 'reading-4');
  await focus(page);
  // A word that grows, is corrected, and is committed.
  for (const word of ['n', 'ni', 'nih', 'niho', 'nihon']) {
    await debug.send('Input.imeSetComposition', { text: word, selectionStart: word.length, selectionEnd: word.length });
    await pause(20);
  }
  await debug.send('Input.insertText', { text: '日本' });
  await pause(100);
  await debug.send('Input.imeSetComposition', { text: 'hel', selectionStart: 3, selectionEnd: 3 });
  await debug.send('Input.imeSetComposition', { text: 'hello', selectionStart: 5, selectionEnd: 5 });
  await debug.send('Input.insertText', { text: 'hello' });
  await pause(100);
  await debug.send('Input.insertText', { text: ' ' });
  await page.keyboard.type('end');
  await page.keyboard.press('Enter');
  // Once as typed, once from cat.
  const said = await shows(page, /日本hello end\n日本hello end/);
  expect(said.match(/hello/g)).toHaveLength(2);
  expect(said).not.toContain('nihon');
  await page.getByRole('button', { name: 'Ctrl' }).tap();
  await debug.send('Input.imeSetComposition', { text: 'c', selectionStart: 1, selectionEnd: 1 });
  await until('Ctrl-C ended it', async () => /\^C\n\$/.test(await text(page)));
  await pause(100);
  await page.keyboard.type('echo still-$((20+3))');
  await page.keyboard.press('Enter');
  await shows(page, /^still-23$/m);
});

it('has keys for a thumb, with modifiers that stick', async () => {
  await run(page, 'clear; echo reading-$((1+4)); cat -v');
  await shows(page, 'reading-5');
  for (const name of ['Esc', 'Tab', 'Arrow up', '|', '~']) await page.getByRole('button', { name, exact: true }).tap();
  await page.getByRole('button', { name: 'Alt' }).tap();
  await page.keyboard.type('xy');
  await page.keyboard.press('Enter');
  await shows(page, /^\^\[\s*\^\[\[A\|~\^\[xy$/m);
  await page.getByRole('button', { name: 'Ctrl' }).tap();
  await page.keyboard.type('d');
  await shows(page, /\$ ?$/);
  await page.getByRole('button', { name: 'Ctrl' }).tap();
  await page.keyboard.type('c');
});

it('takes a paste of 100 KB whole, bracketed where a program wants that', async () => {
  await run(page, "clear; stty -icanon -echo; echo reading-$((1+1)); head -c 102400 | sha1sum; stty icanon echo");
  await shows(page, 'reading-2');
  const pasted = Array.from({ length: 1_600 }, (_, at) => `${String(at).padStart(5, '0')} ${'x'.repeat(57)}`).join('\r');
  const bytes = new TextEncoder().encode(`${pasted}\n`.replaceAll('\r', '\n'));
  expect(bytes.length).toBe(102_400);
  const sum = Buffer.from(await crypto.subtle.digest('SHA-1', bytes)).toString('hex');
  await paste(`${pasted}\r`);
  await shows(page, sum);
  await run(page, "clear; printf '\\033[?2004h'; echo reading-$((1+2)); cat -v");
  await shows(page, 'reading-3');
  await paste('in brackets');
  await page.keyboard.press('Enter');
  await shows(page, '^[[200~in brackets^[[201~');
  await page.keyboard.press('Control+c');
  await run(page, "printf '\\033[?2004l'");
});

it('turns: the session gets the new size, and nothing is lost', async () => {
  await run(page, 'clear; seq 1 200');
  await shows(page, '200');
  const upright = await size();
  await page.setViewportSize({ width: 727, height: 393 });
  await until('it is wider', async () => (await size()).cols > upright.cols);
  await run(page, 'stty size');
  const turned = await size();
  await shows(page, new RegExp(`^${turned.rows} ${turned.cols}$`, 'm'));
  await page.setViewportSize({ width: 393, height: 727 });
  await until('it is as before', async () => (await size()).cols === upright.cols);
  await run(page, 'stty size');
  await shows(page, new RegExp(`^${upright.rows} ${upright.cols}$`, 'm'));
  const numbers = (await text(page)).match(/^\d+$/gm)?.map(Number);
  expect(numbers).toEqual(Array.from({ length: 200 }, (_, at) => at + 1));
});

it('draws 256 colours and vim as they are', async () => {
  await run(page, "clear; for c in 1 9 21 196 255; do printf '\\033[48;5;%dm#' $c; done; printf '\\033[38;2;1;2;3mR\\033[0m\\n'");
  await shows(page, '#####R');
  const cells = await page.evaluate(() => {
    const terminal = document.querySelector<HTMLElement>('.screen:not([hidden])')?.terminal;
    const buffer = terminal?.buffer.active;
    for (let at = 0; buffer && at < buffer.length; at += 1) {
      const line = buffer.getLine(at);
      if (line?.translateToString(true) !== '#####R') continue;
      const found = [0, 1, 2, 3, 4].map((column) => line.getCell(column)?.getBgColor());
      return [...found, line.getCell(5)?.getFgColor(), line.getCell(5)?.isFgRGB()];
    }
    return [];
  });
  expect(cells).toEqual([1, 9, 21, 196, 255, 0x010203, true]);

  await run(page, "clear; printf 'one\\ntwo\\nthree\\n' > f; vim -u NONE -N f");
  await shows(page, /one\ntwo\nthree\n~/);
  await page.keyboard.type('Goadded');
  await page.getByRole('button', { name: 'Esc' }).tap();
  await shows(page, /one\ntwo\nthree\nadded\n~/);
  const lines = (await text(page, false)).split('\n').map((line) => line.trimEnd());
  const { rows } = await size();
  // Four lines of the file, vim's own at the bottom, and nothing but tildes between.
  expect(lines.slice(0, rows - 1)).toEqual(['one', 'two', 'three', 'added', ...Array(rows - 5).fill('~')]);
  expect(await page.evaluate(() => document.querySelector<HTMLElement>('.screen:not([hidden])')?.terminal?.buffer.active.type)).toBe('alternate');
  await page.screenshot({ path: `${SHOTS}phone-vim.png` });
  await page.keyboard.type(':wq');
  await page.keyboard.press('Enter');
  await until('vim is gone', async () => !(await text(page)).includes('~\n~'));
  await run(page, 'clear; cat f');
  await shows(page, /one\ntwo\nthree\nadded/);
});

it('has several sessions as tabs, on a desktop too', async () => {
  const desktop = await chromium.newContext(DESKTOP);
  const wide = await desktop.newPage();
  const errors = watch(desktop);
  await signIn(wide, address, server.account());
  await live(wide);
  await wide.getByRole('button', { name: 'New session' }).click();
  await until('the second is shown', async () => new URL(wide.url()).searchParams.get('session') === '2');
  await live(wide);
  await run(wide, 'clear; ls --color=always -la / | head -20; echo second');
  await shows(wide, /^second$/m);
  await page.getByRole('button', { name: 'Session 2' }).waitFor();
  await wide.screenshot({ path: `${SHOTS}desktop-terminal.png` });
  await run(wide, 'exit 3');
  await wide.getByText('The shell ended with 3.').waitFor();
  await wide.getByRole('button', { name: 'Close', exact: true }).click();
  await live(wide);
  await wide.goto(`${server.url}/environments`);
  await wide.getByRole('link', { name: 'Open pocket' }).waitFor();
  await wide.screenshot({ path: `${SHOTS}desktop-environments.png` });
  await wide.goto(`${server.url}/environments/new`);
  await wide.getByRole('radio').first().waitFor();
  await wide.screenshot({ path: `${SHOTS}desktop-create.png` });
  expect(errors).toEqual([]);
  await desktop.close();
  expect(complaints).toEqual([]);
});

it('survives kill -9 of the server without being loaded again', async () => {
  await page.evaluate(() => Object.assign(globalThis, { sameDocument: true }));
  await run(page, 'clear; echo shell $$; for i in $(seq 100 150); do echo tock-$i; sleep 0.2; done; echo over');
  await shows(page, 'tock-103');
  await server.kill();
  await until('the page noticed', async () => (await state(page)) !== 'live');
  await focus(page);
  await page.keyboard.type('echo typed-while-$((90+9))');
  await page.keyboard.press('Enter');
  await server.start();
  const said = await shows(page, /^typed-while-99$/m);
  const ticks = [...said.matchAll(/^tock-(\d+)$/gm)].map((match) => Number(match[1]));
  expect(ticks).toEqual(Array.from({ length: 51 }, (_, at) => 100 + at));
  expect(await page.evaluate(() => 'sameDocument' in globalThis)).toBe(true);
  await run(page, 'clear; ls --color=always -x /');
  await shows(page, 'usr');
  await page.screenshot({ path: `${SHOTS}phone-terminal.png`, scale: 'css' });
});

/** Addresses of the sockets that the page opens from now on. */
function trackSockets(of: Page): string[] {
  const urls: string[] = [];
  of.on('websocket', (socket) => urls.push(socket.url()));
  return urls;
}

async function size(): Promise<{ cols: number; rows: number }> {
  return page.evaluate(() => {
    const { cols = 0, rows = 0 } = document.querySelector<HTMLElement>('.screen:not([hidden])')?.terminal ?? {};
    return { cols, rows };
  });
}

/** As the browser pastes. */
async function paste(pasted: string): Promise<void> {
  await focus(page);
  await page.evaluate((data) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', data);
    document.activeElement?.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
  }, pasted);
}
