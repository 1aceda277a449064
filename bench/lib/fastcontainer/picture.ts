/**
 * The paper's figure: response time against the number of the request, with the moment of scaling. Every so many requests one
 * is drawn, in the colour of the container that answered; the moving mean and the means before and after are of all. Means,
 * because a CPU quota makes two kinds of requests, those that wait for its next period and those that do not: a median
 * would show one kind alone.
 */
import { percentile } from '../report.ts';
import type { Run } from './experiment.ts';
import { mean, partsOf } from './figures.ts';
import { FAILED, type Visits } from './load.ts';

const WIDTH = 860;
const PANEL = 320;
const LEFT = 60;
const RIGHT = 110;
const TOP = 62;
const PLOT_TOP = 30;
const PLOT = 236;
const RIGHT_EDGE = WIDTH - RIGHT;

const CONTAINERS = ['#8fb3d9', '#f2b98a'] as const;
const MEAN = '#1f3b5c';
const MOMENT = '#c0392b';

/** Requests drawn. */
const POINTS = 3_000;
/** Places where the moving mean is taken, and the fewest requests that each is of: less would show periods of the quota. */
const MEANS = 250;
const MEAN_OF = 100;
/** Two labels nearer than this could not be read. */
const LABEL_GAP = 15;
/** So few answers are drawn at the upper edge that the others fill the picture. */
const SHOWN = 0.995;

/** A panel for each run, on one scale; the first is the upper one. */
export function picture(title: string, runs: readonly Run[]): string {
  const top = niceTop(
    Math.max(...runs.map(({ visits }) => percentile([...visits.tookMs.toSorted()], SHOWN))),
  );
  const height = TOP + runs.length * PANEL + 8;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12.5">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="16" y="24" font-size="15" font-weight="600">${title}</text>`,
    legend(runs.some(({ visits }) => visits.answerers.length > 1)),
    ...runs.map((run, index) => `<g transform="translate(0 ${TOP + index * PANEL})">${panel(run, top)}</g>`),
    '</svg>\n',
  ].join('\n');
}

function legend(hasTwoContainers: boolean): string {
  const items = [
    [CONTAINERS[0], hasTwoContainers ? 'first container' : 'a request'],
    ...(hasTwoContainers ? [[CONTAINERS[1], 'second container'] as const] : []),
    [MEAN, 'moving mean'],
    [MOMENT, 'the instruction, and the means before and after'],
  ] as const;
  let x = LEFT;
  return items
    .map(([colour, name]) => {
      const item = `<rect x="${x}" y="38" width="10" height="10" fill="${colour}"/><text x="${x + 15}" y="47">${name}</text>`;
      x += 40 + name.length * 7;
      return item;
    })
    .join('');
}

function panel(run: Run, top: number): string {
  const { name, visits, instructedMs } = run;
  const count = visits.tookMs.length;
  const x = (number: number) => LEFT + ((RIGHT_EDGE - LEFT) * number) / count;
  const y = (ms: number) => PLOT_TOP + PLOT * (1 - Math.min(ms, top) / top);
  const at = (number: number, ms: number) => `${x(number).toFixed(1)} ${y(ms).toFixed(1)}`;

  const moment = firstAfter(visits, instructedMs);
  const { before, after } = partsOf(run);
  const [meanBefore, meanAfter] = [mean(before), mean(after)];
  const gap = LABEL_GAP * Math.sign(meanAfter - meanBefore || -1);
  // Where they are too near, the label of what was is moved away from the label of what is.
  const labelY = Math.abs(y(meanBefore) - y(meanAfter)) < LABEL_GAP ? y(meanAfter) + gap : y(meanBefore);
  const momentX = x(moment).toFixed(1);
  return [
    `<text x="${LEFT}" y="18" font-weight="600">${name}</text>`,
    ...grid(top, y),
    ...ticks(count, x),
    ...CONTAINERS.map((colour, container) => dots(visits, container, colour, at)),
    `<path d="M${movingMean(visits.tookMs)
      .map(({ number, ms }) => at(number, ms))
      .join('L')}" fill="none" stroke="${MEAN}" stroke-width="1.8"/>`,
    level(x(0), y(meanBefore), `before ${meanBefore.toFixed(1)} ms`, labelY),
    level(x(moment), y(meanAfter), `after ${meanAfter.toFixed(1)} ms`, y(meanAfter)),
    `<line x1="${momentX}" x2="${momentX}" y1="${PLOT_TOP}" y2="${PLOT_TOP + PLOT}" stroke="${MOMENT}" stroke-width="1.5"/>`,
  ].join('\n');
}

/** A horizontal line to the right edge, and its label beside it. */
function level(fromX: number, atY: number, label: string, labelY: number): string {
  return (
    `<line x1="${fromX.toFixed(1)}" x2="${RIGHT_EDGE}" y1="${atY.toFixed(1)}" y2="${atY.toFixed(1)}" stroke="${MOMENT}" stroke-dasharray="5 3"/>` +
    `<text x="${RIGHT_EDGE + 6}" y="${(labelY + 4).toFixed(1)}" fill="${MOMENT}">${label}</text>`
  );
}

function grid(top: number, y: (ms: number) => number): string[] {
  return Array.from({ length: 5 }, (_, index) => {
    const ms = (top * index) / 4;
    const unit = index === 4 ? ' ms' : '';
    return `<line x1="${LEFT}" x2="${RIGHT_EDGE}" y1="${y(ms)}" y2="${y(ms)}" stroke="#ddd"/><text x="${LEFT - 6}" y="${y(ms) + 4}" text-anchor="end" font-size="11">${ms}${unit}</text>`;
  });
}

function ticks(count: number, x: (number: number) => number): string[] {
  return Array.from({ length: 5 }, (_, index) => {
    const number = Math.round((count * index) / 4);
    const label = index === 4 ? `request ${number.toLocaleString('en')}` : number.toLocaleString('en');
    return `<text x="${x(number).toFixed(1)}" y="${PLOT_TOP + PLOT + 16}" text-anchor="middle" font-size="11">${label}</text>`;
  });
}

/** One path for all: a line of no length with round ends is a dot. */
function dots(
  { tookMs, by }: Visits,
  container: number,
  colour: string,
  at: (number: number, ms: number) => string,
): string {
  const step = Math.max(1, Math.ceil(tookMs.length / POINTS));
  let path = '';
  for (let number = 0; number < tookMs.length; number += step) {
    const answerer = by[number] ?? FAILED;
    if (answerer === container) path += `M${at(number, tookMs[number] ?? 0)}h0`;
  }
  return path === ''
    ? ''
    : `<path d="${path}" stroke="${colour}" stroke-width="2.6" stroke-linecap="round" fill="none"/>`;
}

/** The mean of neighbouring requests, in windows that follow one another. */
export function movingMean(tookMs: Float64Array): { number: number; ms: number }[] {
  const width = Math.max(MEAN_OF, Math.ceil(tookMs.length / MEANS));
  return Array.from({ length: Math.ceil(tookMs.length / width) }, (_, index) => {
    const window = tookMs.slice(index * width, (index + 1) * width);
    return { number: index * width + window.length / 2, ms: mean([...window]) };
  });
}

/** The number of the first request that began at or after a moment. */
function firstAfter({ beganMs }: Visits, atMs: number): number {
  const number = beganMs.findIndex((began) => began >= atMs);
  return number < 0 ? beganMs.length : number;
}

/** The next 4, 8, 12, 20 or 40 times a power of ten, so that quarters of it are round. */
function niceTop(ms: number): number {
  const power = 10 ** Math.floor(Math.log10(ms / 4));
  return ([4, 8, 12, 20, 40].map((factor) => factor * power).find((one) => one >= ms) ?? ms) || 4;
}
