// The real server: `devpocket dev` with a directory of its own, on a free port that stays over a
// restart; and a real browser.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const PATIENCE = 25_000;
const LOOK = 50;

export const pause = (milliseconds: number) => new Promise<void>((done) => setTimeout(done, milliseconds));

/** Waits until something is so. */
export async function until<T>(what: string, look: () => T | Promise<T>, patience = PATIENCE): Promise<NonNullable<T>> {
  const deadline = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${patience} ms`);
    await pause(LOOK);
  }
}

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; make test-browser does it`);
  return value;
}

export class Server {
  private child: ChildProcess | undefined;
  private readonly root = mkdtempSync(join(tmpdir(), 'devpocket-browser-'));
  private readonly data = join(this.root, 'data');
  private port = '0';
  url = '';

  async start(): Promise<void> {
    const log = openSync(join(this.root, 'log'), 'a');
    const { RATE_LIMIT_ENABLED: _, ...environment } = process.env;
    const child = spawn(
      variable('DEVPOCKET'),
      ['dev', '--data-dir', this.data, '--listen', `127.0.0.1:${this.port}`],
      { cwd: this.root, stdio: ['ignore', log, log], env: { ...environment, RATE_LIMIT_ENABLED: 'false' } },
    );
    this.child = child;
    const ready = await until('the server is ready', () => {
      if (child.exitCode !== null) throw new Error(`the server ended:\n${readFileSync(join(this.root, 'log'), 'utf8')}`);
      const file = this.json('server.json') as { pid: number; url: string } | undefined;
      return file?.pid === child.pid ? file : undefined;
    });
    this.url = ready.url.replace(/\/$/, '');
    this.port = new URL(this.url).port;
  }

  /** Kills it as the kernel does when memory is short. */
  async kill(): Promise<void> {
    const child = this.child;
    if (!child) return;
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  /** Waits until it has ended by itself. */
  async ended(): Promise<void> {
    const child = this.child;
    if (!child) return;
    await until('the server ended', () => child.exitCode !== null || child.signalCode !== null);
  }

  /** Ends the environments, then the server, and takes everything away. */
  async end(): Promise<void> {
    const child = this.child;
    if (child && child.exitCode === null) {
      for (const file of ['demo-account.json', 'admin-account.json']) await this.stopAll(file);
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(this.root, { recursive: true, force: true });
  }

  account(file = 'demo-account.json'): { username: string; password: string } {
    return this.json(file) as { username: string; password: string };
  }

  async ask<T>(method: string, path: string, token?: string, body?: object): Promise<T> {
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { 'Content-Type': 'application/json', ...(token ? { Authorization: `Bearer ${token}` } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    const text = await answer.text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  async signIn(username: string, password: string): Promise<string> {
    const body = { usernameOrEmail: username, password };
    return (await this.ask<{ accessToken: string }>('POST', '/auth/login', undefined, body)).accessToken;
  }

  /** Stops all environments of an account, so that nothing outlives the tests. */
  async stopAll(file: string | { username: string; password: string }): Promise<void> {
    const { username, password } = typeof file === 'string' ? this.account(file) : file;
    const token = await this.signIn(username, password);
    const list = () => this.ask<{ environments: { id: string; status: string }[] }>('GET', '/environments', token);
    for (const { id, status } of (await list()).environments) {
      if (status !== 'STOPPED') await this.ask('POST', `/environments/${id}/stop`, token, {});
    }
    await until('environments are stopped', async () =>
      (await list()).environments.every(({ status }) => ['STOPPED', 'ERROR'].includes(status)),
    );
  }

  /** The newest mail to somebody. */
  async mail(to: string): Promise<string> {
    const outbox = join(this.data, 'outbox');
    return until(`a mail to ${to}`, () => {
      let names: string[] = [];
      try {
        names = readdirSync(outbox).filter((name) => name.endsWith('.eml')).sort().reverse();
      } catch {
        // There is none yet.
      }
      return names.map((name) => readFileSync(join(outbox, name), 'utf8')).find((mail) => mail.includes(to));
    });
  }

  private json(name: string): unknown {
    try {
      return JSON.parse(readFileSync(join(this.data, name), 'utf8'));
    } catch {
      return undefined;
    }
  }
}

export function browser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    chromiumSandbox: process.getuid?.() !== 0,
  });
}
