// What supervisors saw and decided, the newest first.

import { Link } from '../router';
import { Ago } from './parts';
import type { TreeEvent } from './wire';
import { clock, idOf, milliseconds, span } from './words';

interface Props {
  events: readonly TreeEvent[];
  none: string;
  /** All are of one actor, so that it need not be named. */
  alone?: boolean;
}

export function Events({ events, none, alone = false }: Props) {
  if (events.length === 0) return <p class="quiet events-none">{none}</p>;
  return (
    <ol class="events">
      {[...events].reverse().map((event) => (
        <li key={`${event.seq} ${event.at}`} class={`event event-${event.what}`}>
          <span class="event-when">
            <span class="event-clock">{clock(event.at)}</span>
            <Ago at={event.at} ago />
          </span>
          <div class="event-what">
            {!alone && (
              <Link to={placeOf(event.actor)} class="event-actor" title={event.actor}>
                {event.actor}
              </Link>
            )}
            <span class="event-word">{wordOf(event)}</span>
            {event.reason && <span class="event-reason">{event.reason}</span>}
            <span class="event-decided">{decided(event)}</span>
          </div>
        </li>
      ))}
    </ol>
  );
}

/** The address of an actor. */
export function placeOf(name: string): string {
  return `/admin/tree?${new URLSearchParams({ actor: name })}`;
}

function wordOf({ what, by }: TreeEvent): string {
  switch (what) {
    case 'failed':
      return 'failed';
    case 'given_up':
      return 'was given up';
    case 'restarted':
      return 'runs again';
    case 'asked':
      return by ? `restart asked for by ${by}` : 'restart asked for';
    case 'stuck':
      return 'is stuck: its handler does not return';
    case 'returned':
      return 'goes on: its handler has returned';
    default:
      return what;
  }
}

/** Who decided what. */
function decided({ what, parent, pauseMs, failures, allowed, windowSecs }: TreeEvent): string {
  const who = parent ? (parent.includes(':') ? `${parent.slice(0, parent.indexOf(':'))} ${idOf(parent).slice(0, 8)}` : parent) : 'its supervisor';
  const borne =
    failures !== undefined && allowed !== undefined
      ? ` (${failures} of ${allowed}${windowSecs === undefined ? '' : ` in ${span(windowSecs)}`})`
      : '';
  if (what === 'failed') return `${who} starts it again${pauseMs === undefined ? '' : ` after ${milliseconds(pauseMs)}`}${borne}`;
  if (what === 'given_up') return `${who} leaves it alone${borne}`;
  return '';
}
