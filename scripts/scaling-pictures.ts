/** The pictures of docs/scaling.md: what each policy costs against whom it makes wait, and who follows a crowd how fast. */
import type { Contender, Result } from '../test/simulation/scaling/compare.ts';
import type { Decision } from '../test/simulation/scaling/world.ts';

const COLOURS: Readonly<Record<Contender['kind'], string>> = {
  mayfly: '#e45756',
  concurrency: '#4c78a8',
  cpu: '#54a24b',
  fixed: '#999999',
};
const NAMES: Readonly<Record<Contender['kind'], string>> = {
  mayfly: 'Mayfly',
  concurrency: 'concurrency target (× 0.4, 1, 2, 4)',
  cpu: 'CPU target (50, 70, 90%)',
  fixed: 'fixed size (1 … 16)',
};
const KINDS = ['mayfly', 'concurrency', 'cpu', 'fixed'] as const;

export interface Panel {
  readonly title: string;
  readonly results: readonly Result[];
}

const PANEL = { width: 270, height: 200, left: 44, top: 30, right: 14, bottom: 36 };
const COLUMNS = 3;
/** Shares below that are drawn at it. */
const LEAST_LATE = 0.003;

/** A panel for each traffic: container-seconds to the right, late requests upwards; better is left and below. */
export function frontierPicture(panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / COLUMNS);
  const cells = panels.map((panel, index) => {
    const x = (index % COLUMNS) * PANEL.width;
    const y = 46 + Math.floor(index / COLUMNS) * PANEL.height;
    return `<g transform="translate(${x} ${y})">${frontierPanel(panel)}</g>`;
  });
  return svg(COLUMNS * PANEL.width, 46 + rows * PANEL.height, [
    legend(KINDS.map((kind) => [NAMES[kind], COLOURS[kind]])),
    ...cells,
  ]);
}

function frontierPanel({ title, results }: Panel): string {
  const { width, height, left, top, right, bottom } = PANEL;
  const ours = results.find(({ contender }) => contender.kind === 'mayfly')?.containerSeconds ?? 1;
  // What costs far more than ours is beside the point.
  const most = 2.6 * ours;
  const x = (seconds: number) => left + ((width - left - right) * seconds) / most;
  const y = (late: number) => {
    const share = Math.log(Math.max(late, LEAST_LATE) / LEAST_LATE) / Math.log(1 / LEAST_LATE);
    return height - bottom - (height - top - bottom) * share;
  };
  const shown = results.filter(({ containerSeconds }) => containerSeconds <= most);
  const lines = KINDS.filter((kind) => kind !== 'mayfly').map((kind) => {
    const points = shown
      .filter(({ contender }) => contender.kind === kind)
      .toSorted((a, b) => a.containerSeconds - b.containerSeconds)
      .map((one) => `${x(one.containerSeconds).toFixed(1)},${y(one.late).toFixed(1)}`);
    return kind === 'fixed'
      ? `<polyline points="${points.join(' ')}" fill="none" stroke="${COLOURS[kind]}" stroke-opacity="0.5"/>`
      : '';
  });
  const dots = shown.map(({ contender: { name, kind }, containerSeconds, late }) => {
    const text = `${name}: ${(100 * late).toFixed(2)}% late, ${containerSeconds.toFixed(0)} container-seconds`;
    const radius = kind === 'mayfly' ? 6 : 3.5;
    return `<circle cx="${x(containerSeconds).toFixed(1)}" cy="${y(late).toFixed(1)}" r="${radius}" fill="${COLOURS[kind]}"><title>${text}</title></circle>`;
  });
  const ticks = [0.01, 0.1, 1].map(
    (late) =>
      `<line x1="${left}" x2="${width - right}" y1="${y(late).toFixed(1)}" y2="${y(late).toFixed(1)}" stroke="#ddd"/><text x="${left - 6}" y="${(y(late) + 4).toFixed(1)}" text-anchor="end" font-size="11">${100 * late}%</text>`,
  );
  const axis = `<line x1="${left}" x2="${width - right}" y1="${height - bottom}" y2="${height - bottom}" stroke="#888"/><text x="${left}" y="${height - bottom + 14}" font-size="11">0</text><text x="${width - right}" y="${height - bottom + 14}" text-anchor="end" font-size="11">${(most / 1_000).toFixed(0)}k container-s</text>`;
  return [
    `<text x="${left}" y="${top - 12}" font-weight="600">${title}</text>`,
    ...ticks,
    axis,
    ...lines,
    ...dots,
  ].join('');
}

export interface Track {
  readonly kind: Contender['kind'];
  readonly initial: number;
  readonly decisions: readonly Decision[];
}

/** Containers over time, by policy, above what the traffic needs. */
export function timelinePicture(
  title: string,
  lengthMs: number,
  needed: (atMs: number) => number,
  tracks: readonly Track[],
): string {
  const width = 860;
  const height = 300;
  const left = 40;
  const bottom = 34;
  const top = 66;
  const most = Math.max(...tracks.flatMap(({ decisions }) => decisions.map(({ replicas }) => replicas)), 1);
  const x = (atMs: number) => (left + ((width - left - 16) * atMs) / lengthMs).toFixed(1);
  const y = (count: number) => (height - bottom - ((height - top - bottom) * count) / most).toFixed(1);
  const steps = Array.from({ length: 601 }, (_, index) => (index * lengthMs) / 600);
  const area = `<polygon points="${x(0)},${y(0)} ${steps.map((atMs) => `${x(atMs)},${y(needed(atMs))}`).join(' ')} ${x(lengthMs)},${y(0)}" fill="#eeca3b" fill-opacity="0.45"/>`;
  const lines = tracks.map(({ kind, initial, decisions }) => {
    let path = `M${x(0)} ${y(initial)}`;
    for (const { atMs, replicas } of decisions) if (atMs <= lengthMs) path += `H${x(atMs)}V${y(replicas)}`;
    return `<path d="${path}H${x(lengthMs)}" fill="none" stroke="${COLOURS[kind]}" stroke-width="${kind === 'mayfly' ? 2.2 : 1.2}"/>`;
  });
  const minutes = Array.from({ length: Math.floor(lengthMs / 120_000) + 1 }, (_, index) => 2 * index).map(
    (minute) =>
      `<text x="${x(minute * 60_000)}" y="${height - bottom + 16}" text-anchor="middle" font-size="11">${minute} min</text>`,
  );
  const counts = [0, 5, 10, 15, 20]
    .filter((count) => count <= most)
    .map(
      (count) =>
        `<line x1="${left}" x2="${width - 16}" y1="${y(count)}" y2="${y(count)}" stroke="#ddd"/><text x="${left - 6}" y="${y(count)}" dy="4" text-anchor="end" font-size="11">${count}</text>`,
    );
  const names: [string, string][] = [
    ['needed at 65% CPU', '#eeca3b'],
    ...tracks.map(({ kind }): [string, string] => [NAMES[kind].replace(/ \(.*/, ''), COLOURS[kind]]),
  ];
  return svg(width, height, [
    `<text x="16" y="22" font-size="15" font-weight="600">${title}</text>`,
    `<g transform="translate(0 24)">${legend(names)}</g>`,
    ...counts,
    ...minutes,
    area,
    ...lines,
  ]);
}

function legend(names: readonly (readonly [string, string])[]): string {
  let x = 16;
  return names
    .map(([name, colour]) => {
      const item = `<rect x="${x}" y="12" width="10" height="10" fill="${colour}"/><text x="${x + 15}" y="21">${name}</text>`;
      x += 34 + name.length * 6.6;
      return item;
    })
    .join('');
}

function svg(width: number, height: number, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12.5">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}
