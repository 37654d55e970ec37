// Dark or light: as the device says, unless somebody chose.

import { Store, useStore } from '../store';
import { Icon } from './parts';

export type Theme = 'dark' | 'light';

const KEY = 'devpocket.theme';
const prefersLight = matchMedia('(prefers-color-scheme: light)');

function current(): Theme {
  const chosen = localStorage.getItem(KEY);
  if (chosen === 'dark' || chosen === 'light') return chosen;
  return prefersLight.matches ? 'light' : 'dark';
}

export const theme = new Store<Theme>(current());

function apply(): void {
  const now = current();
  document.documentElement.dataset.theme = now;
  theme.set(now);
  const ground = getComputedStyle(document.documentElement).getPropertyValue('--ground').trim();
  document.querySelector('meta[name=theme-color]')?.setAttribute('content', ground);
}

prefersLight.addEventListener('change', apply);
window.addEventListener('storage', apply);
apply();

export function switchTheme(): void {
  localStorage.setItem(KEY, current() === 'dark' ? 'light' : 'dark');
  apply();
}

export function ThemeSwitch() {
  const now = useStore(theme);
  const label = now === 'dark' ? 'Light colours' : 'Dark colours';
  return (
    <button type="button" class="icon-button" onClick={switchTheme} aria-label={label} title={label}>
      <Icon name={now === 'dark' ? 'sun' : 'moon'} />
    </button>
  );
}
