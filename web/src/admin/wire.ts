// What the server tells an administrator (docs/admin.md).

import type { Plan, Role, Status } from '../api/model';

/** RFC 3339, by the server's clock. */
export type Time = string;

export interface Gauges {
  attachments: number;
  /** Bytes and keys since the session began. */
  bytesIn: number;
  bytesOut: number;
  keys: number;
  ringUsed: number;
  ringLimit: number;
  snapshots: number;
  /** Bytes that the slowest client has not got. */
  behind: number;
  isSlow: boolean;
}

export interface Actor {
  name: string;
  kind: string;
  parent?: string;
  label?: string;
  state: string;
  started?: Time;
  restarts: number;
  lastFailure?: { at: Time; reason: string };
  handled: number;
  mailbox: number;
  mailboxAgeMs?: number;
  busyMs?: number;
  children: number;
  terminal?: Gauges;
}

export interface Row extends Actor {
  depth: number;
  open: boolean;
  /** Of a folded one: all levels below it. */
  below?: { actors: number; restarts: number; failing: number; attachments: number };
}

export interface TreeEvent {
  seq: number;
  at: Time;
  actor: string;
  parent?: string;
  what: 'failed' | 'given_up' | 'restarted' | 'asked' | 'stuck' | 'returned';
  reason?: string;
  pauseMs?: number;
  failures?: number;
  allowed?: number;
  windowSecs?: number;
  by?: string;
}

export interface ClusterHealth {
  id: string;
  name: string;
  state: string;
  message?: string;
  checkedAt?: Time;
  tookMs?: number;
  watchLagMs?: number;
  relists: number;
  channels: number;
  errors: number;
  environments: number;
}

export interface Overview {
  process: {
    version: string;
    startedAt: Time;
    uptimeSecs: number;
    memoryBytes: number;
    cpuPercent: number;
    tasks: number;
    threads: number;
    sockets: number;
    files: number;
    draining: boolean;
  };
  actors: {
    total: number;
    byKind: Record<string, number>;
    restarts: number;
    restarting: number;
    failed: number;
    stuck: number;
  };
  /** `bytesIn`, `bytesOut` and `keys` a second. */
  sessions: { live: number; attachments: number; slow: number; bytesIn: number; bytesOut: number; keys: number };
  environments: { awake: number; byStatus: Partial<Record<Status, number>> };
  database: {
    available: boolean;
    size: number;
    idle: number;
    max: number;
    durableBacklog: number;
    lateBacklog: number;
    statusBacklog: number;
    durableDone: number;
    durableFailed: number;
    lateWritten: number;
    lateDropped: number;
    lateRefused: number;
    lastBatch: number;
    batchMs: number;
    writeMs: number;
  };
  mail: { waiting: number; queued: number; dead: number };
  clusters: ClusterHealth[];
}

export interface Point {
  at: Time;
  actors: number;
  restarts: number;
  environments: number;
  sessions: number;
  attachments: number;
  bytesIn: number;
  bytesOut: number;
  keys: number;
  memoryBytes: number;
  cpuPercent: number;
  tasks: number;
  sockets: number;
  durableBacklog: number;
  lateBacklog: number;
  writeMs: number;
  mailWaiting: number;
}

export interface AdminEnvironment {
  id: string;
  name: string;
  user: { id: string; username: string };
  cluster: { id: string; name: string };
  template: string;
  status: Status;
  statusReason?: string;
  awake: boolean;
  sessions: number;
  createdAt: Time;
  lastActivityAt?: Time;
}

export interface AdminSession extends Gauges {
  id: string;
  name: string;
  environment: { id: string; name: string };
  user: { id: string; username: string };
  cluster: { id: string; name: string };
  state: string;
  startedAt: Time;
}

export interface AdminClient {
  number: number;
  stream: string;
  mode: string;
  cols: number;
  rows: number;
  since: Time;
  behind: number;
  window: number;
  isSlow: boolean;
  lastActiveAt?: Time;
}

export interface Account {
  id: string;
  username: string;
  email: string;
  fullName: string;
  isActive: boolean;
  isVerified: boolean;
  subscriptionPlan: Plan;
  role: Role;
  createdAt: Time;
  lastSeenAt?: Time | null;
  lockedAddresses: number;
  lockedUntil?: Time | null;
  environmentCount: number;
  sessionCount: number;
}

export interface AuditRecord {
  id: string;
  at: Time;
  action: string;
  actorId?: string;
  actorName?: string;
  targetType?: string;
  targetId?: string;
  ip?: string;
  details?: Record<string, unknown>;
}

export interface Pagination {
  total: number;
  limit: number;
  offset: number;
}

export type Only = 'all' | 'failing' | 'waiting' | 'slow';

export interface TreeView {
  open: string[];
  search: string;
  only: Only;
  from: number;
  count: number;
}

/** What the page looks at. */
export interface View {
  overview: boolean;
  actor?: string;
  tree?: TreeView;
}

/** What is shown of it. */
export interface Shown {
  at?: Time;
  overview?: Overview;
  actor?: { actor: Actor; path: string[] };
  tree?: { total: number; from: number; order: string[]; rows: Record<string, Row> };
}

export type Told =
  | { type: 'state'; patch: object }
  | { type: 'history'; events: TreeEvent[] }
  | { type: 'point'; point: Point }
  | { type: 'pong' };

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Applies a JSON merge patch (RFC 7396). What is not changed is the same object as before, so that
 * it is cheap to see what changed; nothing is changed in place.
 */
export function merged(target: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return patch;
  const result: Record<string, unknown> = isMap(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    // A member of an actor's or a user's making may have any name.
    else Object.defineProperty(result, key, { value: merged(own(result, key), value), enumerable: true, configurable: true, writable: true });
  }
  return result;
}

function own(map: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

/** As many events are kept; older ones the server has. */
const MOST_EVENTS = 1_000;

/**
 * Events with newer ones. The first of a connection are the newest that the server has, so they replace
 * what is known of the same time; older ones stay, also those of a server that has ended since.
 */
export function joined(known: readonly TreeEvent[], news: readonly TreeEvent[], first: boolean): readonly TreeEvent[] {
  const begin = news[0]?.at;
  if (begin === undefined) return known;
  const kept = first ? known.filter((event) => event.at < begin) : known;
  return [...kept, ...news].slice(-MOST_EVENTS);
}
