// Small parts that the dashboard's sections are made of.

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { told } from '../api/http';
import { Store, useStore } from '../store';
import { Modal, Problem } from '../ui/parts';
import { since, useTick } from './live';
import type { Time } from './wire';
import { age, moment, toneOf } from './words';

/** `12 s`, which goes on by itself. */
export function Ago({ at, ago = false }: { at: Time | undefined | null; ago?: boolean }) {
  const text = useTick((now) => (at ? age(since(at, now)) : ''));
  if (!at) return <span class="nothing">–</span>;
  return (
    <time dateTime={at} title={moment(at)}>
      {text}
      {ago && ' ago'}
    </time>
  );
}

export function State({ word }: { word: string }) {
  const tone = toneOf(word);
  return <span class={`status status-${tone}`}>{word.toLowerCase().replaceAll('_', ' ')}</span>;
}

/** How full something is. */
export function Meter({ used, limit, label, text }: { used: number; limit: number; label: string; text: string }) {
  const part = limit > 0 ? Math.min(1, used / limit) : 0;
  return (
    <span class="meter" title={label}>
      <svg class="meter-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
        <rect class="meter-ground" width="100" height="4" />
        <rect class={part > 0.9 ? 'meter-fill meter-full' : 'meter-fill'} width={part * 100} height="4" />
      </svg>
      <span class="meter-text">{text}</span>
    </span>
  );
}

/** What was done last; told to everybody who can't see it, too. */
export const done = new Store('');

export function Done() {
  const text = useStore(done);
  useEffect(() => {
    if (text === '') return;
    const timer = setTimeout(() => done.set(''), 6_000);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <p class={text ? 'done' : 'unseen'} role="status">
      {text}
    </p>
  );
}

interface ActProps {
  /** On the button, and what it is done to, for those who hear it. */
  word: string;
  what: string;
  /** What will happen. */
  text: string;
  danger?: boolean;
  quiet?: boolean;
  disabled?: boolean;
  /** Asks for a reason, which goes to the audit log. */
  reason?: boolean;
  run: (reason: string) => Promise<unknown>;
  /** Said afterwards. */
  after: string;
}

/** A button that asks first, and says what came of it. */
export function Act({ word, what, text, danger, quiet = true, disabled, reason, run, after }: ActProps) {
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const [why, setWhy] = useState('');
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = () => {
    setAsking(false);
    setProblem('');
    button.current?.focus({ preventScroll: true });
  };
  const act = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem('');
    try {
      await run(why.trim());
      done.set(after);
      close();
    } catch (error) {
      setProblem(told(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button
        ref={button}
        type="button"
        class={`act${danger ? ' act-bad' : ''}${quiet ? '' : ' act-plain'}`}
        disabled={disabled}
        aria-label={`${word} ${what}`}
        onClick={(event) => {
          event.stopPropagation();
          setAsking(true);
        }}
      >
        {word}
      </button>
      {asking && (
        <Modal title={`${word} ${what}?`} close={close}>
          <form class="act-form" onSubmit={(event) => void act(event)}>
            <p>{text}</p>
            {reason && (
              <div class="field">
                <label for={id}>Reason, for the audit log</label>
                <input id={id} value={why} maxLength={500} onInput={(event) => setWhy(event.currentTarget.value)} />
              </div>
            )}
            <Problem text={problem} />
            <div class="row row-end">
              <button type="button" class="button" onClick={close}>
                Cancel
              </button>
              <button type="submit" class={danger ? 'button button-danger' : 'button button-main'} disabled={busy}>
                {busy ? 'One moment…' : word}
              </button>
            </div>
          </form>
        </Modal>
      )}
    </>
  );
}

/** Filters; where there is little room the first alone, and the others when they are wanted. */
export function Filters({ used, children }: { used: number; children: ComponentChildren }) {
  const [open, setOpen] = useState(false);
  return (
    <div class={open ? 'filters filters-open' : 'filters'} role="search">
      {children}
      <button type="button" class="act act-plain filters-more" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? 'Fewer filters' : 'More filters'}
        {!open && used > 0 && <span class="badge badge-busy">{used}</span>}
      </button>
    </div>
  );
}

interface FilterProps {
  label: string;
  value: string;
  change: (value: string) => void;
  /** Values and their words; without, it is text. */
  options?: readonly (readonly [value: string, word: string])[];
  type?: 'search' | 'datetime-local';
  hint?: string;
}

export function Filter({ label, value, change, options, type = 'search', hint }: FilterProps) {
  const id = useId();
  return (
    <div class={options ? 'filter' : 'filter filter-text'}>
      <label for={id}>{label}</label>
      {options ? (
        <select id={id} value={value} onChange={(event) => change(event.currentTarget.value)}>
          {options.map(([of, word]) => (
            <option key={of} value={of}>
              {word}
            </option>
          ))}
        </select>
      ) : (
        <input id={id} type={type as 'search'} value={value} placeholder={hint} autocomplete="off" spellcheck={false} autocapitalize="none"
          onInput={(event) => change(event.currentTarget.value)} />
      )}
    </div>
  );
}

/** Facts in two columns: what, and how much of it. */
export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, tone, children }: { name: string; tone?: 'bad' | 'busy' | undefined; children: ComponentChildren }) {
  return (
    <div class={tone ? `fact fact-${tone}` : 'fact'}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
