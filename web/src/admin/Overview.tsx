// How the server is, at a glance: what is wrong first, then how the last hour went.

import type { ComponentChildren } from 'preact';
import { Link } from '../router';
import { useStore } from '../store';
import { Chart, type Series } from './Chart';
import { Events } from './Events';
import { events, points, shown } from './live';
import { Fact, Facts } from './parts';
import type { Overview, Point } from './wire';
import { age, brief, bytes, count, milliseconds, percent, rate, toneOf } from './words';

/** A backlog beyond this is more than a moment's. */
const LONG_BACKLOG = 100;

export function OverviewPage() {
  const { overview } = useStore(shown);
  const hour = useStore(points);
  const all = useStore(events);
  const failures = all.filter(({ what }) => what === 'failed' || what === 'given_up' || what === 'stuck');
  return (
    <>
      <h1 class="unseen">Overview</h1>
      <section class="health" aria-label="Health">
        {overview ? <Health overview={overview} /> : Array.from({ length: 6 }, (_, at) => <div key={at} class="tile tile-ghost" />)}
      </section>
      <div class="overview">
        <section class="panel" aria-labelledby="failures" tabIndex={0}>
          <h2 id="failures">Latest failures</h2>
          <Events events={failures.slice(-20)} none="No actor has failed." />
        </section>
        <section class="charts" aria-label="The last hour">
          {CHARTS.map(({ title, series, ...more }) => (
            <Chart key={title} title={title} points={hour} series={series} {...more} />
          ))}
        </section>
      </div>
    </>
  );
}

interface ChartOf {
  title: string;
  series: readonly Series[];
  unit: (value: number) => string;
  least?: number;
  base?: 10 | 1024;
}

const of = (name: string, of: (point: Point) => number): Series => ({ name, of });

const CHARTS: readonly ChartOf[] = [
  { title: 'Sessions', series: [of('live', (at) => at.sessions), of('clients', (at) => at.attachments)], unit: brief, least: 10 },
  { title: 'Bytes', series: [of('out', (at) => at.bytesOut), of('in', (at) => at.bytesIn)], unit: rate, least: 1024, base: 1024 },
  { title: 'Keys a second', series: [of('keys', (at) => at.keys)], unit: brief, least: 10 },
  { title: 'Actors', series: [of('actors', (at) => at.actors)], unit: brief, least: 10 },
  { title: 'Restarts', series: [of('restarts', (at) => at.restarts)], unit: brief, least: 5 },
  { title: 'CPU', series: [of('cpu', (at) => at.cpuPercent)], unit: percent, least: 10 },
  { title: 'Memory', series: [of('memory', (at) => at.memoryBytes)], unit: bytes, least: 1024 * 1024, base: 1024 },
  { title: 'Runtime', series: [of('tasks', (at) => at.tasks), of('sockets', (at) => at.sockets)], unit: brief, least: 10 },
  { title: 'Postgres backlog', series: [of('durable', (at) => at.durableBacklog), of('late', (at) => at.lateBacklog)], unit: brief, least: 10 },
  { title: 'Postgres write', series: [of('write', (at) => at.writeMs)], unit: milliseconds, least: 10 },
  { title: 'Environments', series: [of('environments', (at) => at.environments)], unit: brief, least: 5 },
  { title: 'Mail waiting', series: [of('mails', (at) => at.mailWaiting)], unit: brief, least: 5 },
];

type Tone = 'good' | 'busy' | 'bad';

interface TileProps {
  title: string;
  to: string;
  tone: Tone;
  /** The tone in words. */
  word: string;
  value: string;
  of: string;
  children: ComponentChildren;
}

function Tile({ title, to, tone, word, value, of, children }: TileProps) {
  return (
    <article class={`tile tile-${tone}`}>
      <header class="tile-head">
        <h2>
          <Link to={to}>{title}</Link>
        </h2>
        <span class={`status status-${tone}`}>{word}</span>
      </header>
      <p class="tile-value">
        <b>{value}</b> {of}
      </p>
      <Facts>{children}</Facts>
    </article>
  );
}

function Health({ overview }: { overview: Overview }) {
  const { process, actors, sessions, environments, database, mail, clusters } = overview;
  const wrong = actors.failed + actors.stuck;
  const healthy = clusters.filter(({ state }) => toneOf(state) === 'good').length;
  const ill = clusters.filter(({ state }) => toneOf(state) === 'bad').length;
  const unsure = clusters.filter(({ state }) => toneOf(state) === 'busy').length;
  const lags = clusters.flatMap(({ watchLagMs }) => watchLagMs ?? []);
  const failed = environments.byStatus.ERROR ?? 0;
  const there = Object.values(environments.byStatus).reduce((sum, some) => sum + some, 0);
  const backlog = database.durableBacklog + database.lateBacklog + database.statusBacklog;
  return (
    <>
      <Tile title="Actors" to="/admin/tree" value={count(actors.total)} of={actors.total === 1 ? 'actor' : 'actors'}
        tone={wrong ? 'bad' : actors.restarting ? 'busy' : 'good'}
        word={wrong ? `${count(wrong)} failing` : actors.restarting ? 'Restarting' : 'All run'}>
        <Fact name="Restarts">{count(actors.restarts)}</Fact>
        <Fact name="Restarting" tone={actors.restarting ? 'busy' : undefined}>{count(actors.restarting)}</Fact>
        <Fact name="Given up" tone={actors.failed ? 'bad' : undefined}>{count(actors.failed)}</Fact>
        <Fact name="Stuck" tone={actors.stuck ? 'bad' : undefined}>{count(actors.stuck)}</Fact>
      </Tile>
      <Tile title="Sessions" to="/admin/sessions" value={count(sessions.live)} of="live"
        tone={sessions.slow ? 'busy' : 'good'} word={sessions.slow ? `${count(sessions.slow)} slow` : 'None slow'}>
        <Fact name="Clients">{count(sessions.attachments)}</Fact>
        <Fact name="Output">{rate(sessions.bytesOut)}</Fact>
        <Fact name="Input">{rate(sessions.bytesIn)}</Fact>
        <Fact name="Keys">{brief(sessions.keys)}/s</Fact>
      </Tile>
      <Tile title="Environments" to="/admin/environments" value={count(environments.awake)} of={`of ${count(there)} awake`}
        tone={failed ? 'bad' : 'good'} word={failed ? `${count(failed)} failed` : 'All well'}>
        <Fact name="Running">{count(environments.byStatus.RUNNING ?? 0)}</Fact>
        <Fact name="Stopped">{count(environments.byStatus.STOPPED ?? 0)}</Fact>
        <Fact name="Under way">
          {count(there - (environments.byStatus.RUNNING ?? 0) - (environments.byStatus.STOPPED ?? 0) - failed)}
        </Fact>
        <Fact name="Failed" tone={failed ? 'bad' : undefined}>{count(failed)}</Fact>
      </Tile>
      <Tile title="Clusters" to="/admin/clusters" value={count(healthy)} of={`of ${count(clusters.length)} healthy`}
        tone={ill ? 'bad' : unsure ? 'busy' : 'good'} word={ill ? `${count(ill)} ill` : unsure ? 'Checking' : 'None ill'}>
        <Fact name="Channels">{count(clusters.reduce((sum, { channels }) => sum + channels, 0))}</Fact>
        <Fact name="Watch lag">{lags.length === 0 ? '–' : milliseconds(Math.max(...lags))}</Fact>
        <Fact name="Relists">{count(clusters.reduce((sum, { relists }) => sum + relists, 0))}</Fact>
        <Fact name="Errors">{count(clusters.reduce((sum, { errors }) => sum + errors, 0))}</Fact>
      </Tile>
      <Tile title="Postgres" to="/admin/server" value={milliseconds(database.writeMs)} of="a write"
        tone={!database.available ? 'bad' : backlog > LONG_BACKLOG || database.lateDropped ? 'busy' : 'good'}
        word={!database.available ? 'Away' : backlog > LONG_BACKLOG ? 'Behind' : 'There'}>
        <Fact name="Pool in use">{`${count(database.size - database.idle)} of ${count(database.max)}`}</Fact>
        <Fact name="Backlog" tone={backlog > LONG_BACKLOG ? 'busy' : undefined}>{count(backlog)}</Fact>
        <Fact name="Last batch">{`${count(database.lastBatch)} in ${milliseconds(database.batchMs)}`}</Fact>
        <Fact name="Dropped" tone={database.lateDropped ? 'busy' : undefined}>{count(database.lateDropped)}</Fact>
      </Tile>
      <Tile title="Server" to="/admin/server" value={percent(process.cpuPercent)} of="CPU"
        tone={process.draining || mail.dead ? 'busy' : 'good'} word={process.draining ? 'Draining' : `Up ${age(process.uptimeSecs)}`}>
        <Fact name="Memory">{bytes(process.memoryBytes)}</Fact>
        <Fact name="Sockets">{count(process.sockets)}</Fact>
        <Fact name="Mail waiting">{count(mail.waiting + mail.queued)}</Fact>
        <Fact name="Mail dead" tone={mail.dead ? 'busy' : undefined}>{count(mail.dead)}</Fact>
      </Tile>
    </>
  );
}
