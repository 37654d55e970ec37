// What is needed now and then: letters, colours, search, copying with a thumb.

import { useEffect, useRef, useState } from 'preact/hooks';
import { useStore } from '../store';
import { Icon, Modal } from '../ui/parts';
import { switchTheme } from '../ui/theme';
import { changeFontSize, fontSize } from './look';
import type { Screen } from './screen';

export function Menu({ screen, end }: { screen: Screen; end: () => void }) {
  const [open, setOpen] = useState(false);
  const [text, setText] = useState<string>();
  const [searching, setSearching] = useState(false);
  const size = useStore(fontSize);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const away = (event: Event) => {
      if (event instanceof KeyboardEvent ? event.key === 'Escape' : !box.current?.contains(event.target as Node)) {
        setOpen(false);
      }
    };
    document.addEventListener('pointerdown', away);
    document.addEventListener('keydown', away);
    return () => {
      document.removeEventListener('pointerdown', away);
      document.removeEventListener('keydown', away);
    };
  }, [open]);
  const then = (act: () => void) => () => {
    setOpen(false);
    act();
  };
  const paste = async () => {
    try {
      screen.paste(await navigator.clipboard.readText());
    } catch {
      screen.notice.set('The browser does not let this page read the clipboard. Use its own “Paste”.');
    }
  };
  return (
    <div class="menu" ref={box}>
      <button type="button" class="icon-button" aria-label="Menu" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name="more" />
      </button>
      {open && (
        <div class="menu-list">
          <div class="menu-row">
            <span>Letters</span>
            <button type="button" class="icon-button" aria-label="Smaller letters" onClick={() => changeFontSize(size - 1)}>
              −
            </button>
            <span class="menu-size">{size}</span>
            <button type="button" class="icon-button" aria-label="Larger letters" onClick={() => changeFontSize(size + 1)}>
              +
            </button>
          </div>
          <button type="button" onClick={then(() => void paste())}>Paste</button>
          <button type="button" onClick={then(() => setText(screen.terminal.getSelection() || screen.text()))}>
            Copy text…
          </button>
          <button type="button" onClick={then(() => setSearching(true))}>Search…</button>
          <button type="button" onClick={then(switchTheme)}>Dark or light</button>
          <button type="button" class="note-error" onClick={then(end)}>End session…</button>
        </div>
      )}
      {text !== undefined && <Text text={text} close={() => setText(undefined)} />}
      {searching && <Search screen={screen} close={() => setSearching(false)} />}
    </div>
  );
}

/** The terminal's text, to be selected as any text is. */
function Text({ text, close }: { text: string; close: () => void }) {
  const [copied, setCopied] = useState(false);
  const end = useRef<HTMLPreElement>(null);
  useEffect(() => {
    end.current?.scrollTo(0, end.current.scrollHeight);
  }, []);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      if (end.current) getSelection()?.selectAllChildren(end.current);
    }
  };
  return (
    <Modal title="Copy text" close={close}>
      <pre class="copy-text" ref={end} tabIndex={0}>{text}</pre>
      <div class="row row-end">
        <button type="button" class="button" onClick={close}>Close</button>
        <button type="button" class="button button-main" onClick={() => void copy()}>
          {copied ? 'Copied' : 'Copy all'}
        </button>
      </div>
    </Modal>
  );
}

function Search({ screen, close }: { screen: Screen; close: () => void }) {
  const [wanted, setWanted] = useState('');
  const [missing, setMissing] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const find = (back: boolean) => {
    const found = back ? screen.search.findPrevious(wanted) : screen.search.findNext(wanted);
    setMissing(!found && wanted !== '');
  };
  const done = () => {
    screen.search.clearDecorations();
    close();
    screen.terminal.focus();
  };
  return (
    <form
      class="search"
      onSubmit={(event) => {
        event.preventDefault();
        find(true);
      }}
      onKeyDown={(event) => event.key === 'Escape' && done()}
    >
      <input ref={input} aria-label="Search" placeholder="Search" value={wanted} autocapitalize="none" spellcheck={false}
        aria-invalid={missing || undefined} onInput={(event) => setWanted(event.currentTarget.value)} />
      <button type="submit" class="icon-button" aria-label="Search upwards">↑</button>
      <button type="button" class="icon-button" aria-label="Search downwards" onClick={() => find(false)}>↓</button>
      <button type="button" class="icon-button" aria-label="Close search" onClick={done}>
        <Icon name="close" />
      </button>
    </form>
  );
}
