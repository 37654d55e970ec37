// The tree as a grid of which only what is seen is there. The focus stays at the grid and points at
// a row by its name, so that nothing is lost when rows move or scroll away.

import type { VNode } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useStore } from '../store';
import { isLive, shown } from './live';
import { unfold, unfolded, useTree } from './looking';
import { Cells, HEADS } from './Row';
import { covers, MOST, type Range, scrolledTo, seen, shift, wanted } from './window';
import type { Only, Row, Shown } from './wire';

type Tree = NonNullable<Shown['tree']>;

/** Heights of rows and the head, in pixels: one line, and two where it is narrow (tree.css). */
const ROW = 30;
const ROW_NARROW = 54;
const HEAD = 28;
const NARROW = 700;
const MIDDLE = 900;
/** Rows drawn beyond what is seen. */
const BEYOND = 4;
/** How long scrolling must rest before a window is asked for. */
const REST = 60;

interface Props {
  search: string;
  only: Only;
  followed: string | undefined;
  follow: (name: string) => void;
}

export function Grid({ search, only, followed, follow }: Props) {
  const tree = useStore(shown).tree;
  const live = useStore(isLive);
  const open = useStore(unfolded);
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [size, setSize] = useState({ width: 0, height: 600 });
  const [asked, setAsked] = useState<Range>({ from: 0, count: 60 });
  const [active, setActive] = useState<{ name: string; at: number }>();
  /** The parent that is looked for above what is loaded. */
  const sought = useRef<{ depth: number; from: number } | undefined>(undefined);
  /** The actor that was unfolded, and whose first child is to be gone to. */
  const entering = useRef<string | undefined>(undefined);
  const before = useRef<Tree | undefined>(undefined);
  /** The rows as they were drawn last. */
  const drawn = useRef(new Map<string, { row: Row; look: string; element: VNode }>());

  const latest = useRef(follow);
  latest.current = follow;

  const narrow = size.width < NARROW;
  const rowHeight = narrow ? ROW_NARROW : ROW;
  const height = Math.max(rowHeight, size.height - (narrow ? 0 : HEAD));
  const total = tree?.total ?? 0;
  const flat = search !== '' || only !== 'all';
  const visible = seen(top, height, rowHeight, total);

  useTree({ search, only, ...asked }, open);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // Another list begins at its top.
  useEffect(() => {
    before.current = undefined;
    sought.current = undefined;
    box.current?.scrollTo(0, 0);
  }, [search, only]);

  // Rows that came or went above what is seen move nothing of it.
  useLayoutEffect(() => {
    const element = box.current;
    const last = before.current;
    before.current = tree;
    if (!tree || !element) return;
    if (last && last !== tree && last.order !== tree.order && element.scrollTop > 0) {
      const moved = shift(last, tree, visible.from);
      if (moved !== 0) {
        element.scrollTop += moved * rowHeight;
        setTop(element.scrollTop);
      }
    }
    if (active) {
      const place = tree.order.indexOf(active.name);
      // One that was not loaded yet had no name.
      const name = active.name === '' ? tree.order[active.at - tree.from] : active.name;
      if (place >= 0 && tree.from + place !== active.at) setActive({ name: active.name, at: tree.from + place });
      else if (name !== undefined && name !== active.name) setActive({ name, at: active.at });
    }
    if (sought.current) seek(tree);
    const entered = entering.current;
    if (entered !== undefined && tree.rows[entered]?.open) {
      entering.current = undefined;
      activate(tree.from + tree.order.indexOf(entered) + 1);
    }
  }, [tree]);

  // The window follows what is seen.
  useEffect(() => {
    if (sought.current || total === 0 || covers(asked, visible, total)) return;
    const timer = setTimeout(() => setAsked(wanted(visible)), REST);
    return () => clearTimeout(timer);
  }, [visible.from, visible.count, total, asked]);

  const at = (index: number): Row | undefined => {
    const name = tree?.order[index - tree.from];
    return name === undefined ? undefined : tree?.rows[name];
  };

  const activate = (index: number) => {
    const row = at(index);
    if (row) setActive({ name: row.name, at: index });
    else if (index >= 0 && index < total) setActive({ name: '', at: index });
    else return;
    const element = box.current;
    if (!element) return;
    const next = scrolledTo(index, element.scrollTop, height, rowHeight);
    if (next !== element.scrollTop) element.scrollTop = next;
  };

  /** Goes to the nearest row above that is less deep; further up if it is not loaded. */
  const seek = (loaded: Tree) => {
    const wants = sought.current;
    if (!wants || loaded.from > wants.from) return;
    for (let index = Math.min(wants.from, loaded.from + loaded.order.length) - 1; index >= loaded.from; index -= 1) {
      const row = loaded.rows[loaded.order[index - loaded.from] ?? ''];
      if (row && row.depth < wants.depth) {
        sought.current = undefined;
        activate(index);
        return;
      }
    }
    if (loaded.from === 0) {
      sought.current = undefined;
      return;
    }
    const from = Math.max(0, loaded.from - MOST);
    sought.current = { depth: wants.depth, from: loaded.from };
    setAsked({ from, count: MOST });
  };

  const key = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== event.currentTarget) return;
    const now = active?.at ?? visible.from - 1;
    const row = active ? (at(active.at) ?? tree?.rows[active.name]) : undefined;
    const page = Math.max(1, Math.floor(height / rowHeight) - 1);
    sought.current = undefined;
    entering.current = undefined;
    switch (event.key) {
      case 'ArrowDown':
        activate(Math.min(total - 1, now + 1));
        break;
      case 'ArrowUp':
        activate(Math.max(0, now - 1));
        break;
      case 'PageDown':
        activate(Math.min(total - 1, now + page));
        break;
      case 'PageUp':
        activate(Math.max(0, now - page));
        break;
      case 'Home':
        activate(0);
        break;
      case 'End':
        activate(total - 1);
        break;
      case 'ArrowRight':
        if (!row || flat || row.children === 0) break;
        if (!open.has(row.name)) unfold(row.name, true);
        else if (row.open) activate(now + 1);
        // What is below it is on its way.
        else entering.current = row.name;
        break;
      case 'ArrowLeft':
        if (!row || flat || !tree) break;
        if (row.children > 0 && open.has(row.name)) unfold(row.name, false);
        else if (row.depth > 0) {
          sought.current = { depth: row.depth, from: now };
          seek(tree);
        }
        break;
      case 'Enter':
      case ' ':
        if (row) follow(row.name);
        break;
      default:
        return;
    }
    event.preventDefault();
  };

  const last = drawn.current;
  drawn.current = new Map();
  const rows = [];
  const end = Math.min(total, visible.from + visible.count + BEYOND);
  for (let index = Math.max(0, visible.from - BEYOND); index < end; index += 1) {
    const row = at(index);
    const isActive = active?.at === index;
    const place = { transform: `translateY(${index * rowHeight}px)` };
    if (!row) {
      rows.push(<div key={index} class={isActive ? 'tree-row tree-gap tree-active' : 'tree-row tree-gap'} style={place} aria-hidden="true" />);
      continue;
    }
    const folds = !flat && row.children > 0;
    const look = `${index} ${rowHeight} ${flat} ${open.has(row.name)} ${isActive} ${row.name === followed}`;
    const same = last.get(row.name);
    // The same element as before is not looked at again.
    if (same && same.row === row && same.look === look) {
      drawn.current.set(row.name, same);
      rows.push(same.element);
      continue;
    }
    const element = (
      <div
        key={row.name}
        id={idOfRow(row.name)}
        role="row"
        class={classOf(row, isActive, row.name === followed)}
        style={place}
        aria-level={(flat ? 0 : row.depth) + 1}
        aria-rowindex={index + 2}
        aria-expanded={folds ? open.has(row.name) : undefined}
        aria-selected={row.name === followed}
        onClick={() => {
          setActive({ name: row.name, at: index });
          latest.current(row.name);
        }}
      >
        <Cells
          row={row}
          depth={flat ? 0 : row.depth}
          open={folds ? open.has(row.name) : undefined}
          toggle={() => {
            setActive({ name: row.name, at: index });
            box.current?.focus({ preventScroll: true });
            unfold(row.name, !open.has(row.name));
          }}
        />
      </div>
    );
    drawn.current.set(row.name, { row, look, element });
    rows.push(element);
  }

  const pointed = active && at(active.at);
  return (
    <div
      ref={box}
      class={`tree ${narrow ? 'tree-narrow' : size.width < MIDDLE ? 'tree-middle' : 'tree-wide'}`}
      role="treegrid"
      tabIndex={0}
      aria-label="Supervision tree"
      aria-rowcount={total + 1}
      aria-colcount={HEADS.length}
      aria-busy={!tree}
      aria-activedescendant={pointed ? idOfRow(pointed.name) : undefined}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={key}
    >
      <div class="tree-head" role="row" aria-rowindex={1}>
        {HEADS.map(([name, className]) => (
          <span key={name} role="columnheader" class={className}>
            {name}
          </span>
        ))}
      </div>
      <div class="tree-body" role="rowgroup" style={{ height: `${total * rowHeight}px` }}>
        {rows}
      </div>
      {tree && total === 0 && <p class="tree-none quiet">{flat ? 'No actor is so.' : 'No actor runs.'}</p>}
      {!tree && <p class="tree-none quiet">{live ? 'Loading…' : 'Connecting…'}</p>}
    </div>
  );
}

/** An id without spaces, whatever the name. */
function idOfRow(name: string): string {
  return `row-${name.replaceAll(/[^\w:-]/g, '_')}`;
}

function classOf(row: Row, active: boolean, followed: boolean): string {
  const parts = ['tree-row'];
  if (row.state === 'failed' || row.state === 'stuck') parts.push('tree-bad');
  else if (row.state === 'restarting' || row.state === 'starting') parts.push('tree-busy');
  else if (row.below && row.below.failing > 0) parts.push('tree-below');
  if (active) parts.push('tree-active');
  if (followed) parts.push('tree-followed');
  return parts.join(' ');
}
