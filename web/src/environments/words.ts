// What a status means to a person, and what can be done.

import type { Status } from '../api/model';

export type Tone = 'good' | 'busy' | 'idle' | 'bad';

export function describe(phase: Status): { word: string; tone: Tone } {
  switch (phase) {
    case 'RUNNING':
      return { word: 'Running', tone: 'good' };
    case 'STOPPED':
      return { word: 'Stopped', tone: 'idle' };
    case 'ERROR':
      return { word: 'Failed', tone: 'bad' };
    case 'TERMINATED':
      return { word: 'Deleted', tone: 'idle' };
    case 'STOPPING':
      return { word: 'Stopping…', tone: 'busy' };
    case 'RESTARTING':
      return { word: 'Restarting…', tone: 'busy' };
    case 'INSTALLING':
      return { word: 'Installing…', tone: 'busy' };
    case 'CONFIGURING':
      return { word: 'Configuring…', tone: 'busy' };
    default:
      return { word: 'Starting…', tone: 'busy' };
  }
}

export type Act = 'start' | 'stop' | 'restart' | 'delete';

/** What can be done with an environment now. A running one is stopped before it is deleted. */
export function acts(phase: Status): Act[] {
  switch (phase) {
    case 'RUNNING':
      return ['restart', 'stop'];
    case 'STOPPED':
    case 'ERROR':
      return ['start', 'delete'];
    default:
      return [];
  }
}

/** An amount of CPU or bytes as Kubernetes writes it, for people: `500m` is `0.5`, `1Gi` is `1 GiB`. */
export function amount(written: string): string {
  const [, number, unit] = /^(\d+)(m|[KMGT]i?)?$/.exec(written) ?? [];
  if (number === undefined) return written;
  if (unit === 'm') return String(Number(number) / 1_000);
  return unit === undefined ? number : `${number} ${unit}B`;
}

const UNITS: Readonly<Record<string, number>> = {
  m: 1e-3, K: 1e3, M: 1e6, G: 1e9, T: 1e12, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40,
};

function measured(written: string): number {
  const [, number, unit] = /^(\d+)(m|[KMGT]i?)?$/.exec(written) ?? [];
  return Number(number) * (unit === undefined ? 1 : (UNITS[unit] ?? 1));
}

/** The smaller of two amounts; what a template asks for when nothing is known of a limit. */
export function atMost(asked: string, limit: string | undefined): string {
  return limit !== undefined && measured(limit) < measured(asked) ? limit : asked;
}
