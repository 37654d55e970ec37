// The keys that soft keyboards lack. A tap must not take the focus from the terminal, or the
// keyboard would go away.

import { useEffect, useRef } from 'preact/hooks';
import { type Store, useStore } from '../store';
import type { Arrow } from './keys';
import type { Screen, Stuck } from './screen';

const REPEAT_AFTER = 400;
const REPEAT_EVERY = 60;

interface KeyProps {
  label: string;
  name?: string;
  press: () => void;
  repeats?: boolean;
  stuck?: Stuck;
}

function Key({ label, name, press, repeats, stuck }: KeyProps) {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const release = () => clearTimeout(timer.current);
  useEffect(() => release, []);
  const again = () => {
    press();
    timer.current = setTimeout(again, REPEAT_EVERY);
  };
  return (
    <button
      type="button"
      class={stuck === 'locked' ? 'key key-locked' : 'key'}
      aria-label={name ?? label}
      aria-pressed={stuck && stuck !== 'off'}
      tabIndex={-1}
      onPointerDown={(event) => {
        event.preventDefault();
        if (event.button !== 0) return;
        release();
        press();
        if (repeats) timer.current = setTimeout(again, REPEAT_AFTER);
      }}
      onPointerUp={release}
      onPointerLeave={release}
      onPointerCancel={release}
      onContextMenu={(event) => event.preventDefault()}
      onMouseDown={(event) => event.preventDefault()}
      onClick={(event) => {
        // A click without a pointer: from a switch or a screen reader.
        if (event.detail === 0) press();
      }}
    >
      {label}
    </button>
  );
}

function Modifier({ label, store }: { label: string; store: Store<Stuck> }) {
  const stuck = useStore(store);
  const tapped = useRef(0);
  const press = () => {
    const now = Date.now();
    const twice = now - tapped.current < 350;
    tapped.current = now;
    if (store.value === 'off') store.set('once');
    else store.set(twice && store.value === 'once' ? 'locked' : 'off');
  };
  return <Key label={label} press={press} stuck={stuck} />;
}

const ARROWS: [Arrow, string][] = [['left', '←'], ['up', '↑'], ['down', '↓'], ['right', '→']];

export function KeyBar({ screen }: { screen: Screen }) {
  return (
    <div class="keys" role="toolbar" aria-label="Keys">
      <Key label="Esc" press={() => screen.key('\x1b')} />
      <Key label="Tab" press={() => screen.key('\t')} />
      <Modifier label="Ctrl" store={screen.ctrl} />
      <Modifier label="Alt" store={screen.alt} />
      {ARROWS.map(([which, label]) => (
        <Key key={which} label={label} name={`Arrow ${which}`} press={() => screen.arrow(which)} repeats />
      ))}
      {['|', '/', '~', '-'].map((character) => (
        <Key key={character} label={character} press={() => screen.key(character)} />
      ))}
    </div>
  );
}
