// A forgotten password: ask for a mail, then set a new one with what it says.

import { useState } from 'preact/hooks';
import { ask } from '../api/http';
import { forget } from '../api/tokens';
import { go, Link } from '../router';
import { Field, Problem, useDoing } from '../ui/parts';
import { Frame } from './Frame';
import { PASSWORD_RULE } from './Register';

export function Forgot() {
  const [email, setEmail] = useState('');
  const { busy, problem, fields, run } = useDoing();
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      await ask('POST', '/auth/forgot-password', { email: email.trim() });
      go(`/reset-password?${new URLSearchParams({ email: email.trim() })}`);
    });
  };
  return (
    <Frame title="Forgot your password?" lead="We send you a link and a code to set a new one.">
      <form onSubmit={submit} noValidate>
        <Problem text={problem} />
        <Field label="Email" name="email" type="email" value={email} change={setEmail} complete="email"
          error={fields.email} focus />
        <button type="submit" class="button button-main button-wide" disabled={busy}>
          {busy ? 'Sending…' : 'Send the mail'}
        </button>
      </form>
      <p class="account-links">
        <Link to="/sign-in">Back to signing in</Link>
      </p>
    </Frame>
  );
}

export function Reset({ query }: { query: URLSearchParams }) {
  const link = query.get('token');
  const [email, setEmail] = useState(query.get('email') ?? '');
  const [code, setCode] = useState('');
  const [password, setPassword] = useState('');
  const { busy, problem, fields, run } = useDoing();
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      const proof = link ? { token: link } : { token: code.trim(), email: email.trim() };
      await ask('POST', '/auth/reset-password', { ...proof, newPassword: password });
      forget();
      go(`/sign-in?${new URLSearchParams({ name: email })}`, 'replace');
    });
  };
  const lead = link ? undefined : 'If there is such an account, a mail with a link and a code is on its way.';
  return (
    <Frame title="Set a new password" {...(lead ? { lead } : {})}>
      <form onSubmit={submit} noValidate>
        <Problem text={problem} />
        {!link && (
          <>
            <Field label="Email" name="email" type="email" value={email} change={setEmail} complete="email"
              error={fields.email} />
            <Field label="Six digits" name="code" value={code} change={setCode} complete="one-time-code" numeric
              error={fields.token} focus />
          </>
        )}
        <Field label="New password" name="password" type="password" value={password} change={setPassword}
          complete="new-password" error={fields.newPassword} hint={PASSWORD_RULE} focus={Boolean(link)} />
        <button type="submit" class="button button-main button-wide" disabled={busy}>
          {busy ? 'Setting…' : 'Set password'}
        </button>
      </form>
      <p class="account-links">
        <Link to="/sign-in">Back to signing in</Link>
      </p>
    </Frame>
  );
}
