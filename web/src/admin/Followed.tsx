// One actor that is followed: what it is, what it does now, and what happened to it.

import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, asked, told } from '../api/http';
import { Link } from '../router';
import { useStore } from '../store';
import { Icon, Problem } from '../ui/parts';
import { line, scaleOf } from './chart';
import { Events, placeOf } from './Events';
import { events, isLive, serverNow, shown } from './live';
import { Act, Ago, Fact, Facts, Meter, State } from './parts';
import type { Actor, TreeEvent } from './wire';
import { brief, bytes, count, idOf, milliseconds, rate } from './words';

interface Props {
  name: string;
  close: () => void;
}

interface Known {
  actor: Actor;
  path: string[];
  history: TreeEvent[];
}

export function Followed({ name, close }: Props) {
  const { actor: followed } = useStore(shown);
  const live = useStore(isLive);
  const all = useStore(events);
  const [known, setKnown] = useState<Known>();
  const [problem, setProblem] = useState('');
  const [missing, setMissing] = useState(false);
  /** As it was last told; once it was, its absence says something. */
  const last = useRef<Actor | undefined>(undefined);
  const head = useRef<HTMLHeadingElement>(null);
  const now = followed?.actor.name === name ? followed : undefined;

  useEffect(() => {
    let current = true;
    asked<Known>('GET', `/admin/actors/${encodeURIComponent(name)}`).then(
      (answer) => current && setKnown(answer),
      (error: unknown) => {
        if (!current) return;
        if (error instanceof ApiError && error.status === 404) setMissing(true);
        else setProblem(told(error));
      },
    );
    // Where it covers the tree, one reads on here.
    if (matchMedia('(max-width: 63.99rem)').matches) head.current?.focus({ preventScroll: true });
    return () => {
      current = false;
    };
  }, [name]);

  if (now) last.current = now.actor;
  const actor = last.current ?? known?.actor;
  const path = now?.path ?? known?.path ?? [];
  const gone = missing || (live && last.current !== undefined && !now);
  const seen = new Set(known?.history.map(({ seq }) => seq));
  const history = [...(known?.history ?? []), ...all.filter((event) => event.actor === name && !seen.has(event.seq))];
  return (
    <>
      <header class="side-head">
        <h2 ref={head} tabIndex={-1} class="side-title" title={name}>
          {actor?.label ?? idOf(name)} {actor && <span class="tree-kind">{actor.kind}</span>}
        </h2>
        <button type="button" class="icon-button side-close" aria-label="Follow no more" title="Follow no more" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <nav class="crumbs" aria-label="Supervisors">
        {path
          .filter((one) => one !== name)
          .map((one) => (
            <Link key={one} to={placeOf(one)} title={one}>
              {one.includes(':') ? `${one.slice(0, one.indexOf(':'))}:${idOf(one).slice(0, 8)}` : one}
            </Link>
          ))}
        <span title={name}>{name}</span>
      </nav>
      <Problem text={problem} />
      {gone && <p class="banner">It is not there any more: it ended in the course of things, or its supervisor did.</p>}
      {actor && <About actor={actor} gone={gone} />}
      {!actor && !missing && !problem && <p class="quiet">Loading…</p>}
      <h3>What happened to it</h3>
      <Events events={history.slice(-100)} none="Nothing: it has not failed." alone />
    </>
  );
}

function About({ actor, gone }: { actor: Actor; gone: boolean }) {
  const { terminal, lastFailure } = actor;
  const rates = useRates(actor);
  return (
    <>
      <div class="row side-state">
        <State word={gone ? 'ended' : actor.state} />
        <span class="quiet">
          for <Ago at={actor.started} />
        </span>
        {!gone && (
          <Act
            word="Restart"
            what={actor.label ?? actor.name}
            text={restartText(actor)}
            quiet={false}
            run={() => asked('POST', `/admin/actors/${encodeURIComponent(actor.name)}/restart`, {})}
            after={`${actor.label ?? actor.name} was restarted.`}
          />
        )}
      </div>
      {lastFailure && (
        <div class="failure">
          <p class="failure-when">
            Failed <Ago at={lastFailure.at} ago />
          </p>
          <p class="failure-reason">{lastFailure.reason}</p>
        </div>
      )}
      <Facts>
        <Fact name="Restarts">{count(actor.restarts)}</Fact>
        <Fact name="Children">{count(actor.children)}</Fact>
        <Fact name="Messages handled">{count(actor.handled)}</Fact>
        <Fact name="Messages waiting">{count(actor.mailbox)}</Fact>
        <Fact name="Oldest waits">{actor.mailboxAgeMs === undefined ? '–' : milliseconds(actor.mailboxAgeMs)}</Fact>
        <Fact name="At this message" tone={(actor.busyMs ?? 0) > 1_000 ? 'busy' : undefined}>
          {actor.busyMs === undefined ? '–' : milliseconds(actor.busyMs)}
        </Fact>
      </Facts>
      <div class="sparks">
        <Spark name="Messages a second" values={rates.map(({ handled }) => handled)} unit={brief} />
        {terminal && <Spark name="Output" values={rates.map(({ out }) => out)} unit={rate} />}
      </div>
      {terminal && (
        <>
          <h3>Terminal</h3>
          <Facts>
            <Fact name="Clients">{count(terminal.attachments)}</Fact>
            <Fact name="Slowest is behind" tone={terminal.isSlow ? 'busy' : undefined}>{bytes(terminal.behind)}</Fact>
            <Fact name="Output so far">{bytes(terminal.bytesOut)}</Fact>
            <Fact name="Input so far">{bytes(terminal.bytesIn)}</Fact>
            <Fact name="Keys so far">{count(terminal.keys)}</Fact>
            <Fact name="Snapshots sent">{count(terminal.snapshots)}</Fact>
            <Fact name="Ring">
              <Meter used={terminal.ringUsed} limit={terminal.ringLimit} label="Ring" text={`${bytes(terminal.ringUsed)} of ${bytes(terminal.ringLimit)}`} />
            </Fact>
          </Facts>
        </>
      )}
    </>
  );
}

function restartText({ kind, children }: Actor): string {
  const below = children > 0 ? ' All that it supervises ends with it and comes back.' : '';
  return `Its supervisor starts this ${kind} again at once.${below} Shells and programs go on; people notice nothing, or a short pause.`;
}

interface Sample {
  at: number;
  handled: number;
  out: number;
}

/** As many are kept: some minutes. */
const SAMPLES = 120;

/** What it does a second, since it is followed. */
function useRates(actor: Actor): readonly Sample[] {
  const totals = useRef<Sample | undefined>(undefined);
  const [rates, setRates] = useState<readonly Sample[]>([]);
  const latest = useRef(actor);
  latest.current = actor;
  useEffect(() => {
    const take = () => {
      const { handled, terminal } = latest.current;
      const now = { at: serverNow(), handled, out: terminal?.bytesOut ?? 0 };
      const last = totals.current;
      totals.current = now;
      if (!last) return;
      const seconds = Math.max(0.001, (now.at - last.at) / 1_000);
      const rate = { at: now.at, handled: Math.max(0, now.handled - last.handled) / seconds, out: Math.max(0, now.out - last.out) / seconds };
      setRates((before) => [...before.slice(1 - SAMPLES), rate]);
    };
    take();
    const timer = setInterval(take, 2_000);
    return () => clearInterval(timer);
  }, []);
  return rates;
}

function Spark({ name, values, unit }: { name: string; values: readonly number[]; unit: (value: number) => string }) {
  const scale = scaleOf(values);
  const last = values.at(-1);
  const times = values.map((_, at) => SAMPLES - values.length + at);
  return (
    <div class="spark">
      <span class="spark-name">{name}</span>
      <b>{last === undefined ? '–' : unit(last)}</b>
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
        <path class="chart-base" d="M0 100H100" />
        <path class="chart-line chart-0" d={line(times, values, 0, SAMPLES - 1, scale, 1.5)} />
      </svg>
    </div>
  );
}
