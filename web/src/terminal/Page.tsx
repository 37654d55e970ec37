// The terminal page: an environment's sessions as tabs, and the keys below.

import { useEffect, useRef, useState } from 'preact/hooks';
import { asked, told } from '../api/http';
import type { Environment } from '../api/model';
import { environments, sessionChange, trouble } from '../environments/state';
import { describe } from '../environments/words';
import { go, Link } from '../router';
import { useStore } from '../store';
import { Confirm, Icon, Problem } from '../ui/parts';
import { ThemeSwitch } from '../ui/theme';
import { KeyBar } from './KeyBar';
import { Menu } from './Menu';
import { Screen } from './screen';
import { endSession, nextName, sessionsOf } from './sessions';
import { StateLine } from './StateLine';
import '@xterm/xterm/css/xterm.css';
import './terminal.css';

interface Props {
  id: string;
  query: URLSearchParams;
}

export default function TerminalPage({ id, query }: Props) {
  const list = useStore(environments);
  const failed = useStore(trouble);
  const environment = list?.find((one) => one.id === id);
  // Once open it stays so while the environment is on its way: its sessions come back by themselves.
  const open = useRef<string | undefined>(undefined);
  const off = !environment || ['STOPPED', 'ERROR', 'TERMINATED'].includes(environment.phase);
  if (environment?.phase === 'RUNNING') open.current = id;
  else if (off) open.current = undefined;
  return (
    <div class="terminal-page">
      {environment && open.current === id ? (
        <Tabs key={id} environment={environment} wanted={query.get('session') ?? undefined} />
      ) : (
        <>
          <header class="bar">
            <BackLink />
            <span class="bar-name">{environment?.name ?? ''}</span>
            <ThemeSwitch />
          </header>
          <main class="terminal-off">
            {environment ? <Off environment={environment} /> : <Missing waits={!list} failed={failed} />}
          </main>
        </>
      )}
    </div>
  );
}

function BackLink() {
  return (
    <Link to="/environments" class="icon-button" aria-label="All environments">
      <Icon name="back" />
    </Link>
  );
}

function Missing({ waits, failed }: { waits: boolean; failed: unknown }) {
  if (waits) return failed === undefined ? <p class="quiet">Loading…</p> : <Problem text={told(failed)} />;
  return (
    <div class="empty">
      <h1>There is no such environment</h1>
      <p>It was deleted, or it belongs to somebody else.</p>
      <Link to="/environments" class="button">
        All environments
      </Link>
    </div>
  );
}

function Off({ environment }: { environment: Environment & { progress?: string } }) {
  const [problem, setProblem] = useState('');
  const { word, tone } = describe(environment.phase);
  const start = async () => {
    setProblem('');
    try {
      await asked('POST', `/environments/${environment.id}/start`, {});
    } catch (error) {
      setProblem(told(error));
    }
  };
  return (
    <div class="empty">
      <span class={`status status-${tone}`}>{word}</span>
      <h1>{tone === 'busy' ? 'One moment' : `${environment.name} is not running`}</h1>
      <p class="terminal-progress" role="status">
        {tone === 'busy' ? (environment.progress ?? 'The terminal opens by itself.') : environment.statusReason}
      </p>
      <Problem text={problem} />
      {tone !== 'busy' && (
        <button type="button" class="button button-main" onClick={() => void start()}>
          Start
        </button>
      )}
    </div>
  );
}

function Tabs({ environment, wanted }: { environment: Environment; wanted: string | undefined }) {
  const { id } = environment;
  const [names, setNames] = useState<string[]>([wanted ?? 'main']);
  const [active, setActive] = useState(wanted ?? 'main');
  const [ending, setEnding] = useState<string>();
  const [problem, setProblem] = useState('');
  const screens = useRef(new Map<string, Screen>());
  const host = useRef<HTMLDivElement>(null);
  const change = useStore(sessionChange);
  const [screen, setScreen] = useState<Screen>();

  const gone = (name: string) => {
    screens.current.get(name)?.dispose();
    screens.current.delete(name);
    setNames((all) => {
      const left = all.filter((other) => other !== name);
      if (left.length === 0) return all;
      setActive((now) => (now === name ? (left[0] ?? now) : now));
      return left;
    });
  };

  // Sessions that were begun elsewhere get a tab too, and those that ended lose it.
  useEffect(() => {
    let current = true;
    sessionsOf(id).then(
      (live) => {
        if (!current) return;
        const open = [...screens.current.keys()];
        setNames((all) => [...new Set([...all.filter((name) => live.includes(name) || open.includes(name)), ...live])]);
      },
      () => {
        // The tabs that are there stay; what is wrong the state line says.
      },
    );
    return () => {
      current = false;
    };
  }, [id, change]);

  useEffect(() => {
    const box = host.current;
    if (!box) return;
    let shown = screens.current.get(active);
    if (!shown) {
      shown = new Screen(id, active);
      screens.current.set(active, shown);
    }
    let place = box.querySelector<HTMLElement>(`[data-session="${CSS.escape(active)}"]`);
    if (!place) {
      place = document.createElement('div');
      place.className = 'screen';
      place.dataset.session = active;
      box.append(place);
    }
    for (const other of box.querySelectorAll<HTMLElement>('.screen')) other.hidden = other !== place;
    shown.show(place);
    if (matchMedia('(pointer: fine)').matches) shown.terminal.focus();
    setScreen(shown);
    go(`/e/${id}${active === 'main' ? '' : `?${new URLSearchParams({ session: active })}`}`, 'replace');
    const leaving = shown;
    return () => leaving.hide();
  }, [active, id]);

  useEffect(() => {
    const all = screens.current;
    const each = (act: (screen: Screen) => void) => () => {
      if (document.visibilityState === 'visible') for (const one of all.values()) act(one);
    };
    const [hurry, offline] = [each((one) => one.hurry()), each((one) => one.offline())];
    document.addEventListener('visibilitychange', hurry);
    window.addEventListener('pageshow', hurry);
    window.addEventListener('online', hurry);
    window.addEventListener('offline', offline);
    return () => {
      document.removeEventListener('visibilitychange', hurry);
      window.removeEventListener('pageshow', hurry);
      window.removeEventListener('online', hurry);
      window.removeEventListener('offline', offline);
      for (const one of all.values()) one.dispose();
      all.clear();
    };
  }, []);

  const end = async (name: string) => {
    setProblem('');
    try {
      await endSession(id, name);
      if (names.length === 1) go('/environments');
      else gone(name);
    } catch (error) {
      setProblem(told(error));
    }
  };

  return (
    <>
      <header class="bar">
        <BackLink />
        <h1 class="bar-name">{environment.name}</h1>
        <div class="tabs">
          {names.map((name) => (
            <button
              key={name}
              type="button"
              class="tab"
              aria-current={name === active ? 'page' : undefined}
              aria-label={`Session ${name}`}
              onClick={() => setActive(name)}
            >
              {name}
            </button>
          ))}
          <button type="button" class="icon-button" aria-label="New session" title="New session"
            onClick={() => {
              const name = nextName(names);
              setNames([...names, name]);
              setActive(name);
            }}
          >
            <Icon name="plus" />
          </button>
        </div>
        {screen && <Menu screen={screen} end={() => setEnding(active)} />}
      </header>
      <main class="terminal" ref={host} aria-label={`Terminal ${active}`} />
      <Problem text={problem} />
      {screen && <StateLine key={active} screen={screen} close={() => (names.length === 1 ? go('/environments') : gone(active))} />}
      {screen && <KeyBar screen={screen} />}
      {ending !== undefined && (
        <Confirm
          title={`End session ${ending}?`}
          text="Its shell and all programs in it end. Leaving the page ends nothing."
          act="End session"
          danger
          done={(yes) => {
            setEnding(undefined);
            if (yes) void end(ending);
          }}
        />
      )}
    </>
  );
}
