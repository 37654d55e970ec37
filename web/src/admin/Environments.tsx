import { asked } from '../api/http';
import { describe } from '../environments/words';
import { Link } from '../router';
import { placeOf } from './Events';
import { List, usedOf, useFilters, useListed } from './lists';
import { useStore } from '../store';
import { shown } from './live';
import { Act, Ago, Filter, Filters } from './parts';
import type { AdminEnvironment, Pagination } from './wire';
import { count } from './words';

const EVERY = 4_000;

const STATUSES = ['RUNNING', 'STOPPED', 'ERROR', 'CREATING', 'PROVISIONING', 'INSTALLING', 'CONFIGURING', 'STOPPING', 'RESTARTING'];

const COLUMNS = [
  ['Environment'], ['User'], ['Cluster'], ['Status'], ['Awake'], ['Sessions', 'col-number'], ['Active', 'col-number'], ['Age', 'col-number'], ['Acts'],
] as const;

export function Environments() {
  const [filters, change] = useFilters();
  const clusters = useStore(shown).overview?.clusters ?? [];
  const { answer, problem, again } = useListed<{ environments: AdminEnvironment[]; pagination: Pagination }>('/admin/environments', filters, EVERY);
  const filter = (name: string) => ({ value: filters.get(name) ?? '', change: (value: string) => change(name, value) });
  return (
    <>
      <h1>Environments</h1>
      <Filters used={usedOf(filters)}>
        <Filter label="Search" {...filter('search')} />
        <Filter label="User" {...filter('user')} />
        <Filter label="Cluster" {...filter('cluster')} options={[['', 'Any'], ...clusters.map(({ id, name }) => [id, name] as const)]} />
        <Filter label="Status" {...filter('status')} options={[['', 'Any'], ...STATUSES.map((status) => [status, status.toLowerCase()] as const)]} />
        <Filter label="Awake" {...filter('awake')} options={[['', 'Any'], ['true', 'Awake'], ['false', 'Asleep']]} />
      </Filters>
      <List problem={problem} pagination={answer?.pagination} what="Environments" filters={filters} change={change} columns={COLUMNS}>
        {answer?.environments.map((one) => <Environment key={one.id} environment={one} again={again} />)}
      </List>
    </>
  );
}

function Environment({ environment, again }: { environment: AdminEnvironment; again: () => void }) {
  const { id, name, user, cluster, status, statusReason, awake, sessions } = environment;
  const { word, tone } = describe(status);
  const act = (what: string) => async () => {
    await asked('POST', `/admin/environments/${encodeURIComponent(id)}/${what}`, {});
    again();
  };
  return (
    <tr class={tone === 'bad' ? 'row-bad' : undefined}>
      <th scope="row" data-name="Environment">
        <Link to={placeOf(`environment:${id}`)} title={`Follow environment:${id}`}>
          {name}
        </Link>
        <small>{environment.template}</small>
      </th>
      <td data-name="User">
        <Link to={`/admin/users?${new URLSearchParams({ search: user.username })}`}>{user.username}</Link>
      </td>
      <td data-name="Cluster">{cluster.name}</td>
      <td data-name="Status">
        <span class={`status status-${tone}`}>{word}</span>
        {statusReason && <small class={tone === 'bad' ? 'note-error' : undefined}>{statusReason}</small>}
      </td>
      <td data-name="Awake">{awake ? 'Awake' : <span class="nothing">Asleep</span>}</td>
      <td data-name="Sessions" class="col-number">
        {sessions > 0 ? <Link to={`/admin/sessions?${new URLSearchParams({ environment: id })}`}>{count(sessions)}</Link> : <span class="nothing">0</span>}
      </td>
      <td data-name="Active" class="col-number">
        <Ago at={environment.lastActivityAt} ago />
      </td>
      <td data-name="Age" class="col-number">
        <Ago at={environment.createdAt} />
      </td>
      <td class="acts">
        {status === 'STOPPED' || status === 'ERROR' ? (
          <Act word="Start" what={name} text={`It starts as if ${user.username} had started it.`} run={act('start')} after={`${name} starts.`} />
        ) : null}
        {status === 'RUNNING' || status === 'ERROR' ? (
          <>
            <Act word="Restart" what={name} text={`All programs and terminals of ${user.username} in it end, and it starts again. Its files stay.`}
              run={act('restart')} after={`${name} restarts.`} />
            <Act word="Stop" what={name} danger text={`All programs and terminals of ${user.username} in it end. Its files stay.`}
              run={act('stop')} after={`${name} stops.`} />
          </>
        ) : null}
      </td>
    </tr>
  );
}
