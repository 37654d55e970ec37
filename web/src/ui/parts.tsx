// Small parts that several screens are made of.

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { ApiError, told } from '../api/http';

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect x="2" y="2" width="28" height="28" rx="8" class="logo-ground" />
      <path d="M9 11l6 5-6 5M17 22h7" class="logo-mark" />
    </svg>
  );
}

const ICONS = {
  back: 'M15 5l-7 7 7 7',
  plus: 'M12 5v14M5 12h14',
  close: 'M7 7l10 10M17 7L7 17',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  sun: 'M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6L7 7M17 17l1.4 1.4M5.6 18.4L7 17M17 7l1.4-1.4M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0z',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  out: 'M10 4H5v16h5M9 12h11M16 8l4 4-4 4',
  pulse: 'M3 12h4l3-8 4 16 3-8h4',
} as const;

export function Icon({ name }: { name: keyof typeof ICONS }) {
  return <Drawn name={name} path={ICONS[name]} />;
}

/** An icon of lines, 24 by 24. */
export function Drawn({ name, path }: { name: string; path: string }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

interface FieldProps {
  label: string;
  name: string;
  type?: 'text' | 'email' | 'password';
  value: string;
  change: (value: string) => void;
  error?: string | undefined;
  hint?: string;
  complete?: string;
  /** A code of six digits. */
  numeric?: boolean;
  focus?: boolean;
}

export function Field({ label, name, type = 'text', value, change, error, hint, complete, numeric, focus }: FieldProps) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (focus) input.current?.focus({ preventScroll: true });
  }, []);
  const secret = type === 'password';
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="field-box">
        <input
          id={id}
          ref={input}
          name={name}
          type={(secret && shown ? 'text' : type) as 'text'}
          value={value}
          onInput={(event) => change(event.currentTarget.value)}
          aria-invalid={error ? true : undefined}
          aria-describedby={error || hint ? `${id}-note` : undefined}
          autocomplete={(complete ?? 'off') as 'off'}
          inputMode={numeric ? 'numeric' : undefined}
          maxLength={numeric ? 6 : undefined}
          autocapitalize="none"
          autocorrect="off"
          spellcheck={false}
          required
        />
        {secret && (
          <button type="button" class="field-show" onClick={() => setShown(!shown)} aria-pressed={shown}>
            {shown ? 'Hide' : 'Show'}
            <span class="unseen"> {label.toLowerCase()}</span>
          </button>
        )}
      </div>
      {(error || hint) && (
        <p id={`${id}-note`} class={error ? 'note note-error' : 'note'}>
          {error || hint}
        </p>
      )}
    </div>
  );
}

/** A form's doings: what is under way, and what went wrong with which field. */
export function useDoing() {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const [fields, setFields] = useState<Readonly<Record<string, string>>>({});
  const run = async (act: () => Promise<void>, otherwise?: (error: ApiError) => boolean) => {
    if (busy) return;
    setBusy(true);
    setProblem('');
    setFields({});
    try {
      await act();
    } catch (error) {
      if (error instanceof ApiError && otherwise?.(error)) return;
      const wrong = error instanceof ApiError ? error.fields : {};
      setFields(wrong);
      setProblem(Object.keys(wrong).length ? 'Please check what is marked below.' : told(error));
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, fields, run, setProblem };
}

export function Problem({ text }: { text: string }) {
  return (
    <div role="alert" class={text ? 'problem' : 'unseen'}>
      {text}
    </div>
  );
}

interface ConfirmProps {
  title: string;
  text: string;
  act: string;
  danger?: boolean;
  done: (yes: boolean) => void;
}

/** Asks before something that can't be taken back. */
export function Confirm({ title, text, act, danger, done }: ConfirmProps) {
  return (
    <Modal title={title} close={() => done(false)}>
      <p>{text}</p>
      <div class="row row-end">
        <button type="button" class="button" onClick={() => done(false)}>
          Cancel
        </button>
        <button type="button" class={danger ? 'button button-danger' : 'button button-main'} onClick={() => done(true)}>
          {act}
        </button>
      </div>
    </Modal>
  );
}

interface ModalProps {
  title: string;
  close: () => void;
  children: ComponentChildren;
}

export function Modal({ title, close, children }: ModalProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="modal"
      aria-labelledby={id}
      onClose={close}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <div class="modal-inside">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}
