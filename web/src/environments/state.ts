// One's environments, as they are: listed once, then kept true by what happens.

import { eventFeed, type Happening, type Quota } from '../api/events';
import type { Feed } from '../api/feed';
import { asked } from '../api/http';
import type { Environment, Status, User } from '../api/model';
import { Store } from '../store';

export interface Live extends Environment {
  /** The newest line of an installation, or of what goes on. */
  progress?: string;
}

export const environments = new Store<readonly Live[] | undefined>(undefined);
export const quota = new Store<Quota | undefined>(undefined);
export const user = new Store<User | undefined>(undefined);
/** Whether what is shown is told as it happens. */
export const isLive = new Store(false);
/** Why the list could not be read. */
export const trouble = new Store<unknown>(undefined);
/** A session began or ended in this environment; each time a new object. */
export const sessionChange = new Store<{ environment: string } | undefined>(undefined);

let feed: Feed<Happening> | undefined;
let reading: Promise<void> | undefined;

/** Begins to follow; once for the page. */
export function follow(): void {
  if (feed) return;
  feed = eventFeed(happened, (live) => isLive.set(live));
  void feed.connect();
  void readUser();
  void read();
}

/** Somebody signed out. */
export function unfollow(): void {
  feed?.stop();
  feed = undefined;
  environments.set(undefined);
  quota.set(undefined);
  user.set(undefined);
  trouble.set(undefined);
}

export function hurry(): void {
  feed?.hurry();
  if (trouble.value) void read();
}

/** The network is gone. */
export function offline(): void {
  feed?.offline();
}

/** Who it is, and whether verified by now. */
export async function readUser(): Promise<void> {
  try {
    user.set(await asked<User>('GET', '/auth/me'));
  } catch {
    // It only says more than the list does; the list tells what is wrong.
  }
}

export async function read(): Promise<void> {
  reading ??= (async () => {
    try {
      const list = await asked<{ environments: Environment[] }>('GET', '/environments?limit=100');
      environments.set(list.environments.filter((one) => one.phase !== 'TERMINATED'));
      trouble.set(undefined);
    } catch (error) {
      trouble.set(error);
    } finally {
      reading = undefined;
    }
  })();
  return reading;
}

function change(id: string, change: (one: Live) => Live | undefined): boolean {
  const list = environments.value ?? [];
  if (!list.some((one) => one.id === id)) return false;
  environments.set(list.flatMap((one) => (one.id === id ? (change(one) ?? []) : one)));
  return true;
}

function word(status: string): Status {
  return status.toUpperCase() as Status;
}

function happened(happening: Happening): void {
  switch (happening.type) {
    case 'welcome':
    case 'resync': {
      if (happening.quota) quota.set(happening.quota);
      const list = environments.value;
      const known = new Map(happening.environments.map((one) => [one.id, one]));
      if (!list || list.length !== known.size || list.some((one) => !known.has(one.id))) {
        void read();
        return;
      }
      environments.set(
        list.map((one) => {
          const told = known.get(one.id);
          return told ? { ...one, phase: word(told.phase ?? told.status), statusReason: told.reason ?? null } : one;
        }),
      );
      break;
    }
    case 'quota':
      if (happening.quota) quota.set(happening.quota);
      else if (happening.limit !== undefined && happening.environments !== undefined) {
        quota.set({ environments: happening.environments, limit: happening.limit });
      }
      break;
    case 'environment_status': {
      const phase = word(happening.phase ?? happening.status);
      const known = change(happening.environment_id, ({ progress: _, ...one }) =>
        phase === 'TERMINATED'
          ? undefined
          : {
              ...one,
              phase,
              statusReason: happening.reason ?? null,
              ...(happening.progress ? { progress: happening.progress } : {}),
            },
      );
      if (!known && phase !== 'TERMINATED') void read();
      break;
    }
    case 'installation_log':
      change(happening.environment_id, (one) => ({ ...one, progress: happening.data }));
      break;
    case 'session':
      sessionChange.set({ environment: happening.environment_id });
      break;
    default:
      break;
  }
}
