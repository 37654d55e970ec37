// The supervision tree, and beside it the actor that is followed or what happened last.

import { useEffect, useRef, useState } from 'preact/hooks';
import { useStore } from '../store';
import { Icon } from '../ui/parts';
import { Events } from './Events';
import { Followed } from './Followed';
import { Grid } from './Grid';
import { events, shown } from './live';
import { useFilters } from './lists';
import { fold, ONLY, onlyOf, useActor } from './looking';
import { count } from './words';

/** How long somebody may type before it is asked. */
const TYPING = 150;
/** The server takes 200 bytes. */
const LONGEST = 64;

export function TreePage() {
  const [filters, change] = useFilters();
  const followed = filters.get('actor') ?? undefined;
  const only = onlyOf(filters.get('only'));
  const search = (filters.get('search') ?? '').slice(0, LONGEST);
  const [typed, setTyped] = useState(search);
  const [history, setHistory] = useState(false);
  const total = useStore(shown).tree?.total;
  const all = useStore(events);
  const field = useRef<HTMLInputElement>(null);
  const main = useRef<HTMLDivElement>(null);
  useActor(followed);

  const sent = useRef(search);
  useEffect(() => {
    if (typed === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = typed;
      change('search', typed);
    }, TYPING);
    return () => clearTimeout(timer);
  }, [typed]);
  // A link led elsewhere.
  useEffect(() => {
    if (search === sent.current) return;
    sent.current = search;
    setTyped(search);
  }, [search]);

  // A slash begins a search, as in many places.
  useEffect(() => {
    const slash = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.matches('input, select, textarea');
      if (event.key !== '/' || typing || document.querySelector('dialog[open]')) return;
      event.preventDefault();
      field.current?.focus();
      field.current?.select();
    };
    document.addEventListener('keydown', slash);
    return () => document.removeEventListener('keydown', slash);
  }, []);

  const grid = () => main.current?.querySelector<HTMLElement>('[role=treegrid]');
  const close = () => {
    setHistory(false);
    change('actor', '');
    grid()?.focus({ preventScroll: true });
  };

  return (
    <div class="tree-page">
      <div class="tree-main" ref={main}>
        <div class="bar-tools">
          <h1 class="unseen">Supervision tree</h1>
          <div class="tree-search">
            <label class="unseen" for="tree-search">
              Search actors
            </label>
            <input
              id="tree-search"
              ref={field}
              type="search"
              value={typed}
              placeholder="Search actors"
              maxLength={LONGEST}
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
              onInput={(event) => setTyped(event.currentTarget.value)}
              onKeyDown={(event) => {
                if (event.key !== 'ArrowDown' && event.key !== 'Enter') return;
                event.preventDefault();
                grid()?.focus();
              }}
            />
          </div>
          <fieldset class="choice">
            <legend class="unseen">Which actors</legend>
            {ONLY.map(([value, word]) => (
              <label key={value} class="choice-one">
                <input type="radio" name="only" value={value} checked={only === value} onChange={() => change('only', value === 'all' ? '' : value)} />
                <span>{word}</span>
              </label>
            ))}
          </fieldset>
          <span class="tree-total" role="status">
            {total === undefined ? '' : count(total)}
            <span class="unseen"> rows</span>
          </span>
          <button type="button" class="act act-plain" onClick={fold}>
            Fold all
          </button>
          <button type="button" class="act act-plain tree-history" aria-expanded={history} onClick={() => setHistory(!history)}>
            History
          </button>
        </div>
        <Grid search={search} only={only} followed={followed} follow={(name) => change('actor', name)} />
        <p class="tree-keys" aria-hidden="true">
          <span>
            <kbd>↑</kbd> <kbd>↓</kbd> move
          </span>
          <span>
            <kbd>→</kbd> <kbd>←</kbd> unfold, fold
          </span>
          <span>
            <kbd>Enter</kbd> follow
          </span>
          <span>
            <kbd>/</kbd> search
          </span>
        </p>
      </div>
      <aside
        onKeyDown={(event) => {
          if (event.key === 'Escape' && followed !== undefined && !document.querySelector('dialog[open]')) close();
        }}
        class={followed !== undefined || history ? 'side side-shown' : 'side'}
        aria-label={followed === undefined ? 'History' : 'Followed actor'}
      >
        {followed === undefined ? (
          <>
            <header class="side-head">
              <h2>History</h2>
              <button type="button" class="icon-button side-close" aria-label="Close" onClick={close}>
                <Icon name="close" />
              </button>
            </header>
            <Events events={all.slice(-200)} none="No actor has failed." />
          </>
        ) : (
          <Followed key={followed} name={followed} close={close} />
        )}
      </aside>
    </div>
  );
}
