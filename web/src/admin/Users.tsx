import { asked } from '../api/http';
import { user as self } from '../environments/state';
import { Link } from '../router';
import { useStore } from '../store';
import { placeOf } from './Events';
import { List, usedOf, useFilters, useListed } from './lists';
import { Act, Ago, Filter, Filters } from './parts';
import type { Account, Pagination } from './wire';
import { count } from './words';

const EVERY = 10_000;

const COLUMNS = [
  ['User'], ['Role'], ['Plan'], ['State'], ['Environments', 'col-number'], ['Sign-ins', 'col-number'], ['Seen', 'col-number'], ['Age', 'col-number'], ['Acts'],
] as const;

export function Users() {
  const [filters, change] = useFilters();
  const { answer, problem, again } = useListed<{ users: Account[]; pagination: Pagination }>('/admin/users', filters, EVERY);
  const filter = (name: string) => ({ value: filters.get(name) ?? '', change: (value: string) => change(name, value) });
  return (
    <>
      <h1>Users</h1>
      <Filters used={usedOf(filters)}>
        <Filter label="Search" {...filter('search')} />
        <Filter label="Role" {...filter('role')} options={[['', 'Any'], ['USER', 'User'], ['SUPPORT', 'Support'], ['ADMIN', 'Admin']]} />
        <Filter label="Plan" {...filter('plan')} options={[['', 'Any'], ['FREE', 'Free'], ['STARTER', 'Starter'], ['PRO', 'Pro'], ['ENTERPRISE', 'Enterprise']]} />
        <Filter label="State" {...filter('active')} options={[['', 'Any'], ['true', 'Active'], ['false', 'Suspended']]} />
      </Filters>
      <List problem={problem} pagination={answer?.pagination} what="Users" filters={filters} change={change} columns={COLUMNS}>
        {answer?.users.map((one) => <User key={one.id} account={one} again={again} />)}
      </List>
    </>
  );
}

function User({ account, again }: { account: Account; again: () => void }) {
  const me = useStore(self);
  const { id, username, isActive } = account;
  const locked = account.lockedAddresses > 0 || Boolean(account.lockedUntil);
  const act = (what: string) => async (reason: string) => {
    await asked('POST', `/admin/users/${encodeURIComponent(id)}/${what}`, reason ? { reason } : {});
    again();
  };
  return (
    <tr class={isActive ? (locked ? 'row-busy' : undefined) : 'row-idle'}>
      <th scope="row" data-name="User">
        <Link to={placeOf(`user:${id}`)} title={`Follow user:${id}`}>
          {username}
        </Link>
        <small>{account.email}</small>
      </th>
      <td data-name="Role">{account.role.toLowerCase()}</td>
      <td data-name="Plan">{account.subscriptionPlan.toLowerCase()}</td>
      <td data-name="State">
        <span class={`status status-${isActive ? 'good' : 'idle'}`}>{isActive ? 'Active' : 'Suspended'}</span>
        {locked && (
          <small class="waits-long">
            {account.lockedUntil ? 'locked as a whole' : `locked for ${count(account.lockedAddresses)} ${account.lockedAddresses === 1 ? 'address' : 'addresses'}`}
          </small>
        )}
        {!account.isVerified && <small>email not verified</small>}
      </td>
      <td data-name="Environments" class="col-number">
        {account.environmentCount > 0 ? (
          <Link to={`/admin/environments?${new URLSearchParams({ user: username })}`}>{count(account.environmentCount)}</Link>
        ) : (
          <span class="nothing">0</span>
        )}
      </td>
      <td data-name="Sign-ins" class="col-number">{count(account.sessionCount)}</td>
      <td data-name="Seen" class="col-number">
        <Ago at={account.lastSeenAt} ago />
      </td>
      <td data-name="Age" class="col-number">
        <Ago at={account.createdAt} />
      </td>
      <td class="acts">
        <Link to={`/admin/audit?${new URLSearchParams({ actor: username })}`} class="act act-link" aria-label={`Audit of ${username}`}>
          Audit
        </Link>
        {locked && (
          <Act word="Unlock" what={username} text="Wrong passwords so far are forgotten, and everybody may try again from everywhere." run={act('unlock')} after={`${username} is unlocked.`} />
        )}
        {isActive ? (
          <Act word="Suspend" what={username} danger reason disabled={me?.id === id}
            text="All sign-ins end and connections close at once. Environments stay as they are." run={act('suspend')} after={`${username} is suspended.`} />
        ) : (
          <Act word="Activate" what={username} text="The account may be used again." run={act('activate')} after={`${username} is active again.`} />
        )}
      </td>
    </tr>
  );
}
