// Starting, stopping, restarting and deleting, each asked for first where it ends something.

import { useState } from 'preact/hooks';
import { asked, told } from '../api/http';
import type { Environment } from '../api/model';
import { Confirm } from '../ui/parts';
import { type Act, acts } from './words';

const WORDS: Record<Act, string> = { start: 'Start', stop: 'Stop', restart: 'Restart', delete: 'Delete' };

const LOOKS: Record<Act, string> = {
  start: 'button button-main',
  stop: 'button button-quiet',
  restart: 'button button-quiet',
  delete: 'button button-quiet button-bad',
};

const QUESTIONS: Partial<Record<Act, (name: string) => string>> = {
  stop: (name) => `All programs and terminals in ${name} end. Its files stay.`,
  restart: (name) => `All programs and terminals in ${name} end, and it starts again. Its files stay.`,
  delete: (name) => `${name} and all its files are deleted. This can’t be taken back.`,
};

interface Props {
  environment: Environment;
  problem: (text: string) => void;
}

export function Acts({ environment, problem }: Props) {
  const [asking, setAsking] = useState<Act>();
  const [busy, setBusy] = useState(false);
  const { id, name, phase } = environment;
  const act = async (what: Act) => {
    setBusy(true);
    problem('');
    try {
      if (what === 'delete') await asked('DELETE', `/environments/${id}`);
      else await asked('POST', `/environments/${id}/${what}`, {});
    } catch (error) {
      problem(told(error));
    } finally {
      setBusy(false);
    }
  };
  const question = asking && QUESTIONS[asking]?.(name);
  return (
    <>
      {acts(phase).map((what) => (
        <button
          key={what}
          type="button"
          class={LOOKS[what]}
          disabled={busy}
          aria-label={`${WORDS[what]} ${name}`}
          onClick={() => (QUESTIONS[what] ? setAsking(what) : void act(what))}
        >
          {WORDS[what]}
        </button>
      ))}
      {asking && question && (
        <Confirm
          title={`${WORDS[asking]} ${name}?`}
          text={question}
          act={WORDS[asking]}
          danger={asking === 'delete'}
          done={(yes) => {
            setAsking(undefined);
            if (yes) void act(asking);
          }}
        />
      )}
    </>
  );
}
