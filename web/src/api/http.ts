// Asks the server, in the camel dialect.

import { accessToken, forget, SignedOut } from './tokens';

const ANSWER_LIMIT = 30_000;

/** A refusal, in the server's own words. */
export class ApiError extends Error {
  constructor(
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    message: string,
    /** What is wrong with which field. */
    readonly fields: Readonly<Record<string, string>>,
  ) {
    super(message);
  }
}

interface ErrorBody {
  message?: string;
  errors?: { field?: string; message?: string }[];
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Asks without a token. */
export function ask<T>(method: Method, path: string, body?: object): Promise<T> {
  return exchange<T>(method, path, body);
}

/** Asks as who is signed in; renews the token when the server does not take it. */
export async function asked<T>(method: Method, path: string, body?: object): Promise<T> {
  const token = await accessToken();
  try {
    return await exchange<T>(method, path, body, token);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    const fresh = await accessToken(token);
    try {
      return await exchange<T>(method, path, body, fresh);
    } catch (again) {
      if (!(again instanceof ApiError) || again.status !== 401) throw again;
      forget();
      throw new SignedOut(again.message);
    }
  }
}

async function exchange<T>(method: Method, path: string, body?: object, token?: string): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', 'X-DevPocket-Dialect': 'camel' };
  if (body) headers['Content-Type'] = 'application/json';
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(`/api/v1${path}`, {
      method,
      headers,
      signal: AbortSignal.timeout(ANSWER_LIMIT),
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    text = await answer.text();
  } catch {
    throw new ApiError(0, 'The server can’t be reached. Check your connection and try again.', {});
  }
  let value: unknown = null;
  try {
    if (text !== '') value = JSON.parse(text);
  } catch {
    // Something between us and the server answered; its status says enough.
  }
  if (answer.ok) return value as T;
  const refusal = (value ?? {}) as ErrorBody;
  const fields: Record<string, string> = {};
  for (const { field, message } of refusal.errors ?? []) {
    if (field && message) fields[field] ??= message;
  }
  throw new ApiError(answer.status, refusal.message ?? `The server answered with ${answer.status}.`, fields);
}

/** A ticket opens one WebSocket within 30 s. */
export async function ticket(): Promise<string> {
  return (await asked<{ ticket: string }>('POST', '/ws/ticket', {})).ticket;
}

/** The address of a socket of this server. */
export function socketUrl(path: string): string {
  return `${location.origin.replace(/^http/, 'ws')}/api/v1/ws${path}`;
}

/** What to tell a person about something that failed. */
export function told(error: unknown): string {
  return error instanceof Error ? error.message : 'Something went wrong.';
}
