import { useEffect, useState } from 'preact/hooks';
import { ask, asked } from '../api/http';
import { signedIn } from '../api/tokens';
import { readUser } from '../environments/state';
import { go, Link, nextPlace } from '../router';
import { Field, Problem, useDoing } from '../ui/parts';
import { Frame } from './Frame';

/** Six digits by hand, or the link of the mail, which brings its token along. */
export function Verify({ query }: { query: URLSearchParams }) {
  const link = query.get('token');
  const [email, setEmail] = useState(query.get('email') ?? '');
  const [code, setCode] = useState('');
  const [sent, setSent] = useState('');
  const { busy, problem, fields, run, setProblem } = useDoing();
  const askHere = signedIn.value ? asked : ask;
  const whose = signedIn.value ? {} : { email: email.trim() };

  const verify = (proof: object) =>
    run(async () => {
      await askHere('POST', '/auth/verify-email', proof);
      if (signedIn.value) await readUser();
      go(signedIn.value ? nextPlace(query) : `/sign-in?${new URLSearchParams({ name: email })}`, 'replace');
    });
  useEffect(() => {
    if (link) void verify({ token: link });
  }, []);

  const submit = (event: Event) => {
    event.preventDefault();
    if (!/^\d{6}$/.test(code.trim())) setProblem('The code has six digits.');
    else void verify({ token: code.trim(), ...whose });
  };
  const again = () =>
    run(async () => {
      await askHere('POST', '/auth/resend-verification', whose);
      setSent('Another mail is on its way. The code before is void.');
    });
  const lead = link && busy ? 'Checking the link…' : 'We sent you a mail with a link and a code. Either will do.';
  return (
    <Frame title="Verify your email" lead={lead}>
      <form onSubmit={submit} noValidate>
        <Problem text={problem} />
        {!signedIn.value && (
          <Field label="Email" name="email" type="email" value={email} change={setEmail} complete="email"
            error={fields.email} />
        )}
        <Field label="Six digits" name="code" value={code} change={setCode} complete="one-time-code" numeric
          error={fields.token} focus={!link} />
        <button type="submit" class="button button-main button-wide" disabled={busy}>
          {busy ? 'Checking…' : 'Verify'}
        </button>
      </form>
      <p class="note" role="status">{sent}</p>
      <p class="account-links">
        <button type="button" class="linkish" onClick={() => void again()} disabled={busy}>
          Send another mail
        </button>
        <Link to={signedIn.value ? '/environments' : '/sign-in'}>Later</Link>
      </p>
    </Frame>
  );
}
