// What administrators see, as it happens: one socket while the dashboard is open (docs/admin.md).

import { useEffect, useRef, useState } from 'preact/hooks';
import { Feed } from '../api/feed';
import { asked } from '../api/http';
import { readUser } from '../environments/state';
import { Store } from '../store';
import { joined, merged, type Point, type Shown, type Told, type TreeEvent, type View } from './wire';

const HOUR = 3_600_000;

export const shown = new Store<Shown>({});
/** Oldest first. */
export const events = new Store<readonly TreeEvent[]>([]);
/** Those of the last hour, oldest first. */
export const points = new Store<readonly Point[]>([]);
export const isLive = new Store(false);
/** What is looked at. The last one that was sent is what `shown` answers, sooner or later. */
export const view = new Store<View>({ overview: true });

/** How far the server's clock is ahead of this device's, in milliseconds. */
let ahead = 0;

/** This moment by the server's clock. */
export function serverNow(): number {
  return Date.now() + ahead;
}

/** Follows as long as the dashboard is open. */
export function follow(): () => void {
  const feed = new Feed<Told>({
    path: '/admin',
    protocol: 'devpocket.admin',
    welcomes: ['history', 'state'],
    happened,
    live(live) {
      if (!live && isLive.value) {
        // Whoever is no administrator any more is told so.
        void readUser();
      }
      isLive.set(live);
    },
    opened() {
      // The server's document begins anew with each connection.
      fresh = true;
      greeted = false;
      feed.send({ type: 'view', ...view.value });
      void readPoints();
    },
  });
  const unwatch = view.watch((now) => feed.send({ type: 'view', ...now }));
  const hurry = () => document.visibilityState === 'visible' && feed.hurry();
  const offline = () => feed.offline();
  window.addEventListener('online', hurry);
  window.addEventListener('offline', offline);
  document.addEventListener('visibilitychange', hurry);
  const ticks = setInterval(() => document.visibilityState === 'visible' && second.set(serverNow()), 1_000);
  void feed.connect();
  return () => {
    clearInterval(ticks);
    window.removeEventListener('online', hurry);
    window.removeEventListener('offline', offline);
    document.removeEventListener('visibilitychange', hurry);
    unwatch();
    feed.stop();
    shown.set({});
    events.set([]);
    points.set([]);
  };
}

/** The next patch is to `{}`; until it comes what was last seen stays. */
let fresh = true;
/** The first events of this connection have come. */
let greeted = false;

function happened(told: Told): void {
  switch (told.type) {
    case 'state': {
      const next = merged(fresh ? {} : shown.value, told.patch) as Shown;
      fresh = false;
      if (next.at) ahead = Date.parse(next.at) - Date.now();
      shown.set(next);
      break;
    }
    case 'history':
      events.set(joined(events.value, told.events, !greeted));
      greeted = true;
      break;
    case 'point':
      points.set(recent([...points.value, told.point]));
      break;
    default:
      break;
  }
}

function recent(all: readonly Point[]): readonly Point[] {
  const since = serverNow() - HOUR;
  const found = all.filter((point) => Date.parse(point.at) >= since);
  return found.length === 0 ? all.slice(-1) : found;
}

async function readPoints(): Promise<void> {
  try {
    const charts = await asked<{ points: Point[] }>('GET', '/admin/charts');
    const newest = charts.points.at(-1)?.at ?? '';
    points.set(recent([...charts.points, ...points.value.filter((point) => point.at > newest)]));
  } catch {
    // The charts fill by themselves.
  }
}

const second = new Store(serverNow());

/** What the server's time makes of something: looked at each second, drawn anew only when it differs. */
export function useTick<T extends string | number | boolean>(of: (now: number) => T): T {
  const [, setValue] = useState(() => of(second.value));
  const latest = useRef(of);
  latest.current = of;
  useEffect(() => second.watch((now) => setValue(latest.current(now))), []);
  // What it is made of may have changed meanwhile.
  const now = of(second.value);
  useEffect(() => setValue(now), [now]);
  return now;
}

/** Seconds since something, by the server's clock. */
export function since(time: string, now: number): number {
  return Math.max(0, (now - Date.parse(time)) / 1_000);
}
