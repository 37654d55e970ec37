// A file that only who is signed in gets, so that a plain link does not do.

import { ApiError } from '../api/http';
import { accessToken } from '../api/tokens';

const LIMIT = 120_000;

export async function downloaded(path: string, name: string): Promise<void> {
  const ask = async (token: string) =>
    fetch(`/api/v1${path}`, {
      headers: { Authorization: `Bearer ${token}`, 'X-DevPocket-Dialect': 'camel' },
      signal: AbortSignal.timeout(LIMIT),
    });
  const token = await accessToken();
  let answer = await ask(token);
  if (answer.status === 401) answer = await ask(await accessToken(token));
  if (!answer.ok) throw new ApiError(answer.status, `The server answered with ${answer.status}.`, {});
  const blob = await answer.blob();
  // What the server could not finish ends in the middle of a line.
  if (blob.size > 0 && (await blob.slice(-1).text()) !== '\n') throw new Error('The server broke off in the middle. Try again.');
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The download holds the data by now, or begins to within a moment.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
