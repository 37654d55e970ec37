// The admin dashboard: who may see it, where its sections are, and whether what it shows is live.

import type { FunctionComponent } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { readUser, user } from '../environments/state';
import { Link } from '../router';
import { useStore } from '../store';
import { Drawn, Icon, Logo } from '../ui/parts';
import { ThemeSwitch } from '../ui/theme';
import { Audit } from './Audit';
import { Clusters } from './Clusters';
import { Environments } from './Environments';
import { follow, isLive, shown } from './live';
import { OverviewPage } from './Overview';
import { Done } from './parts';
import { ServerPage } from './Server';
import { Sessions } from './Sessions';
import { TreePage } from './Tree';
import { Users } from './Users';
import { toneOf } from './words';
import type { Overview } from './wire';
import './frame.css';
import './tiles.css';
import './charts.css';
import './tree.css';
import './side.css';
import './lists.css';

interface Section {
  at: string;
  name: string;
  icon: string;
  page: FunctionComponent;
  /** How many there ask to be looked at. */
  trouble?: (overview: Overview) => number;
}

const SECTIONS: readonly Section[] = [
  { at: 'overview', name: 'Overview', icon: 'M4 13h7V4H4zM13 20h7v-9h-7zM4 20h7v-4H4zM13 8h7V4h-7z', page: OverviewPage },
  {
    at: 'tree',
    name: 'Tree',
    icon: 'M12 3v6M12 9H6v4M12 9h6v4M4 13h4v4H4zM16 13h4v4h-4zM10 13h4v4h-4zM12 9v4',
    page: TreePage,
    trouble: ({ actors }) => actors.failed + actors.stuck + actors.restarting,
  },
  { at: 'environments', name: 'Environments', icon: 'M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9', page: Environments },
  { at: 'sessions', name: 'Sessions', icon: 'M4 5h16v14H4zM8 10l3 2.5L8 15M13 15h3', page: Sessions, trouble: ({ sessions }) => sessions.slow },
  { at: 'users', name: 'Users', icon: 'M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM5 21c0-4 3-6.5 7-6.5s7 2.5 7 6.5', page: Users },
  {
    at: 'clusters',
    name: 'Clusters',
    icon: 'M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01',
    page: Clusters,
    trouble: ({ clusters }) => clusters.filter(({ state }) => toneOf(state) === 'bad').length,
  },
  { at: 'audit', name: 'Audit', icon: 'M6 3h9l4 4v14H6zM14 3v5h5M9 13h7M9 17h5', page: Audit },
  { at: 'server', name: 'Server', icon: 'M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4', page: ServerPage },
];

/** How often it is asked who this is, as long as that is not known. */
const ASK = 3_000;

export default function AdminPage({ section }: { section: string }) {
  const who = useStore(user);
  useEffect(() => {
    if (who) return;
    const timer = setInterval(() => void readUser(), ASK);
    return () => clearInterval(timer);
  }, [who]);
  if (!who) return <p class="quiet admin-waits" role="status">Loading…</p>;
  if (who.role !== 'ADMIN') {
    return (
      <main class="empty">
        <h1>For administrators only</h1>
        <p>You are signed in as {who.username}, who may not administer this server.</p>
        <Link to="/environments" class="button">
          All environments
        </Link>
      </main>
    );
  }
  return <Dashboard section={section} />;
}

function Dashboard({ section }: { section: string }) {
  useEffect(follow, []);
  const found = SECTIONS.find(({ at }) => at === section);
  useEffect(() => {
    document.title = `${found?.name ?? 'Admin'} · DevPocket`;
    return () => {
      document.title = 'DevPocket';
    };
  }, [found]);
  return (
    <div class="admin">
      <header class="admin-top">
        <Link to="/environments" class="brand">
          <Logo /> DevPocket
        </Link>
        <Connection />
        <ThemeSwitch />
        <Link to="/environments" class="icon-button" aria-label="Leave the dashboard" title="Leave the dashboard">
          <Icon name="close" />
        </Link>
      </header>
      <Sections now={section} />
      <main class={`admin-main admin-${section}`}>
        {found ? <found.page /> : <Nowhere />}
        <Done />
      </main>
    </div>
  );
}

function Nowhere() {
  return (
    <div class="empty">
      <h1>Nothing is here</h1>
      <Link to="/admin" class="button">
        Overview
      </Link>
    </div>
  );
}

function Sections({ now }: { now: string }) {
  const { overview } = useStore(shown);
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [now]);
  return (
    <nav ref={nav} class="admin-nav" aria-label="Administration">
      {SECTIONS.map(({ at, name, icon, trouble }) => {
        const troubles = overview && trouble ? trouble(overview) : 0;
        return (
          <Link key={at} to={at === 'overview' ? '/admin' : `/admin/${at}`} class="admin-link" aria-current={at === now ? 'page' : undefined}>
            <Drawn name={at} path={icon} />
            <span>{name}</span>
            {troubles > 0 && (
              <span class="badge">
                {troubles}
                <span class="unseen"> to look at</span>
              </span>
            )}
          </Link>
        );
      })}
    </nav>
  );
}

function Connection() {
  const live = useStore(isLive);
  const draining = useStore(shown).overview?.process.draining;
  const word = !live ? 'Reconnecting' : draining ? 'Draining' : 'Live';
  return (
    <span class={`status status-${word === 'Live' ? 'good' : 'busy'} admin-live`} role="status">
      {word}
    </span>
  );
}
