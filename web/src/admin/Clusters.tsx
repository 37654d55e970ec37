import { Link } from '../router';
import { useStore } from '../store';
import { shown } from './live';
import { Ago, Fact, Facts, State } from './parts';
import { placeOf } from './Events';
import type { ClusterHealth } from './wire';
import { count, milliseconds, toneOf } from './words';

/** A watch that is further behind than this is late. */
const LATE_MS = 10_000;

export function Clusters() {
  const clusters = useStore(shown).overview?.clusters;
  return (
    <>
      <h1>Clusters</h1>
      {clusters?.length === 0 && <p class="quiet">There is none yet.</p>}
      <div class="health">
        {clusters?.map((one) => <Cluster key={one.id} cluster={one} />) ?? <div class="tile tile-ghost" />}
      </div>
    </>
  );
}

function Cluster({ cluster }: { cluster: ClusterHealth }) {
  const tone = toneOf(cluster.state);
  const late = (cluster.watchLagMs ?? 0) > LATE_MS;
  return (
    <article class={`tile tile-${tone}`} aria-label={cluster.name}>
      <header class="tile-head">
        <h2>{cluster.name}</h2>
        <State word={cluster.state} />
      </header>
      <p class="tile-message" title={cluster.message}>
        {cluster.message}
      </p>
      <Facts>
        <Fact name="Environments">
          <Link to={`/admin/environments?${new URLSearchParams({ cluster: cluster.id })}`}>{count(cluster.environments)}</Link>
        </Fact>
        <Fact name="Exec channels">{count(cluster.channels)}</Fact>
        <Fact name="Watch lag" tone={late ? 'busy' : undefined}>{cluster.watchLagMs === undefined ? '–' : milliseconds(cluster.watchLagMs)}</Fact>
        <Fact name="Relists">{count(cluster.relists)}</Fact>
        <Fact name="Errors" tone={cluster.errors > 0 ? 'busy' : undefined}>{count(cluster.errors)}</Fact>
        <Fact name="Last check">
          <Ago at={cluster.checkedAt} ago />
        </Fact>
        <Fact name="It took">{cluster.tookMs === undefined ? '–' : milliseconds(cluster.tookMs)}</Fact>
        <Fact name="Its actor">
          <Link to={placeOf(`cluster:${cluster.id}`)}>Follow</Link>
        </Fact>
      </Facts>
    </article>
  );
}
