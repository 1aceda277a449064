/** What benches reckon from what they saw: windows, the moment from which waiting is steady, containers by time. */
import { describe, expect, it } from 'vitest';
import { arrivals, byPhase, calmness, lengthOf, rateAt, type Phase } from '../../bench/lib/calm-plan.ts';
import { figuresOf, readyOf } from '../../bench/lib/crowd-run.ts';
import { timelineChart } from '../../bench/lib/timeline.ts';
import { settledAtMs, steadyP95, windowsOf, type Visit, type Window } from '../../bench/lib/windows.ts';

const visit = (beganMs: number, endedMs: number, by = 'a'): Visit => ({ beganMs, endedMs, status: 200, by });
const windows = (...p95s: number[]): Window[] =>
  p95s.map((p95Ms, index) => ({ fromMs: index * 100, toMs: (index + 1) * 100, p95Ms }));

describe('waiting over time', () => {
  it('is that of the visits that ended in each window; one without any has none', () => {
    const seen = windowsOf([visit(0, 50), visit(20, 90), visit(0, 250), visit(0, 999)], {
      everyMs: 100,
      lengthMs: 300,
    });
    expect(seen).toEqual([
      { fromMs: 0, toMs: 100, p95Ms: 70 },
      { fromMs: 100, toMs: 200, p95Ms: NaN },
      { fromMs: 200, toMs: 300, p95Ms: 250 },
    ]);
  });

  it('is steady at the median of the last third', () => {
    expect(steadyP95(windows(900, 800, 700, 600, 500, 400, 30, 10, 20))).toBe(20);
    expect(() => steadyP95(windows(900, 800, NaN))).toThrow('nobody was answered');
  });

  it('has settled with the first of three windows in a row that are good', () => {
    expect(settledAtMs(windows(90, 20, 20, 90, 20, 20, 20), 30)).toBe(500);
    expect(settledAtMs(windows(90, 20, 20, NaN, 20, 20), 30)).toBeUndefined();
  });
});

describe('a crowd', () => {
  const event = (atMs: number, type: string, containerId: string | null, figures = {}) => ({
    ...{ atMs: 1_000 + atMs, type, containerId, figures, reason: `because of ${type}` },
  });

  it('is recognised with the first decision that load made, and served by two when a second one has answered', () => {
    const visits = [
      visit(0, 80),
      visit(0, 90),
      { ...visit(0, 95, 'no answer'), status: 0 },
      visit(0, 300, 'b'),
    ];
    const events = [
      event(1, 'container.starting', 'ctr_1'),
      event(70, 'scale.decided', null, { by: 'instruction' }),
      event(210, 'scale.decided', null, { by: 'load' }),
      event(220, 'container.starting', 'ctr_2'),
      event(230, 'container.ready', 'ctr_1'),
      event(260, 'container.ready', 'ctr_2'),
      event(400, 'container.failed', 'ctr_2'),
      event(900, 'scale.decided', null, { by: 'load' }),
    ];
    expect(figuresOf(visits, events, 1_000)).toEqual({
      firstAnswerMs: 80,
      recognisedMs: 210,
      secondReadyMs: 260,
      secondServingMs: 300,
      containersStarted: 2,
      decisions: 2,
      containersFailed: ['because of container.failed'],
    });
  });

  it('of which nothing was seen has no figures', () => {
    expect(figuresOf([], [], 0)).toMatchObject({ firstAnswerMs: undefined, recognisedMs: undefined });
  });

  it('is served by containers from when they are ready until they go', () => {
    const events = [
      event(10, 'container.ready', 'ctr_1'),
      event(20, 'container.ready', 'ctr_2'),
      event(50, 'container.draining', 'ctr_1'),
      event(60, 'container.stopped', 'ctr_1'),
      event(70, 'container.paused', 'ctr_2'),
    ];
    expect(readyOf(events, 1_000)).toEqual([
      { atMs: 0, value: 0 },
      { atMs: 10, value: 1 },
      { atMs: 20, value: 2 },
      { atMs: 50, value: 1 },
      { atMs: 70, value: 0 },
    ]);
  });
});

describe('a load that changes', () => {
  const phases: readonly Phase[] = [
    { name: 'few', lengthMs: 10_000, perSecond: 10 },
    { name: 'swings', lengthMs: 20_000, perSecond: 50, swing: { by: 40, periodMs: 4_000 } },
  ];
  const decision = (atMs: number, from: number, to: number) => ({ atMs, from, to });

  it('is as strong as its phase says, and nothing when all are over', () => {
    expect(lengthOf(phases)).toBe(30_000);
    expect([0, 9_999, 11_000, 13_000, 30_000].map((atMs) => rateAt(phases, atMs))).toEqual([
      10, 10, 90, 10, 0,
    ]);
  });

  it('comes by chance, the same with the same seed, and about as often as it is to', () => {
    const came = arrivals(phases, 7);
    expect(came).toEqual(arrivals(phases, 7));
    expect(came).not.toEqual(arrivals(phases, 8));
    expect(came).toEqual(came.toSorted((a, b) => a - b));
    const few = came.filter((atMs) => atMs < 10_000).length;
    expect(few).toBeGreaterThan(70);
    expect(few).toBeLessThan(130);
    expect(came.length - few).toBeGreaterThan(850);
    expect(came.length - few).toBeLessThan(1_150);
  });

  it('is answered calmly where sizes are found at the beginning of a phase and then stay', () => {
    const decisions = [decision(500, 1, 2), decision(11_000, 2, 4), decision(12_500, 4, 5)];
    expect(calmness(decisions, phases, 5_000)).toEqual({
      decisions: 3,
      afterSettling: 0,
      mostInACooldown: 0,
      reversals: 0,
    });
    expect([...byPhase(decisions, phases)]).toEqual([
      ['few', 1],
      ['swings', 2],
    ]);
  });

  it('is not answered calmly by changes that are taken back, or that come in a row later on', () => {
    const decisions = [
      decision(16_000, 1, 2),
      decision(17_000, 2, 1),
      decision(20_900, 1, 2),
      decision(27_000, 2, 3),
    ];
    expect(calmness(decisions, phases, 5_000)).toMatchObject({
      afterSettling: 4,
      mostInACooldown: 3,
      reversals: 2,
    });
  });
});

it('a timeline has a path for each series, with a gap where there is nothing, and steps to the end', () => {
  const points = [
    { atMs: 0, value: 1 },
    { atMs: 500, value: NaN },
    { atMs: 1_000, value: 2 },
  ];
  const svg = timelineChart('t', 2_000, [
    { title: 'p95 (ms)', series: [{ name: 'one', colour: '#000', points }] },
    { title: 'containers', series: [{ name: 'two', colour: '#fff', steps: true, points: points.slice(2) }] },
  ]);
  const [gap, steps] = [...svg.matchAll(/<path d="([^"]*)"/g)].map(([, path]) => path);
  expect(gap?.match(/M/g)).toHaveLength(2);
  expect(steps).toMatch(/^M\S+ \S+H844.0$/);
});
