/** Lines over time, in panels that share the axis: what visitors waited above what was done about it. */

export interface Series {
  readonly name: string;
  readonly colour: string;
  /** By time; a value lasts until the next one where it is drawn as steps. NaN leaves a gap. */
  readonly points: readonly { readonly atMs: number; readonly value: number }[];
  readonly steps?: boolean;
}

export interface Panel {
  /** With its unit. */
  readonly title: string;
  readonly series: readonly Series[];
}

const WIDTH = 860;
const LEFT = 56;
const RIGHT = 16;
const TOP = 34;
const PANEL = 170;
const PLOT_TOP = 34;
const PLOT = 118;

/** From 0 to `lengthMs`; each panel has a scale of its own, from 0. */
export function timelineChart(title: string, lengthMs: number, panels: readonly Panel[]): string {
  const x = (atMs: number) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.min(atMs, lengthMs)) / lengthMs;
  const height = TOP + panels.length * PANEL + 20;
  const seconds = tickStep(lengthMs / 1_000, 10);
  const ticks = Array.from({ length: Math.floor(lengthMs / 1_000 / seconds) + 1 }, (_, index) => {
    const at = index * seconds;
    return `<text x="${x(at * 1_000).toFixed(1)}" y="${height - 10}" text-anchor="middle" font-size="11">${at} s</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12.5">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="16" y="22" font-size="15" font-weight="600">${title}</text>`,
    ...panels.map(
      (panel, index) =>
        `<g transform="translate(0 ${TOP + index * PANEL})">${drawPanel(panel, x, lengthMs)}</g>`,
    ),
    ...ticks,
    '</svg>\n',
  ].join('\n');
}

function drawPanel({ title, series }: Panel, x: (atMs: number) => number, lengthMs: number): string {
  const values = series.flatMap(({ points }) => points.map(({ value }) => value));
  const most = Math.max(...values.filter(Number.isFinite), Number.MIN_VALUE);
  const step = tickStep(most, 4);
  const top = Math.ceil(most / step) * step;
  const y = (value: number) => PLOT_TOP + PLOT * (1 - value / top);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => {
    const at = y(index * step).toFixed(1);
    return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="#ddd"/><text x="${LEFT - 6}" y="${at}" dy="4" text-anchor="end" font-size="11">${Number((index * step).toPrecision(6))}</text>`;
  });
  let legendX = LEFT + 12 + title.length * 7;
  const legend = series.map(({ name, colour }) => {
    const item = `<rect x="${legendX}" y="13" width="10" height="10" fill="${colour}"/><text x="${legendX + 15}" y="22">${name}</text>`;
    legendX += 34 + name.length * 6.8;
    return item;
  });
  const lines = series.map(
    (one) => `<path d="${path(one, x, y, lengthMs)}" fill="none" stroke="${one.colour}" stroke-width="1.8"/>`,
  );
  return [`<text x="${LEFT}" y="22" font-weight="600">${title}</text>`, ...legend, ...ticks, ...lines].join(
    '\n',
  );
}

function path(
  { points, steps = false }: Series,
  x: (atMs: number) => number,
  y: (value: number) => number,
  lengthMs: number,
): string {
  const drawn = points.map(({ atMs, value }, index) => {
    if (Number.isNaN(value)) return '';
    const [toX, toY] = [x(atMs).toFixed(1), y(value).toFixed(1)];
    const isFirst = Number.isNaN(points[index - 1]?.value ?? NaN);
    return isFirst ? `M${toX} ${toY}` : steps ? `H${toX}V${toY}` : `L${toX} ${toY}`;
  });
  return drawn.join('') + (steps && points.length > 0 ? `H${x(lengthMs).toFixed(1)}` : '');
}

/** 1, 2 or 5 times a power of ten, so that there are at most so many steps to `most`. */
function tickStep(most: number, steps: number): number {
  const power = 10 ** Math.floor(Math.log10(most / steps));
  return (
    [1, 2, 5].map((factor) => factor * power).find((step) => most / step <= steps * (1 + 1e-9)) ?? 10 * power
  );
}
