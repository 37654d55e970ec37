// From nobody to a running shell, on a phone; and what surrounds it.

import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hindrances, live, PHONE, run, SHOTS, shows, signIn, watch } from './pages';
import { browser, Server } from './server';

const ANN = { username: 'ann', email: 'ann@example.org', password: 'Str0ng!enough' };

const server = new Server();
let chromium: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  [chromium] = await Promise.all([browser(), server.start()]);
  context = await chromium.newContext(PHONE);
  complaints = watch(context);
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
});

afterAll(async () => {
  await chromium?.close();
  await server.stopAll(ANN).catch(() => {});
  await server.end();
});

it('asks to sign in first, and leads back to where a link pointed', async () => {
  await page.goto(`${server.url}/e/somewhere?session=x`);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  expect(new URL(page.url()).searchParams.get('next')).toBe('/e/somewhere?session=x');
  expect(await hindrances(page)).toEqual([]);
  await page.screenshot({ path: `${SHOTS}phone-sign-in.png` });
  const { username, password } = server.account();
  await page.getByLabel('User name or email').fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'There is no such environment' }).waitFor();
  expect(new URL(page.url()).pathname).toBe('/e/somewhere');
  await page.getByRole('link', { name: 'All environments' }).last().click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

it('tells what is wrong with which field', async () => {
  await page.goto(`${server.url}/register`);
  await page.getByLabel('User name').fill('a');
  await page.getByLabel('Email').fill('nonsense');
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.getByRole('alert').getByText('Please check').waitFor();
  expect(await page.locator('[aria-invalid]').count()).toBeGreaterThanOrEqual(3);
  complaints.splice(0, complaints.length);
});

it('registers, verifies with the digits of the mail, creates, types', async () => {
  await page.goto(`${server.url}/register`);
  await page.getByLabel('Your name').fill('Ann Example');
  await page.getByLabel('User name').fill(ANN.username);
  await page.getByLabel('Email').fill(ANN.email);
  await page.getByLabel('Password', { exact: true }).fill(ANN.password);
  expect(await hindrances(page)).toEqual([]);
  await page.getByRole('button', { name: 'Create account' }).click();
  const code = /\b\d{6}\b/.exec((await server.mail(ANN.email)).split('\r\n\r\n').slice(1).join())?.[0] ?? '';
  await page.getByLabel('Six digits').fill(code);
  await page.getByRole('button', { name: 'Verify', exact: true }).click();

  await page.getByRole('heading', { name: 'No environment yet' }).waitFor();
  expect(await hindrances(page)).toEqual([]);
  await page.screenshot({ path: `${SHOTS}phone-empty.png` });
  await page.getByRole('link', { name: 'Create your first' }).click();
  // What the plan allows stands there before it bites.
  await page.getByText('0 of 1 environment on the Free plan').waitFor();
  await page.getByRole('radio', { name: /Ubuntu/ }).check();
  expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('ubuntu');
  expect(await hindrances(page)).toEqual([]);
  await page.screenshot({ path: `${SHOTS}phone-create.png` });
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await live(page);
  await run(page, 'echo $((6*7)) from $(hostname | wc -l) shell');
  await shows(page, '42 from 1 shell');
  expect(await hindrances(page)).toEqual([]);
  expect(complaints).toEqual([]);
});

it('says what the plan allows before it bites, and follows what happens', async () => {
  await page.goto(`${server.url}/environments/new`);
  await page.getByText('Your plan’s limit is reached').waitFor();
  expect(await page.getByRole('button', { name: 'Create', exact: true }).isDisabled()).toBe(true);
  await page.goto(`${server.url}/environments`);
  await page.getByRole('button', { name: 'Stop ubuntu' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Start ubuntu' }).waitFor();
  expect(await hindrances(page)).toEqual([]);
  await page.screenshot({ path: `${SHOTS}phone-environments.png` });
  await page.getByRole('button', { name: 'Start ubuntu' }).click();
  await page.getByRole('link', { name: 'Open ubuntu' }).waitFor();
  await page.getByText('Running', { exact: true }).waitFor();
});

it('lets no foreign script in', async () => {
  const blocked = page.waitForEvent('console', (message) => /Content Security Policy/.test(message.text()));
  const ran = await page.evaluate(() => {
    const inline = document.createElement('script');
    inline.textContent = 'globalThis.foreign = true';
    document.body.append(inline);
    const button = document.createElement('button');
    button.setAttribute('onclick', 'globalThis.foreign = true');
    document.body.append(button);
    button.click();
    button.remove();
    return (globalThis as { foreign?: boolean }).foreign ?? false;
  });
  expect(ran).toBe(false);
  await blocked;
  complaints.splice(0, complaints.length);
});

it('loads the terminal for the first time in less than 400 KB', async () => {
  // What a service worker fetches is not counted at the page.
  const fresh = await chromium.newContext({ ...PHONE, serviceWorkers: 'block' });
  const first = await fresh.newPage();
  const session = await fresh.newCDPSession(first);
  await session.send('Network.enable');
  let bytes = 0;
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength;
  });
  const token = await server.signIn(ANN.username, ANN.password);
  const { environments } = await server.ask<{ environments: { id: string }[] }>('GET', '/environments', token);
  await signIn(first, `${server.url}/e/${environments[0]?.id}`, ANN);
  await live(first);
  await first.waitForLoadState('networkidle');
  console.log(`first load of the terminal: ${bytes} bytes`);
  expect(bytes).toBeGreaterThan(50_000);
  expect(bytes).toBeLessThan(400_000);
  await fresh.close();
});
