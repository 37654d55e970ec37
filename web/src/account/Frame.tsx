// What the screens of an account stand in.

import type { ComponentChildren } from 'preact';
import { Link } from '../router';
import { Logo } from '../ui/parts';
import { ThemeSwitch } from '../ui/theme';

export function Frame({ title, lead, children }: { title: string; lead?: string; children: ComponentChildren }) {
  return (
    <div class="account">
      <header class="account-top">
        <Link to="/" class="brand">
          <Logo /> DevPocket
        </Link>
        <ThemeSwitch />
      </header>
      <main class="account-card">
        <h1>{title}</h1>
        {lead && <p class="lead">{lead}</p>}
        {children}
      </main>
      <p class="account-foot">Shells that outlive the app, the network and the server’s own process.</p>
    </div>
  );
}
