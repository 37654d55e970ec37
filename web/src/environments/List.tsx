import { useState } from 'preact/hooks';
import { asked, told } from '../api/http';
import { forget } from '../api/tokens';
import { Link } from '../router';
import { useStore } from '../store';
import { Icon, Logo, Problem } from '../ui/parts';
import { ThemeSwitch } from '../ui/theme';
import { Acts } from './Acts';
import { environments, isLive, type Live, quota, read, trouble, user } from './state';
import { amount, describe } from './words';

const PLANS = { FREE: 'Free', STARTER: 'Starter', PRO: 'Pro', ENTERPRISE: 'Enterprise' } as const;

export function Quota() {
  const told = useStore(quota);
  const who = useStore(user);
  if (!told) return <p class="quota">&nbsp;</p>;
  const plan = who ? ` on the ${PLANS[who.subscriptionPlan]} plan` : '';
  return (
    <p class="quota">
      {told.environments} of {told.limit} {told.limit === 1 ? 'environment' : 'environments'}
      {plan}
    </p>
  );
}

export function Top() {
  const who = useStore(user);
  const signOut = async () => {
    try {
      await asked('POST', '/auth/logout', {});
    } catch {
      // Whatever the server says: here nobody is signed in any more.
    }
    forget();
  };
  return (
    <header class="top">
      <Link to="/environments" class="brand">
        <Logo /> DevPocket
      </Link>
      {who?.role === 'ADMIN' && (
        <Link to="/admin" class="icon-button" aria-label="Administration" title="Administration">
          <Icon name="pulse" />
        </Link>
      )}
      <ThemeSwitch />
      <button type="button" class="icon-button" onClick={() => void signOut()} aria-label="Sign out" title="Sign out">
        <Icon name="out" />
      </button>
    </header>
  );
}

export function List() {
  const list = useStore(environments);
  const failed = useStore(trouble);
  const live = useStore(isLive);
  const who = useStore(user);
  const share = useStore(quota);
  const full = share !== undefined && share.environments >= share.limit;
  return (
    <div class="page">
      <Top />
      <main>
        <div class="page-head">
          <div>
            <h1>Environments</h1>
            <Quota />
          </div>
          {list && list.length > 0 && !full && (
            <Link to="/environments/new" class="button button-main">
              <Icon name="plus" /> New
            </Link>
          )}
        </div>
        {who && !who.isVerified && (
          <p class="banner">
            Your email is not verified yet; creating an environment needs that.{' '}
            <Link to={`/verify-email?${new URLSearchParams({ email: who.email })}`}>Verify it</Link>
          </p>
        )}
        {full && list && list.length > 0 && (
          <p class="banner">Your plan’s limit is reached. Delete an environment before you create another.</p>
        )}
        {failed !== undefined && !list && (
          <div class="empty">
            <Problem text={told(failed)} />
            <button type="button" class="button" onClick={() => void read()}>
              Try again
            </button>
          </div>
        )}
        {!list && failed === undefined && <Waiting />}
        {list?.length === 0 && <Empty />}
        <ul class="cards">
          {list?.map((one) => <Card key={one.id} environment={one} />)}
        </ul>
        <p class="quiet" role="status">
          {list && !live ? 'Reconnecting… what you see may be older.' : ''}
        </p>
      </main>
    </div>
  );
}

function Waiting() {
  return (
    <ul class="cards" aria-label="Loading">
      <li class="card card-ghost" />
      <li class="card card-ghost" />
    </ul>
  );
}

function Empty() {
  return (
    <div class="empty">
      <pre class="empty-art" aria-hidden="true">{'dev@pocket:~$ ▮'}</pre>
      <h2>No environment yet</h2>
      <p>An environment is a small machine of your own. Its shells go on while your phone sleeps.</p>
      <Link to="/environments/new" class="button button-main">
        Create your first
      </Link>
    </div>
  );
}

function Card({ environment }: { environment: Live }) {
  const [problem, setProblem] = useState('');
  const { id, name, phase, templateName, resources, statusReason, progress } = environment;
  const { word, tone } = describe(phase);
  const reason = tone === 'bad' ? statusReason : tone === 'busy' ? progress : undefined;
  return (
    <li class="card">
      <div class="card-head">
        <Link to={`/e/${id}`} class="card-name">
          {name}
        </Link>
        <span class={`status status-${tone}`}>{word}</span>
      </div>
      <p class="card-facts">
        {templateName}
        {resources && ` · ${amount(resources.cpu)} CPU · ${amount(resources.memory)}`}
      </p>
      <p class={tone === 'bad' ? 'card-line note-error' : 'card-line'}>{reason ?? ''}</p>
      <Problem text={problem} />
      <div class="card-acts">
        {tone !== 'idle' && tone !== 'bad' ? (
          <Link to={`/e/${id}`} class="button button-main" aria-label={`Open ${name}`}>
            Open
          </Link>
        ) : null}
        <span class="row">
          <Acts environment={environment} problem={setProblem} />
        </span>
      </div>
    </li>
  );
}
