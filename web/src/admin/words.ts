// Numbers, times and states in words, each as wide as its neighbours.

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** `1.4 MB`: three digits at most, by 1,024. */
export function bytes(value: number): string {
  let at = 0;
  let left = value;
  while (left >= 999.5 && at < UNITS.length - 1) {
    left /= 1_024;
    at += 1;
  }
  return `${at === 0 || left >= 99.5 ? Math.round(left) : left.toFixed(left >= 9.95 ? 0 : 1)} ${UNITS[at]}`;
}

export function rate(value: number): string {
  return `${bytes(value)}/s`;
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export function count(value: number): string {
  return whole.format(value);
}

/** `12.3K` where there is little room. */
export function brief(value: number): string {
  return value < 10_000 ? (Number.isInteger(value) ? whole.format(value) : value.toFixed(1)) : short.format(value);
}

export function percent(value: number): string {
  return `${value >= 9.95 ? Math.round(value) : value.toFixed(1)} %`;
}

export function milliseconds(value: number): string {
  if (value < 9.95) return `${value.toFixed(1)} ms`;
  if (value < 999.5) return `${Math.round(value)} ms`;
  return value < 9_950 ? `${(value / 1_000).toFixed(1)} s` : span(value / 1_000);
}

/** A span of seconds in its largest unit, or two: `4 s`, `12 min`, `3 h 20 min`, `5 d 2 h`. */
export function span(seconds: number): string {
  const left = Math.max(0, Math.floor(seconds));
  if (left < 60) return `${left} s`;
  const minutes = Math.floor(left / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/** The same in one unit: for columns. */
export function age(seconds: number): string {
  return span(seconds).replace(/^(\d+ (?:h|d)) .*/, '$1');
}

const clockTime = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const dayTime = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });

export function clock(time: string | number): string {
  return clockTime.format(new Date(time));
}

export function moment(time: string): string {
  return dayTime.format(new Date(time));
}

/** The id in an actor's name, or the name. */
export function idOf(name: string): string {
  return name.includes(':') ? name.slice(name.indexOf(':') + 1) : name;
}

export type Tone = 'plain' | 'good' | 'busy' | 'idle' | 'bad';

/** How much a state asks to be looked at. What is as it should be is quiet. */
export function toneOf(state: string): Tone {
  switch (state.toLowerCase()) {
    case 'failed':
    case 'stuck':
    case 'error':
    case 'unhealthy':
    case 'unreachable':
    case 'database away':
      return 'bad';
    case 'restarting':
    case 'reconnecting':
    case 'starting':
    case 'degraded':
    case 'checking':
    case 'stopping':
    case 'creating':
    case 'provisioning':
    case 'installing':
    case 'configuring':
      return 'busy';
    case 'healthy':
    case 'running':
    case 'live':
    case 'available':
      return 'good';
    case 'stopped':
    case 'terminated':
    case 'inactive':
    case 'unused':
    case 'maintenance':
    case 'asleep':
    case 'suspended':
      return 'idle';
    default:
      return 'plain';
  }
}
