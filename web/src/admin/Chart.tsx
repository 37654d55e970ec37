// A small chart of the last hour: an axis, a line or two, and what they say where one points.

import { useRef, useState } from 'preact/hooks';
import { line, nearest, placed, reach, scaleOf } from './chart';
import { useTick } from './live';
import type { Point } from './wire';
import { clock, span } from './words';

/** Points come each 10 s; where they do not, the server was away. */
const GAP = 35_000;
/** How far time must go on before the line is drawn anew. */
const STEP = 5_000;

export interface Series {
  name: string;
  of: (point: Point) => number;
}

interface Props {
  title: string;
  points: readonly Point[];
  series: readonly Series[];
  unit: (value: number) => string;
  /** The axis ends no lower. */
  least?: number;
  base?: 10 | 1024;
}

export function Chart({ title, points, series, unit, least = 1, base = 10 }: Props) {
  const now = useTick((time) => Math.ceil(time / STEP) * STEP);
  const [index, setIndex] = useState<number>();
  const plot = useRef<HTMLDivElement>(null);
  const end = Math.max(now, Date.parse(points.at(-1)?.at ?? '') || 0);
  const times = points.map((point) => Date.parse(point.at));
  const back = reach(end - (times[0] ?? end));
  const begin = end - back;
  const columns = series.map(({ of }) => points.map(of));
  const scale = scaleOf(columns.flat(), least, base);
  const at = index === undefined ? points.length - 1 : Math.min(index, points.length - 1);
  const read = points[at];
  const said = read ? series.map(({ name, of }) => `${name} ${unit(of(read))}`).join(', ') : 'nothing yet';
  const point = (event: PointerEvent) => {
    const box = plot.current?.getBoundingClientRect();
    if (!box || box.width === 0) return;
    const found = nearest(times, begin, end, (event.clientX - box.left) / box.width);
    setIndex(found < 0 ? undefined : found);
  };
  const key = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -points.length, End: points.length };
    const step = steps[event.key];
    if (step === undefined || points.length === 0) return;
    event.preventDefault();
    setIndex(Math.min(points.length - 1, Math.max(0, at + step)));
  };
  return (
    <figure class="chart">
      <figcaption class="chart-head">
        <span class="chart-title">{title}</span>
        <span class="chart-when">{index !== undefined && read ? clock(read.at) : ''}</span>
        {series.map(({ name, of }, number) => (
          <span key={name} class={`chart-value chart-${number}`}>
            {series.length > 1 && <span class="chart-name">{name}</span>}
            <b>{read ? unit(of(read)) : '–'}</b>
          </span>
        ))}
      </figcaption>
      <div
        ref={plot}
        class="chart-plot"
        role="slider"
        tabIndex={0}
        aria-label={`${title}, over time`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, points.length - 1)}
        aria-valuenow={Math.max(0, at)}
        aria-valuetext={read ? `${clock(read.at)}: ${said}` : said}
        onPointerMove={point}
        onPointerDown={point}
        onPointerLeave={() => setIndex(undefined)}
        onBlur={() => setIndex(undefined)}
        onKeyDown={key}
      >
        <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
          <path class="chart-grid" d="M0 0H100M0 50H100M25 0V100M50 0V100M75 0V100" />
          <path class="chart-base" d="M0 100H100" />
          {columns.map((values, number) => (
            <path key={number} class={`chart-line chart-${number}`} d={line(times, values, begin, end, scale, GAP)} />
          ))}
          {index !== undefined && read && (
            <path class="chart-cursor" d={`M${placed(Date.parse(read.at), 0, begin, end, scale).x} 0V100`} />
          )}
        </svg>
        <span class="chart-top">{unit(scale.top)}</span>
        <span class="chart-mid">{unit(scale.top / 2)}</span>
      </div>
      <div class="chart-foot" aria-hidden="true">
        <span>{span(back / 1_000)} ago</span>
        <span>{back / 120_000} min</span>
        <span>now</span>
      </div>
    </figure>
  );
}
