import { useState } from 'preact/hooks';
import { ask } from '../api/http';
import type { TokenPair } from '../api/model';
import { keep } from '../api/tokens';
import { go, Link, nextPlace } from '../router';
import { Field, Problem, useDoing } from '../ui/parts';
import { Frame } from './Frame';

export const PASSWORD_RULE = 'At least 8 characters: lower and upper case, a digit and a special one.';

export function Register({ query }: { query: URLSearchParams }) {
  const [fullName, setFullName] = useState('');
  const [username, setUsername] = useState('');
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const { busy, problem, fields, run } = useDoing();
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      const body = { email: email.trim(), username: username.trim(), password, fullName: fullName.trim() };
      keep(await ask<TokenPair>('POST', '/auth/register', body));
      go(`/verify-email?${new URLSearchParams({ email: body.email, next: nextPlace(query) })}`, 'replace');
    });
  };
  return (
    <Frame title="Create an account" lead="One account, and a shell in your pocket.">
      <form onSubmit={submit} noValidate>
        <Problem text={problem} />
        <Field label="Your name" name="name" value={fullName} change={setFullName} complete="name"
          error={fields.fullName} focus />
        <Field label="User name" name="username" value={username} change={setUsername} complete="username"
          error={fields.username} hint="3 to 30 letters, digits, - or _." />
        <Field label="Email" name="email" type="email" value={email} change={setEmail} complete="email"
          error={fields.email} />
        <Field label="Password" name="password" type="password" value={password} change={setPassword}
          complete="new-password" error={fields.password} hint={PASSWORD_RULE} />
        <button type="submit" class="button button-main button-wide" disabled={busy}>
          {busy ? 'Creating…' : 'Create account'}
        </button>
      </form>
      <p class="account-links">
        <Link to="/sign-in">I have an account</Link>
      </p>
    </Frame>
  );
}
