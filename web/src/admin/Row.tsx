// One actor in the tree: a column each, of a width that does not change with what is in it.

import { since, useTick } from './live';
import { Ago, State } from './parts';
import type { Row } from './wire';
import { brief, count, idOf, milliseconds } from './words';

export const HEADS: readonly (readonly [string, string])[] = [
  ['Actor', 'col-name'],
  ['State', 'col-state'],
  ['Age', 'col-age col-number'],
  ['Restarts', 'col-restarts col-number'],
  ['Mailbox', 'col-mailbox col-number'],
  ['Waits', 'col-waits col-number'],
  ['Clients', 'col-clients col-number'],
  ['Last failure', 'col-failure'],
];

/** A failure is fresh for so long, in seconds. */
const FRESH = 60;
/** A message that is handled for longer than this is worth a word. */
const BUSY = 1_000;

interface Props {
  row: Row;
  depth: number;
  /** Whether it is unfolded; nothing where there is nothing to unfold. */
  open: boolean | undefined;
  toggle: () => void;
}

export function Cells({ row, depth, open, toggle }: Props) {
  const { below, lastFailure, terminal } = row;
  const id = idOf(row.name);
  const fresh = useTick((now) => lastFailure !== undefined && since(lastFailure.at, now) < FRESH);
  const waits = Math.max(row.mailboxAgeMs ?? 0, row.busyMs ?? 0);
  const clients = (terminal?.attachments ?? 0) + (below?.attachments ?? 0);
  return (
    <>
      <span role="gridcell" class="col-name" style={{ '--depth': depth }}>
        <span class="tree-guides" aria-hidden="true" />
        {open === undefined ? (
          <span class="tree-leaf" aria-hidden="true" />
        ) : (
          <span
            class={open ? 'tree-fold tree-open' : 'tree-fold'}
            aria-hidden="true"
            onClick={(event) => {
              event.stopPropagation();
              toggle();
            }}
          >
            <svg viewBox="0 0 24 24" class="icon">
              <path d="M9 6l6 6-6 6" />
            </svg>
          </span>
        )}
        {row.label === undefined && id === row.kind ? (
          <span class="tree-label">{row.kind}</span>
        ) : (
          <>
            <span class="tree-label">{row.label ?? shortened(id)}</span>
            <span class="tree-kind">{row.kind}</span>
          </>
        )}
        {below && (
          <span class="tree-below-count" title="actors below">
            {brief(below.actors)}
            <span class="unseen"> below</span>
          </span>
        )}
        {terminal?.isSlow && <span class="badge badge-busy">slow</span>}
      </span>
      <span role="gridcell" class="col-state">
        <State word={row.state} />
      </span>
      <span role="gridcell" class="col-age col-number">
        <Ago at={row.started} />
      </span>
      <span role="gridcell" class="col-restarts col-number">
        <span class="col-word">restarts </span>
        <span class={row.restarts > 0 ? 'much' : 'nothing'}>{count(row.restarts)}</span>
        {below && below.restarts > 0 && <span class="col-more"> +{brief(below.restarts)}</span>}
      </span>
      <span role="gridcell" class="col-mailbox col-number">
        <span class="col-word">mailbox </span>
        <span class={row.mailbox > 0 ? 'much' : 'nothing'}>{brief(row.mailbox)}</span>
      </span>
      <span role="gridcell" class="col-waits col-number">
        <span class={waits > BUSY ? 'waits-long' : 'nothing'}>{waits > 0 ? milliseconds(waits) : '–'}</span>
      </span>
      <span role="gridcell" class="col-clients col-number">
        <span class="col-word">clients </span>
        <span class={clients > 0 ? 'much' : 'nothing'}>{clients > 0 || terminal || below ? brief(clients) : '–'}</span>
      </span>
      <span role="gridcell" class={fresh ? 'col-failure col-fresh' : 'col-failure'} style={{ '--depth': depth }}>
        {below && below.failing > 0 && (
          <span class="badge">
            {brief(below.failing)} failing<span class="unseen"> below</span>
          </span>
        )}{' '}
        {lastFailure && (
          <>
            <Ago at={lastFailure.at} ago /> <span title={lastFailure.reason}>{lastFailure.reason}</span>
          </>
        )}
      </span>
    </>
  );
}

/** Ids are long; their beginnings tell them apart. */
function shortened(id: string): string {
  return id.length > 12 ? `${id.slice(0, 10)}…` : id;
}
