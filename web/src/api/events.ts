// What happens to one's environments, as it happens: one socket for the whole page
// (docs/json-dialect.md).

import { Feed } from './feed';
import type { Status } from './model';

export interface Known {
  id: string;
  name: string;
  phase?: Status;
  status: Status;
  reason?: string | null;
}

export interface Amounts {
  cpu: string;
  memory: string;
  storage: string;
}

export interface Quota {
  environments: number;
  limit: number;
  /** What an environment may have at most. */
  each?: Amounts;
}

export type Happening =
  | { type: 'welcome' | 'resync'; environments: Known[]; quota?: Quota }
  | { type: 'quota'; quota?: Quota; environments?: number; limit?: number }
  | {
      type: 'environment_status';
      environment_id: string;
      status: Status;
      phase?: Status;
      reason?: string | null;
      progress?: string | null;
    }
  | { type: 'installation_log'; environment_id: string; data: string }
  | { type: 'session'; environment_id: string; session_id: string; name: string; state: 'began' | 'ended' };

export function eventFeed(happened: (happening: Happening) => void, live: (live: boolean) => void): Feed<Happening> {
  return new Feed({ path: '/events', protocol: 'devpocket.events', welcomes: ['welcome'], happened, live });
}
