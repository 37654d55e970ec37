import { useState } from 'preact/hooks';
import { ask } from '../api/http';
import type { TokenPair } from '../api/model';
import { keep } from '../api/tokens';
import { go, Link, nextPlace } from '../router';
import { Field, Problem, useDoing } from '../ui/parts';
import { Frame } from './Frame';

export function SignIn({ query }: { query: URLSearchParams }) {
  const [name, setName] = useState(query.get('name') ?? '');
  const [password, setPassword] = useState('');
  const { busy, problem, fields, run } = useDoing();
  const keepNext = query.has('next') ? `?${new URLSearchParams({ next: nextPlace(query) })}` : '';
  const submit = (event: Event) => {
    event.preventDefault();
    void run(
      async () => {
        const body = { usernameOrEmail: name.trim(), password };
        keep(await ask<TokenPair>('POST', '/auth/login', body));
        go(nextPlace(query), 'replace');
      },
      (error) => {
        if (error.status !== 403) return false;
        const more = new URLSearchParams({ next: nextPlace(query) });
        if (name.includes('@')) more.set('email', name.trim());
        go(`/verify-email?${more}`);
        return true;
      },
    );
  };
  return (
    <Frame title="Sign in" lead="Your environments are where you left them.">
      <form onSubmit={submit} noValidate>
        <Problem text={problem} />
        <Field label="User name or email" name="username" value={name} change={setName} complete="username"
          error={fields.usernameOrEmail} focus />
        <Field label="Password" name="password" type="password" value={password} change={setPassword}
          complete="current-password" error={fields.password} />
        <button type="submit" class="button button-main button-wide" disabled={busy}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
      </form>
      <p class="account-links">
        <Link to={`/register${keepNext}`}>Create an account</Link>
        <Link to="/forgot-password">Forgot your password?</Link>
      </p>
    </Frame>
  );
}
