import { useEffect, useRef, useState } from 'preact/hooks';
import { asked, told } from '../api/http';
import { Link } from '../router';
import { useStore } from '../store';
import { placeOf } from './Events';
import { List, usedOf, useFilters, useListed } from './lists';
import { shown } from './live';
import { Act, Ago, Filter, Filters, Meter, State } from './parts';
import type { AdminClient, AdminSession, Pagination } from './wire';
import { brief, bytes, count, rate } from './words';

const EVERY = 2_000;

const COLUMNS = [
  ['Session'], ['User'], ['Environment'], ['State'], ['Clients', 'col-number'], ['Out', 'col-number col-rate'], ['In', 'col-number col-rate'], ['Keys', 'col-number col-rate'],
  ['Behind', 'col-number col-rate'], ['Ring'], ['Snapshots', 'col-number'], ['Age', 'col-number'], ['Acts'],
] as const;

export function Sessions() {
  const [filters, change] = useFilters();
  const clusters = useStore(shown).overview?.clusters ?? [];
  const { answer, problem, again, at } = useListed<{ sessions: AdminSession[]; pagination: Pagination }>('/admin/sessions', filters, EVERY);
  const rates = useRates(answer?.sessions, at);
  const filter = (name: string) => ({ value: filters.get(name) ?? '', change: (value: string) => change(name, value) });
  return (
    <>
      <h1>Sessions</h1>
      <Filters used={usedOf(filters)}>
        <Filter label="Search" {...filter('search')} />
        <Filter label="User" {...filter('user')} />
        <Filter label="Environment" {...filter('environment')} />
        <Filter label="Cluster" {...filter('cluster')} options={[['', 'Any'], ...clusters.map(({ id, name }) => [id, name] as const)]} />
        <Filter label="Clients" {...filter('slow')} options={[['', 'Any'], ['true', 'Slow ones']]} />
      </Filters>
      <List problem={problem} pagination={answer?.pagination} what="Sessions" filters={filters} change={change} columns={COLUMNS}>
        {answer?.sessions.map((one) => <Session key={one.id} session={one} rates={rates.get(one.id)} again={again} />)}
      </List>
    </>
  );
}

interface Rates {
  out: number;
  in: number;
  keys: number;
}

/** What each does a second: what came between two answers. */
function useRates(sessions: readonly AdminSession[] | undefined, at: number): ReadonlyMap<string, Rates> {
  const last = useRef<{ at: number; sessions: ReadonlyMap<string, AdminSession>; rates: ReadonlyMap<string, Rates> } | undefined>(undefined);
  if (sessions && last.current?.at !== at) {
    const before = last.current;
    const rates = new Map<string, Rates>();
    for (const one of sessions) {
      const then = before?.sessions.get(one.id);
      if (!before || !then) continue;
      const seconds = Math.max(0.001, (at - before.at) / 1_000);
      const of = (now: number, old: number) => Math.max(0, now - old) / seconds;
      rates.set(one.id, { out: of(one.bytesOut, then.bytesOut), in: of(one.bytesIn, then.bytesIn), keys: of(one.keys, then.keys) });
    }
    last.current = { at, rates, sessions: new Map(sessions.map((one) => [one.id, one])) };
  }
  return last.current?.rates ?? new Map();
}

function Session({ session, rates, again }: { session: AdminSession; rates: Rates | undefined; again: () => void }) {
  const { id, name, environment, user, attachments } = session;
  const [open, setOpen] = useState(false);
  return (
    <>
      <tr class={session.isSlow ? 'row-busy' : undefined}>
        <th scope="row" data-name="Session">
          <Link to={placeOf(`terminal:${id}`)} title={`Follow terminal:${id}`}>
            {name}
          </Link>
        </th>
        <td data-name="User">
          <Link to={`/admin/users?${new URLSearchParams({ search: user.username })}`}>{user.username}</Link>
        </td>
        <td data-name="Environment">
          {environment.name}
          <small>{session.cluster.name}</small>
        </td>
        <td data-name="State">
          <State word={session.state} />
          {session.isSlow && <span class="badge badge-busy">slow</span>}
        </td>
        <td data-name="Clients" class="col-number">
          <button type="button" class="act" aria-expanded={open} aria-label={`${attachments} clients of ${name}`} onClick={() => setOpen(!open)}>
            {count(attachments)}
          </button>
        </td>
        <td data-name="Out" class="col-number" title={`${bytes(session.bytesOut)} so far`}>{rates ? rate(rates.out) : '–'}</td>
        <td data-name="In" class="col-number" title={`${bytes(session.bytesIn)} so far`}>{rates ? rate(rates.in) : '–'}</td>
        <td data-name="Keys" class="col-number" title={`${count(session.keys)} so far`}>{rates ? `${brief(Math.round(rates.keys * 10) / 10)}/s` : '–'}</td>
        <td data-name="Behind" class="col-number">
          <span class={session.isSlow ? 'waits-long' : undefined}>{bytes(session.behind)}</span>
        </td>
        <td data-name="Ring">
          <Meter used={session.ringUsed} limit={session.ringLimit} label={`${bytes(session.ringUsed)} of ${bytes(session.ringLimit)}`} text={bytes(session.ringUsed)} />
        </td>
        <td data-name="Snapshots" class="col-number">{count(session.snapshots)}</td>
        <td data-name="Age" class="col-number">
          <Ago at={session.startedAt} />
        </td>
        <td class="acts">
          <Act word="End" what={`session ${name}`} danger text={`Its shell and all programs in it end, for ${user.username} and everybody who looks at it.`}
            run={async () => {
              await asked('DELETE', `/admin/sessions/${encodeURIComponent(id)}`);
              again();
            }}
            after={`Session ${name} was ended.`} />
        </td>
      </tr>
      {open && (
        <tr class="row-inner">
          <td colSpan={COLUMNS.length}>
            <Clients session={session} />
          </td>
        </tr>
      )}
    </>
  );
}

function Clients({ session: { id, name, user } }: { session: AdminSession }) {
  const [clients, setClients] = useState<AdminClient[]>();
  const [problem, setProblem] = useState('');
  const read = useRef<() => Promise<void>>(async () => {});
  useEffect(() => {
    let current = true;
    const load = async () => {
      try {
        const answer = await asked<{ clients: AdminClient[] }>('GET', `/admin/sessions/${encodeURIComponent(id)}/clients`);
        if (!current) return;
        setClients(answer.clients);
        setProblem('');
      } catch (error) {
        if (current) setProblem(told(error));
      }
    };
    read.current = load;
    void load();
    const timer = setInterval(() => document.visibilityState === 'visible' && void load(), EVERY);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [id]);
  if (problem) return <p class="note-error" role="alert">{problem}</p>;
  if (!clients) return <p class="quiet">Loading…</p>;
  if (clients.length === 0) return <p class="quiet">Nobody looks at it now.</p>;
  return (
    <ul class="clients" aria-label={`Clients of ${name}`}>
      {clients.map((client) => (
        <li key={client.number} class="client">
          <b>#{client.number}</b>
          <span>{client.mode.toLowerCase()}</span>
          <span>{`${client.cols} × ${client.rows}`}</span>
          <span>
            here for <Ago at={client.since} />
          </span>
          <span>
            active <Ago at={client.lastActiveAt} ago />
          </span>
          <span class={client.isSlow ? 'waits-long' : undefined}>{`${bytes(client.behind)} behind, ${bytes(client.window)} on the way`}</span>
          <Act word="Detach" what={`client ${client.number}`} danger
            text={`This connection of ${user.username} to ${name} closes. The session goes on, and the client may be asked to come back.`}
            run={async () => {
              await asked('DELETE', `/admin/sessions/${encodeURIComponent(id)}/clients/${client.number}`);
              await read.current();
            }}
            after={`Client ${client.number} was detached.`} />
        </li>
      ))}
    </ul>
  );
}
