// One quiet line about the connection, when there is something to say.

import { useEffect, useState } from 'preact/hooks';
import type { Link } from '../protocol/client';
import { go } from '../router';
import { useStore } from '../store';
import type { Screen } from './screen';

/** A loss that is mended within this is not worth a word, in milliseconds. */
const GRACE = 700;

export function StateLine({ screen, close }: { screen: Screen; close: () => void }) {
  const link = useStore(screen.link);
  const notice = useStore(screen.notice);
  const [late, setLate] = useState(false);
  const waits = link.state === 'connecting' || link.state === 'away';
  useEffect(() => {
    setLate(false);
    const timer = waits ? setTimeout(() => setLate(true), GRACE) : undefined;
    return () => clearTimeout(timer);
  }, [waits]);
  const text = waits ? (late ? waiting(link) : '') : said(link);
  return (
    <div class={text || notice ? 'state' : 'state state-none'} role="status" data-state={link.state}>
      <span>{text || notice}</span>
      {link.state === 'ended' && (
        <>
          <button type="button" class="linkish" onClick={() => screen.anew()}>
            New shell
          </button>
          <button type="button" class="linkish" onClick={close}>
            Close
          </button>
        </>
      )}
      {(link.state === 'detached' || link.state === 'stopped') && (
        <button type="button" class="linkish" onClick={() => screen.again()}>
          Connect again
        </button>
      )}
      {link.state === 'signed-out' && (
        <button type="button" class="linkish" onClick={() => go('/sign-in')}>
          Sign in
        </button>
      )}
    </div>
  );
}

function waiting(link: Link): string {
  if (!navigator.onLine) return 'Offline. What you type is sent when the network is back.';
  return link.state === 'connecting' ? 'Connecting…' : 'Reconnecting…';
}

function said(link: Link): string {
  switch (link.state) {
    case 'ended': {
      const { code } = link.exit;
      return typeof code === 'number' && code !== 0 ? `The shell ended with ${code}.` : 'The shell ended.';
    }
    case 'detached':
      return 'Another window took over, or an administrator closed this one.';
    case 'stopped':
      return link.reason;
    case 'signed-out':
      return 'You are signed out.';
    default:
      return '';
  }
}
