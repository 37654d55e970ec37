import { useState } from 'preact/hooks';
import { told } from '../api/http';
import { Problem } from '../ui/parts';
import { downloaded } from './download';
import { List, usedOf, useFilters, useListed } from './lists';
import { Filter, Filters } from './parts';
import type { AuditRecord, Pagination } from './wire';
import { moment } from './words';

const EVERY = 5_000;

const COLUMNS = [['When'], ['Who'], ['Did'], ['To'], ['Address'], ['Details']] as const;

export function Audit() {
  const [filters, change] = useFilters();
  const [failed, setFailed] = useState('');
  const asked = utc(filters);
  const { answer, problem } = useListed<{ entries: AuditRecord[]; pagination: Pagination }>('/admin/audit', asked, EVERY);
  const filter = (name: string) => ({ value: filters.get(name) ?? '', change: (value: string) => change(name, value) });
  const save = async (format: 'csv' | 'ndjson') => {
    setFailed('');
    const query = new URLSearchParams(asked);
    query.delete('page');
    query.set('format', format);
    try {
      await downloaded(`/admin/audit/export?${query}`, `audit.${format}`);
    } catch (error) {
      setFailed(told(error));
    }
  };
  return (
    <>
      <div class="head-row">
        <h1>Audit log</h1>
        <span class="row">
          <button type="button" class="act act-plain" onClick={() => void save('csv')}>
            Export CSV
          </button>
          <button type="button" class="act act-plain" onClick={() => void save('ndjson')}>
            Export NDJSON
          </button>
        </span>
      </div>
      <Problem text={failed} />
      <Filters used={usedOf(filters)}>
        <Filter label="Search" {...filter('search')} />
        <Filter label="Who" hint="a user name, or an id" {...filter('actor')} />
        <Filter label="Did" hint="admin. for all of them" {...filter('action')} />
        <Filter label="To" hint="an id, or a kind" {...filter('target')} />
        <Filter label="From" type="datetime-local" {...filter('from')} />
        <Filter label="Before" type="datetime-local" {...filter('to')} />
      </Filters>
      <List problem={problem} pagination={answer?.pagination} what="Audit records" filters={filters} change={change} columns={COLUMNS}>
        {answer?.entries.map((one) => <Entry key={one.id} entry={one} />)}
      </List>
    </>
  );
}

/** The times that somebody chose are this device's; the server is asked by its own. */
function utc(filters: URLSearchParams): URLSearchParams {
  const asked = new URLSearchParams(filters);
  for (const name of ['from', 'to']) {
    const chosen = asked.get(name);
    if (!chosen) continue;
    const time = new Date(chosen);
    if (Number.isNaN(time.getTime())) asked.delete(name);
    else asked.set(name, time.toISOString());
  }
  return asked;
}

function Entry({ entry }: { entry: AuditRecord }) {
  const { at, action, actorName, actorId, targetType, targetId, ip, details } = entry;
  return (
    <tr>
      <td data-name="When" class="audit-when">
        <time dateTime={at}>{moment(at)}</time>
      </td>
      <td data-name="Who" title={actorId}>{actorName ?? actorId ?? <span class="nothing">–</span>}</td>
      <td data-name="Did">
        <code>{action}</code>
      </td>
      <td data-name="To">
        {targetId ? (
          <>
            {targetType && `${targetType} `}
            <code title={targetId}>{targetId}</code>
          </>
        ) : (
          <span class="nothing">–</span>
        )}
      </td>
      <td data-name="Address">{ip ? <code>{ip}</code> : <span class="nothing">–</span>}</td>
      <td data-name="Details" class="audit-details">
        {details && Object.keys(details).length > 0 ? (
          Object.entries(details).map(([name, value]) => (
            <span key={name} class="detail">
              <span class="detail-name">{name}</span> {typeof value === 'string' ? value : JSON.stringify(value)}
            </span>
          ))
        ) : (
          <span class="nothing">–</span>
        )}
      </td>
    </tr>
  );
}
