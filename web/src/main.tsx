// The page: which screen an address shows, and what the whole page listens to.

import { type ComponentType, render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Forgot, Reset } from './account/Password';
import { Register } from './account/Register';
import { SignIn } from './account/SignIn';
import { Verify } from './account/Verify';
import { signedIn } from './api/tokens';
import { Create } from './environments/Create';
import { List } from './environments/List';
import { follow, hurry, offline, unfollow } from './environments/state';
import { address, go, Link } from './router';
import { useStore } from './store';
import './ui/tokens.css';
import './ui/base.css';
import './ui/screens.css';


function App() {
  const { pathname, searchParams: query } = new URL(useStore(address), location.origin);
  const known = useStore(signedIn);
  const path = pathname.replace(/(.)\/+$/, '$1');
  const terminal = /^\/e\/([^/]+)$/.exec(path)?.[1];
  const admin = /^\/admin(?:\/([^/]+))?$/.exec(path);
  const own = path === '/' || path.startsWith('/environments') || terminal !== undefined || admin !== null;

  useEffect(() => {
    if (known) follow();
    else unfollow();
  }, [known]);
  useEffect(() => {
    if (own && !known) {
      const next = path === '/' ? '' : `?${new URLSearchParams({ next: pathname + location.search })}`;
      go(`/sign-in${next}`, 'replace');
    } else if (path === '/') go('/environments', 'replace');
  }, [own, known, path]);

  if (own && !known) return null;
  switch (path) {
    case '/':
      return null;
    case '/sign-in':
      return <SignIn query={query} />;
    case '/register':
      return <Register query={query} />;
    case '/verify-email':
      return <Verify query={query} />;
    case '/forgot-password':
      return <Forgot />;
    case '/reset-password':
      return <Reset query={query} />;
    case '/environments':
      return <List />;
    case '/environments/new':
      return <Create />;
    default:
      if (terminal !== undefined) return <Fetched key="terminal" load={loadTerminal} props={{ id: terminal, query }} />;
      if (admin) return <Fetched key="admin" load={loadAdmin} props={{ section: admin[1] ?? 'overview' }} />;
      return <Nowhere />;
  }
}

// The largest parts are fetched when they are needed.
const loadTerminal = () => import('./terminal/Page');
const loadAdmin = () => import('./admin/Page');

interface FetchedProps<P> {
  load: () => Promise<{ default: ComponentType<P> }>;
  props: P;
}

function Fetched<P extends object>({ load, props }: FetchedProps<P>) {
  const [page, setPage] = useState<{ Page: ComponentType<P> }>();
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    load().then(
      (module) => setPage({ Page: module.default }),
      () => setFailed(true),
    );
  }, []);
  if (page) return <page.Page {...props} />;
  if (!failed) return null;
  return (
    <div class="empty">
      <h1>The page could not be loaded</h1>
      <p>The network failed, or the server was updated meanwhile.</p>
      <button type="button" class="button" onClick={() => location.reload()}>
        Load again
      </button>
    </div>
  );
}

function Nowhere() {
  return (
    <main class="empty">
      <h1>Nothing is here</h1>
      <p>The address leads nowhere.</p>
      <Link to="/environments" class="button">
        All environments
      </Link>
    </main>
  );
}

/** The part of the window that a soft keyboard leaves is as high as the page. */
function fit(): void {
  const view = window.visualViewport;
  if (!view || view.scale !== 1) return;
  const { style } = document.documentElement;
  style.setProperty('--height', `${view.height}px`);
  style.setProperty('--top', `${view.offsetTop}px`);
}

window.visualViewport?.addEventListener('resize', fit);
window.visualViewport?.addEventListener('scroll', fit);
fit();

const back = () => {
  if (document.visibilityState === 'visible') hurry();
};
window.addEventListener('online', back);
window.addEventListener('pageshow', (event) => event.persisted && back());
document.addEventListener('visibilitychange', back);
window.addEventListener('offline', offline);

if ('serviceWorker' in navigator && import.meta.env.PROD) {
  // Without it the page only needs a network to open.
  window.addEventListener('load', () => void navigator.serviceWorker.register('/sw.js').catch(() => {}));
}

const root = document.getElementById('app');
if (root) render(<App />, root);
