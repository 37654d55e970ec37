import { useEffect, useState } from 'preact/hooks';
import { asked, told } from '../api/http';
import { useStore } from '../store';
import { Problem } from '../ui/parts';
import { shown } from './live';
import { Act, Fact, Facts } from './parts';
import { bytes, count, milliseconds, moment, percent, span } from './words';

export function ServerPage() {
  const overview = useStore(shown).overview;
  if (!overview) return <p class="quiet">Loading…</p>;
  const { process, database, mail, actors } = overview;
  return (
    <>
      <h1>Server</h1>
      <div class="health">
        <article class="tile">
          <h2>Process</h2>
          <Facts>
            <Fact name="Version">{process.version}</Fact>
            <Fact name="Started">{moment(process.startedAt)}</Fact>
            <Fact name="Up">{span(process.uptimeSecs)}</Fact>
            <Fact name="Memory">{bytes(process.memoryBytes)}</Fact>
            <Fact name="CPU">{percent(process.cpuPercent)}</Fact>
            <Fact name="Tasks">{count(process.tasks)}</Fact>
            <Fact name="Threads">{count(process.threads)}</Fact>
            <Fact name="Sockets">{count(process.sockets)}</Fact>
            <Fact name="Files">{count(process.files)}</Fact>
          </Facts>
        </article>
        <article class={database.available ? 'tile' : 'tile tile-bad'}>
          <h2>Postgres</h2>
          <Facts>
            <Fact name="It is" tone={database.available ? undefined : 'bad'}>{database.available ? 'there' : 'away'}</Fact>
            <Fact name="Connections">{`${count(database.size)} of ${count(database.max)}`}</Fact>
            <Fact name="Idle">{count(database.idle)}</Fact>
            <Fact name="Durable backlog">{count(database.durableBacklog)}</Fact>
            <Fact name="Late backlog">{count(database.lateBacklog)}</Fact>
            <Fact name="Status backlog">{count(database.statusBacklog)}</Fact>
            <Fact name="Durable done">{count(database.durableDone)}</Fact>
            <Fact name="Durable failed" tone={database.durableFailed ? 'busy' : undefined}>{count(database.durableFailed)}</Fact>
            <Fact name="Late written">{count(database.lateWritten)}</Fact>
            <Fact name="Late dropped" tone={database.lateDropped ? 'busy' : undefined}>{count(database.lateDropped)}</Fact>
            <Fact name="Late refused" tone={database.lateRefused ? 'busy' : undefined}>{count(database.lateRefused)}</Fact>
            <Fact name="Last batch">{`${count(database.lastBatch)} in ${milliseconds(database.batchMs)}`}</Fact>
            <Fact name="A write takes">{milliseconds(database.writeMs)}</Fact>
          </Facts>
        </article>
        <LogLevel />
        <article class="tile">
          <h2>Drain</h2>
          <p class="quiet">
            The server says goodbye to its clients and ends. Whoever runs it starts it again; shells go on meanwhile, and
            clients come back by themselves.
          </p>
          <p class="tile-acts">
            {process.draining ? (
              <span class="status status-busy">Draining</span>
            ) : (
              <Act word="Drain" what="the server" danger quiet={false}
                text="All clients are sent away and the server’s process ends. If nobody starts it again, it stays down: this page can’t."
                run={() => asked('POST', '/admin/drain', {})} after="The server drains." />
            )}
          </p>
        </article>
        <article class="tile">
          <h2>Actors</h2>
          <Facts>
            {Object.entries(actors.byKind).map(([kind, there]) => (
              <Fact key={kind} name={kind}>
                {count(there)}
              </Fact>
            ))}
          </Facts>
        </article>
        <article class="tile">
          <h2>Mail</h2>
          <Facts>
            <Fact name="Waiting">{count(mail.waiting)}</Fact>
            <Fact name="Queued">{count(mail.queued)}</Fact>
            <Fact name="Dead" tone={mail.dead ? 'busy' : undefined}>{count(mail.dead)}</Fact>
          </Facts>
        </article>
      </div>
    </>
  );
}

const PRESETS = ['warn', 'info', 'debug', 'trace'] as const;

function LogLevel() {
  const [now, setNow] = useState<{ filter: string; started: string }>();
  const [filter, setFilter] = useState('');
  const [problem, setProblem] = useState('');
  const read = async () => {
    try {
      const answer = await asked<{ filter: string; started: string }>('GET', '/admin/log-level');
      setNow(answer);
      setFilter(answer.filter);
      setProblem('');
    } catch (error) {
      setProblem(told(error));
    }
  };
  useEffect(() => void read(), []);
  const wanted = filter.trim();
  return (
    <article class="tile">
      <h2>Log level</h2>
      <Facts>
        <Fact name="Now">
          <code>{now?.filter ?? '–'}</code>
        </Fact>
        <Fact name="As configured">
          <code>{now?.started ?? '–'}</code>
        </Fact>
      </Facts>
      <Problem text={problem} />
      <div class="field">
        <label for="log-filter">Filter, until the next start</label>
        <input id="log-filter" value={filter} autocomplete="off" autocapitalize="none" spellcheck={false} list="log-presets"
          onInput={(event) => setFilter(event.currentTarget.value)} />
        <datalist id="log-presets">
          {PRESETS.map((preset) => (
            <option key={preset} value={preset} />
          ))}
        </datalist>
      </div>
      <p class="tile-acts">
        <Act word="Change" what="the log level" quiet={false} disabled={wanted === '' || wanted === now?.filter}
          text={`The server logs by “${wanted}” until its next start. More than info costs time and space.`}
          run={async () => {
            await asked('PUT', '/admin/log-level', { filter: wanted });
            await read();
          }}
          after={`The server logs by ${wanted}.`} />
      </p>
    </article>
  );
}
