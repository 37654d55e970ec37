// The dashboard as an administrator uses it: what it shows, what it does, and who may not see it.

import { readFileSync } from 'node:fs';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DESKTOP, hindrances, live, NARROW, run, SHOTS, shows, signIn, watch } from './pages';
import { browser, Server, until } from './server';

const BOB = { username: 'bob', email: 'bob@example.org', password: 'Str0ng!enough' };
/** What counts as standing still: a number that gets a digit more moves its own beginning. */
const STILL = 0.001;
const SECTIONS = ['', '/tree', '/environments', '/sessions', '/users', '/clusters', '/audit', '/server'];

const server = new Server();
let chromium: Browser;
let desktop: BrowserContext;
let page: Page;
let complaints: string[];
let admin: string;
/** The environment of the demo account, and its terminal as its owner sees it. */
let environment: string;
let owner: BrowserContext;
let terminal: Page;

beforeAll(async () => {
  [chromium] = await Promise.all([browser(), server.start()]);
  const demo = server.account();
  const token = await server.signIn(demo.username, demo.password);
  environment = (await server.ask<{ id: string }>('POST', '/environments', token, { name: 'pocket', templateId: 'ubuntu' })).id;
  const { username, password } = server.account('admin-account.json');
  admin = await server.signIn(username, password);
  owner = await chromium.newContext(DESKTOP);
  terminal = await owner.newPage();
  terminal.setDefaultTimeout(20_000);
  await signIn(terminal, `${server.url}/e/${environment}`, demo);
  await live(terminal);
  desktop = await chromium.newContext({ ...DESKTOP, viewport: { width: 1440, height: 900 }, colorScheme: 'dark', acceptDownloads: true });
  complaints = watch(desktop);
  page = await desktop.newPage();
  page.setDefaultTimeout(20_000);
  await signIn(page, `${server.url}/environments`, { username, password });
  await page.getByRole('heading', { name: 'Environments' }).waitFor();
});

afterAll(async () => {
  await chromium?.close();
  await server.end();
});

const tree = () => page.getByRole('treegrid', { name: 'Supervision tree' });

/** The row that the grid points at. */
function pointed(): Promise<{ text: string; level: string | null; expanded: string | null } | undefined> {
  return tree().evaluate((grid) => {
    const row = document.getElementById(grid.getAttribute('aria-activedescendant') ?? '');
    if (!row) return undefined;
    return { text: row.innerText.replaceAll(/\s+/g, ' '), level: row.getAttribute('aria-level'), expanded: row.getAttribute('aria-expanded') };
  });
}

async function open(section: string): Promise<void> {
  await page.goto(`${server.url}/admin${section}`);
  await page.getByRole('banner').getByText('Live', { exact: true }).waitFor();
}

/** Presses an act's button, and says yes. */
async function act(name: string, fill?: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).click();
  const dialog = page.getByRole('dialog');
  if (fill) await dialog.getByLabel('Reason, for the audit log').fill(fill);
  await dialog.getByRole('button').last().click();
  await dialog.waitFor({ state: 'detached' });
}

/** Waits until the audit page lists an act, the newest of its kind. */
async function audited(action: string, what: string): Promise<void> {
  await page.goto(`${server.url}/admin/audit?${new URLSearchParams({ action })}`);
  const row = page.getByRole('table', { name: 'Audit records' }).getByRole('row').filter({ hasText: action }).first();
  await row.filter({ hasText: what }).waitFor();
}

interface ActorThere {
  name: string;
  restarts: number;
}

async function actors(search: string): Promise<ActorThere[]> {
  return (await server.ask<{ actors: ActorThere[] }>('GET', `/admin/actors?${new URLSearchParams({ search })}`, admin)).actors;
}

/** What the largest process of a page has for itself, in MB. */
async function largestPage(): Promise<number> {
  const debug = await chromium.newBrowserCDPSession();
  const { processInfo } = await debug.send('SystemInfo.getProcessInfo');
  const sizes = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(({ id }) => {
      const kept = readFileSync(`/proc/${id}/smaps_rollup`, 'utf8');
      return [...kept.matchAll(/^Private_\w+:\s+(\d+) kB/gm)].reduce((sum, [, kilobytes]) => sum + Number(kilobytes), 0);
    });
  return Math.round(Math.max(...sizes) / 1024);
}

it('shows an administrator the way, and how the server is', async () => {
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.getByRole('banner').getByText('Live', { exact: true }).waitFor();
  expect(new URL(page.url()).pathname).toBe('/admin');
  const actorsTile = page.getByRole('article').filter({ has: page.getByRole('heading', { name: 'Actors' }) });
  await actorsTile.getByText('All run').waitFor();
  const sessions = page.getByRole('article').filter({ has: page.getByRole('heading', { name: 'Sessions' }) });
  await sessions.getByText('1 live').waitFor();
  // A chart is read by keys.
  const chart = page.getByRole('slider', { name: 'Actors, over time' });
  await until('there is a point', async () => /actors \d/.test((await chart.getAttribute('aria-valuetext')) ?? ''));
  await chart.focus();
  await page.keyboard.press('Home');
  expect(await chart.getAttribute('aria-valuenow')).toBe('0');
  await page.screenshot({ path: `${SHOTS}desktop-admin-overview.png` });
});

it('tells who is no administrator so, and shows no way there', async () => {
  await terminal.goto(`${server.url}/environments`);
  await terminal.getByRole('link', { name: 'Open pocket' }).waitFor();
  expect(await terminal.getByRole('link', { name: 'Administration' }).count()).toBe(0);
  await terminal.goto(`${server.url}/admin/tree`);
  await terminal.getByRole('heading', { name: 'For administrators only' }).waitFor();
  await terminal.goto(`${server.url}/e/${environment}`);
  await live(terminal);
});

describe('the tree', () => {
  it('is walked with the arrow keys', async () => {
    await open('/tree');
    await tree().focus();
    await until('it is there', async () => (await tree().getByRole('row').count()) > 5);
    await page.keyboard.press('Home');
    await until('the root is pointed at', async () => (await pointed())?.text.startsWith('root'));
    expect(await pointed()).toMatchObject({ level: '1', expanded: 'true' });
    const all = Number(await tree().getAttribute('aria-rowcount'));
    await page.keyboard.press('ArrowLeft');
    await until('it is folded', async () => (await tree().getAttribute('aria-rowcount')) === '2');
    expect((await pointed())?.expanded).toBe('false');
    await page.keyboard.press('ArrowRight');
    await until('it is unfolded', async () => Number(await tree().getAttribute('aria-rowcount')) === all);
    await page.keyboard.press('End');
    await until('the last user is pointed at', async () => (await pointed())?.level === '3');
    // All the way down to a terminal, faster than what is below arrives.
    for (const level of ['4', '5']) {
      await page.keyboard.press('ArrowRight');
      await page.keyboard.press('ArrowRight');
      await until(`level ${level}`, async () => (await pointed())?.level === level);
    }
    expect((await pointed())?.text).toContain('terminal');
    expect((await pointed())?.expanded).toBeNull();
    await page.screenshot({ path: `${SHOTS}desktop-admin-tree.png` });
    // Enter follows; to the left is up.
    await page.keyboard.press('Enter');
    await until('it is followed', () => new URL(page.url()).searchParams.get('actor')?.startsWith('terminal:'));
    await page.getByRole('complementary', { name: 'Followed actor' }).getByText('Messages handled').waitFor();
    await page.keyboard.press('ArrowLeft');
    await until('its environment', async () => (await pointed())?.level === '4');
    await page.keyboard.press('ArrowLeft');
    await until('it is folded', async () => (await pointed())?.expanded === 'false');
  });

  it('finds an actor by a part of its name', async () => {
    await open('/tree');
    await page.keyboard.press('/');
    await page.keyboard.type('mail');
    await until('one is left', async () => (await tree().getAttribute('aria-rowcount')) === '2');
    await tree().getByRole('row', { name: /mailer/ }).waitFor();
    expect(new URL(page.url()).searchParams.get('search')).toBe('mail');
    await page.getByLabel('Search actors').fill('');
    await page.getByRole('radio', { name: 'Failing' }).check();
    await page.getByText('No actor is so.').waitFor();
    await page.getByRole('radio', { name: 'All' }).check();
    await tree().getByRole('row', { name: /^root/ }).waitFor();
  });

  it('restarts an actor, whose shell does not notice', async () => {
    await run(terminal, 'echo before-$((40+2))');
    await shows(terminal, 'before-42');
    const [known] = await actors('terminal:');
    await open(`/tree?${new URLSearchParams({ actor: known?.name ?? '' })}`);
    const followed = page.getByRole('complementary', { name: 'Followed actor' });
    await followed.getByText('live', { exact: true }).waitFor();
    await page.getByRole('button', { name: /^Restart / }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    expect((await actors('terminal:'))[0]?.restarts).toBe(known?.restarts);
    await page.getByRole('button', { name: /^Restart / }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Restart' }).click();
    await until('it was restarted', async () => ((await actors('terminal:'))[0]?.restarts ?? 0) > (known?.restarts ?? 0));
    // Who asked is said beside it, without loading anything anew.
    const { username } = server.account('admin-account.json');
    await followed.getByText(`restart asked for by ${username}`).waitFor();
    await run(terminal, 'echo after-$((40+3))');
    await shows(terminal, 'after-43');
    await audited('admin.actor.restart', known?.name.split(':')[1] ?? '');
  });
});

it('tells of a crash within a second, with its reason and the restart', async () => {
  const [struck] = await actors('terminal:');
  const name = struck?.name ?? '';
  await open(`/tree?${new URLSearchParams({ actor: name })}`);
  const followed = page.getByRole('complementary', { name: 'Followed actor' });
  await followed.getByText('live', { exact: true }).waitFor();
  // What the page shows, and when, by the browser's own clock.
  await page.evaluate((restarts) => {
    const told = () => {
      const side = document.querySelector('aside')?.innerText ?? '';
      return side.includes('injected fault') && side.includes('runs again') && new RegExp(`Restarts\\s+${restarts}\\b`).test(side);
    };
    const seen = new MutationObserver(() => {
      if (!told()) return;
      Object.assign(globalThis, { toldAt: Date.now() });
      seen.disconnect();
    });
    seen.observe(document.body, { subtree: true, childList: true, characterData: true });
  }, (struck?.restarts ?? 0) + 1);
  const began = Date.now();
  await server.ask('POST', `/admin/chaos/panic/${encodeURIComponent(name)}`, admin);
  const told = await until('the page tells of it', () => page.evaluate(() => (globalThis as { toldAt?: number }).toldAt));
  console.log(`a crash is on the page after ${told - began} ms`);
  expect(told - began).toBeLessThan(1_000);
  await page.screenshot({ path: `${SHOTS}desktop-admin-crash.png` });
  // And who looks at the whole is told, too.
  await open('');
  await page.getByRole('region', { name: 'Latest failures' }).getByText('injected fault').first().waitFor();
  await run(terminal, 'echo unhurt-$((40+4))');
  await shows(terminal, 'unhurt-44');
});

describe('acts', () => {
  it('detaches a client, who is told so', async () => {
    await open('/sessions');
    await page.getByRole('button', { name: /clients? of / }).first().click();
    const clients = page.getByRole('list', { name: /^Clients of / });
    await clients.getByRole('button', { name: /^Detach client/ }).first().click();
    await page.getByRole('dialog').getByRole('button', { name: 'Detach' }).click();
    await page.getByText('Nobody looks at it now.').waitFor();
    await audited('admin.client.detach', 'admin');
    await terminal.reload();
    await live(terminal);
  });

  it('ends a session', async () => {
    await open('/sessions');
    await act('End session main');
    await terminal.getByText(/The (shell|session) (ended|was ended)/).first().waitFor();
    await audited('admin.session.end', 'admin');
  });

  it('stops, starts and restarts an environment', async () => {
    await open('/environments');
    const row = page.getByRole('row').filter({ hasText: 'pocket' });
    await row.getByText('Running').waitFor();
    await act('Restart pocket');
    await audited('admin.environment.restart', environment);
    await open('/environments');
    await row.getByText('Running').waitFor();
    await act('Stop pocket');
    await row.getByText('Stopped').waitFor();
    await audited('admin.environment.stop', environment);
    await open('/environments?status=STOPPED');
    await act('Start pocket');
    await audited('admin.environment.start', environment);
    await open('/environments?status=RUNNING');
    await row.getByText('Running').waitFor();
  });

  it('suspends, activates and unlocks a user', async () => {
    const body = { email: BOB.email, username: BOB.username, password: BOB.password, fullName: 'Bob' };
    await server.ask('POST', '/auth/register', undefined, body);
    const code = /\b\d{6}\b/.exec((await server.mail(BOB.email)).split('\r\n\r\n').slice(1).join())?.[0];
    await server.ask('POST', '/auth/verify-email', undefined, { token: code, email: BOB.email });
    for (let miss = 0; miss < 6; miss += 1) await server.signIn(BOB.username, 'Wr0ng!guess').catch(() => {});
    await open('/users?search=bob');
    await page.getByText('locked for 1 address').waitFor();
    await act('Unlock bob');
    await page.getByText('locked for 1 address').waitFor({ state: 'detached' });
    await server.signIn(BOB.username, BOB.password);
    await act('Suspend bob', 'mines coins');
    await page.getByText('Suspended', { exact: true }).last().waitFor();
    await expect(server.signIn(BOB.username, BOB.password)).rejects.toThrow(/40[13]/);
    await act('Activate bob');
    await page.getByText('Active', { exact: true }).last().waitFor();
    await server.signIn(BOB.username, BOB.password);
    await audited('admin.user.unlock', 'admin');
    await audited('admin.user.activate', 'admin');
    await audited('admin.user.suspend', 'mines coins');
    // Nobody saws off the branch that he sits on.
    await open(`/users?search=${server.account('admin-account.json').username}`);
    expect(await page.getByRole('button', { name: /^Suspend / }).first().isDisabled()).toBe(true);
  });

  it('says why an act was refused, where it was asked for', async () => {
    await open('/server');
    await page.getByLabel('Filter, until the next start').fill('devpocket=loud');
    await page.getByRole('button', { name: 'Change the log level' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Change' }).click();
    await dialog.getByRole('alert').filter({ hasText: /./ }).waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    // The browser reports the refusal, too.
    complaints.splice(0, complaints.length);
  });

  it('changes the log level', async () => {
    await open('/server');
    await page.getByLabel('Filter, until the next start').fill('warn,devpocket=info');
    await act('Change the log level');
    await page.getByText('warn,devpocket=info', { exact: true }).waitFor();
    expect((await server.ask<{ filter: string }>('GET', '/admin/log-level', admin)).filter).toBe('warn,devpocket=info');
    await audited('admin.server.log_level', 'admin');
  });
});

it('filters the audit log, and gives it away as a file', async () => {
  await open('/audit');
  const table = page.getByRole('table', { name: 'Audit records' });
  await page.getByLabel('Did').fill('admin.user.');
  await until('only these are listed', async () => {
    const texts = await table.locator('tbody tr code:first-child').allInnerTexts();
    const actions = texts.filter((text) => text.includes('.'));
    return actions.length >= 3 && (await table.getByText('admin.environment.stop').count()) === 0 ? true : undefined;
  });
  await page.getByLabel('Search').fill('mines coins');
  await until('one is left', async () => (await table.locator('tbody tr').count()) === 1);
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export CSV' }).click();
  const file = readFileSync(await (await saved).path(), 'utf8');
  expect(file).toContain('admin.user.suspend');
  expect(file).toContain('mines coins');
  expect(file).not.toContain('admin.user.unlock');
  const lines = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export NDJSON' }).click();
  const [record] = readFileSync(await (await lines).path(), 'utf8').trim().split('\n');
  expect((JSON.parse(record ?? '') as { action: string }).action).toBe('admin.user.suspend');
  // Before there was a server there was nothing to do.
  await page.getByLabel('Before').fill('2001-01-01T00:00');
  await page.getByText('0 in all').waitFor();
});

it('hinders nobody, dark or light, wide or narrow', { timeout: 300_000 }, async () => {
  const { username, password } = server.account('admin-account.json');
  for (const profile of [{ ...DESKTOP, viewport: { width: 1600, height: 900 } }, NARROW]) {
    const context = await chromium.newContext(profile);
    const errors = watch(context);
    const other = await context.newPage();
    other.setDefaultTimeout(20_000);
    await signIn(other, `${server.url}/admin`, { username, password });
    await other.getByRole('banner').getByText('Live', { exact: true }).waitFor();
    for (const colorScheme of ['dark', 'light'] as const) {
      await other.emulateMedia({ colorScheme });
      for (const section of SECTIONS) {
        await other.goto(`${server.url}/admin${section}`);
        await other.getByRole('banner').getByText('Live', { exact: true }).waitFor();
        await other.waitForLoadState('networkidle');
        expect(await hindrances(other), `${section} ${colorScheme}`).toEqual([]);
        const wider = await other.evaluate(() => Math.max(innerWidth, document.documentElement.scrollWidth) - document.documentElement.clientWidth);
        expect(wider, `${section} is wider than the screen`).toBe(0);
      }
    }
    if (profile === NARROW) {
      await other.emulateMedia({ colorScheme: 'dark' });
      await other.goto(`${server.url}/admin`);
      await other.getByText('live', { exact: true }).first().waitFor();
      await other.screenshot({ path: `${SHOTS}phone-admin-overview.png` });
      await other.goto(`${server.url}/admin/tree`);
      await other.getByRole('row', { name: /root/ }).waitFor();
      await other.screenshot({ path: `${SHOTS}phone-admin-tree.png` });
      // A tap follows; what covers the tree closes again.
      await other.getByRole('row', { name: /persistence/ }).tap();
      await other.getByRole('heading', { name: 'persistence' }).waitFor();
      expect(await hindrances(other)).toEqual([]);
      await other.getByRole('button', { name: 'Follow no more' }).tap();
      await other.getByRole('row', { name: /root/ }).waitFor();
    }
    expect(errors).toEqual([]);
    await context.close();
  }
});

it('shows 10,000 actors, quickly and in little memory', { timeout: 120_000 }, async () => {
  await server.ask('POST', '/admin/chaos/simulate/10000', admin);
  const context = await chromium.newContext({ viewport: { width: 1440, height: 900 } });
  const many = await context.newPage();
  many.setDefaultTimeout(20_000);
  const debug = await context.newCDPSession(many);
  // How long each update takes: from the message until it is drawn.
  await many.addInitScript(() => {
    const times: number[] = [];
    const shifts: number[] = [];
    Object.assign(globalThis, { times, shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
        if (!entry.hadRecentInput) shifts.push(entry.value);
      }
    }).observe({ type: 'layout-shift' });
    const Real = WebSocket;
    globalThis.WebSocket = class extends Real {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        if (!String(url).includes('/ws/admin')) return;
        // The page's own listener runs after this one.
        this.addEventListener('message', () => {
          const began = performance.now();
          requestAnimationFrame(() => setTimeout(() => times.push(performance.now() - began)));
        });
      }
    };
  });
  await signIn(many, `${server.url}/admin/tree`, server.account('admin-account.json'));
  const grid = many.getByRole('treegrid');
  await until('they are there', async () => Number(await grid.getAttribute('aria-rowcount')) > 500);
  expect((await server.ask<{ actors: { total: number } }>('GET', '/admin/overview', admin)).actors.total).toBeGreaterThan(10_000);
  await grid.focus();
  // Through users and their environments, unfolding, and to the end and back.
  for (const key of ['End', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'PageUp', 'PageUp', 'Home', 'PageDown', 'End']) {
    await many.keyboard.press(key);
    await until('what is pointed at is there', () =>
      grid.evaluate((grid) => document.getElementById(grid.getAttribute('aria-activedescendant') ?? '') !== null),
    );
  }
  expect(await grid.locator('.tree-row').count()).toBeLessThan(100);
  // What the page's thread works for each update, and how long it takes until it is drawn.
  await debug.send('Performance.enable', { timeDomain: 'threadTicks' });
  const work = async () => (await debug.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0;
  const drawn = () => many.evaluate(() => (globalThis as unknown as { times: number[] }).times);
  // And nothing moves that nobody moved.
  const moved = () => many.evaluate(() => (globalThis as unknown as { shifts: number[] }).shifts.splice(0).reduce((sum, shift) => sum + shift, 0));
  await moved();
  const worked: number[] = [];
  for (let update = 0; update < 20; update += 1) {
    const [before, { length }] = [await work(), await drawn()];
    await until('an update', async () => (await drawn()).length > length);
    worked.push(((await work()) - before) * 1_000);
  }
  const worst = Math.max(...worked);
  const middle = (await drawn()).sort((a, b) => a - b)[Math.floor((await drawn()).length / 2)] ?? 0;
  await debug.send('HeapProfiler.collectGarbage');
  const megabytes = await largestPage();
  console.log(`10,000 actors: at most ${worst.toFixed(0)} ms of work an update, drawn after ${middle.toFixed(0)} ms; ${megabytes} MB`);
  expect(worst).toBeLessThan(100);
  expect(middle).toBeLessThan(100);
  expect(megabytes).toBeLessThan(150);
  expect(await moved()).toBeLessThan(STILL);
  await many.screenshot({ path: `${SHOTS}desktop-admin-many.png` });
  await many.goto(`${server.url}/admin`);
  await until('the figures are there', async () => (await drawn()).length > 4);
  await moved();
  await until('twelve updates more', async () => (await drawn()).length > 16);
  expect(await moved()).toBeLessThan(STILL);
  await context.close();
});

it('drains the server, which comes back', async () => {
  expect(complaints).toEqual([]);
  await open('/server');
  await act('Drain the server');
  await server.ended();
  await page.getByRole('banner').getByText('Reconnecting').waitFor();
  await server.start();
  await page.getByRole('banner').getByText('Live', { exact: true }).waitFor();
  await audited('admin.server.drain', 'admin');
});
