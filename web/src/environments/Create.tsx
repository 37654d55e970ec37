import { useEffect, useState } from 'preact/hooks';
import { ask, asked, told } from '../api/http';
import type { Environment, Template } from '../api/model';
import { go, Link } from '../router';
import { useStore } from '../store';
import { Field, Icon, Problem, useDoing } from '../ui/parts';
import { Quota, Top } from './List';
import { environments, quota, read, user } from './state';
import { amount, atMost } from './words';

/** A name that is free: the template's, numbered if need be. */
function freeName(base: string, taken: ReadonlySet<string>): string {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}

export function Create() {
  const [templates, setTemplates] = useState<Template[]>();
  const [failed, setFailed] = useState('');
  const [chosen, setChosen] = useState<Template>();
  const [named, setNamed] = useState<string>();
  const list = useStore(environments);
  const share = useStore(quota);
  const who = useStore(user);
  const { busy, problem, fields, run } = useDoing();
  const load = () => {
    setFailed('');
    ask<{ templates: Template[] }>('GET', '/templates?limit=100').then(
      (answer) => setTemplates(answer.templates),
      (error: unknown) => setFailed(told(error)),
    );
  };
  useEffect(load, []);
  const taken = new Set(list?.map((one) => one.name));
  const name = named ?? (chosen ? freeName(chosen.name, taken) : '');
  const full = share !== undefined && share.environments >= share.limit;
  const unverified = who !== undefined && !who.isVerified;
  const submit = (event: Event) => {
    event.preventDefault();
    if (!chosen) return;
    void run(async () => {
      const made = await asked<Environment>('POST', '/environments', { name: name.trim(), templateId: chosen.id });
      await read();
      go(`/e/${made.id}`, 'replace');
    });
  };
  return (
    <div class="page">
      <Top />
      <main>
        <Link to="/environments" class="back">
          <Icon name="back" /> Environments
        </Link>
        <div class="page-head">
          <div>
            <h1>New environment</h1>
            <Quota />
            <p class="quota">
              {share?.each
                ? `Each may have up to ${amount(share.each.cpu)} CPU, ${amount(share.each.memory)} of memory and ${amount(share.each.storage)} of disk.`
                : '\u00a0'}
            </p>
          </div>
        </div>
        {full && (
          <p class="banner">
            Your plan’s limit is reached: {share.limit === 1 ? 'one environment' : `${share.limit} environments`}.
            Delete one before you create another.
          </p>
        )}
        {unverified && (
          <p class="banner">
            Verify your email first.{' '}
            <Link to={`/verify-email?${new URLSearchParams({ email: who.email, next: '/environments/new' })}`}>
              Enter the code
            </Link>
          </p>
        )}
        <form onSubmit={submit} noValidate>
          <fieldset class="templates" disabled={full || unverified}>
            <legend>From which template?</legend>
            {failed && (
              <div class="empty">
                <Problem text={failed} />
                <button type="button" class="button" onClick={load}>
                  Try again
                </button>
              </div>
            )}
            {!templates && !failed && <div class="card card-ghost" />}
            {templates?.map((template) => (
              <label key={template.id} class="template">
                <input
                  type="radio"
                  name="template"
                  value={template.name}
                  checked={chosen?.id === template.id}
                  onChange={() => setChosen(template)}
                />
                <span class="template-text">
                  <strong>{template.displayName}</strong>
                  <span>{template.description}</span>
                  <small>
                    {amount(atMost(template.defaultResourcesCpu, share?.each?.cpu))} CPU ·{' '}
                    {amount(atMost(template.defaultResourcesMemory, share?.each?.memory))} memory ·{' '}
                    {amount(atMost(template.defaultResourcesStorage, share?.each?.storage))} disk
                  </small>
                </span>
              </label>
            ))}
          </fieldset>
          <div class="create-foot">
            <Problem text={problem} />
            <Field label="Name" name="name" value={name} change={setNamed} error={fields.name} />
            <button type="submit" class="button button-main" disabled={busy || full || unverified || !chosen}>
              {busy ? 'Creating…' : 'Create'}
            </button>
          </div>
        </form>
      </main>
    </div>
  );
}
