// What the server answers, as far as the pages need it (docs/openapi.json).

export type Status =
  | 'CREATING' | 'PROVISIONING' | 'INSTALLING' | 'CONFIGURING' | 'RUNNING' | 'STOPPED' | 'STOPPING'
  | 'RESTARTING' | 'STARTING' | 'ERROR' | 'TERMINATED';

export interface TokenPair {
  accessToken: string;
  refreshToken: string;
  /** Seconds. */
  expiresIn: number;
}

export type Plan = 'FREE' | 'STARTER' | 'PRO' | 'ENTERPRISE';
export type Role = 'USER' | 'SUPPORT' | 'ADMIN';

export interface User {
  id: string;
  username: string;
  email: string;
  fullName: string;
  isVerified: boolean;
  subscriptionPlan: Plan;
  role: Role;
}

export interface Environment {
  id: string;
  name: string;
  phase: Status;
  statusReason?: string | null;
  templateName?: string;
  resources?: { cpu: string; memory: string; storage: string };
}

export interface Template {
  id: string;
  name: string;
  displayName: string;
  description: string;
  defaultResourcesCpu: string;
  defaultResourcesMemory: string;
  defaultResourcesStorage: string;
}

export interface Session {
  sessionId: string;
  name: string;
}
