/**
 * What a warm request costs: Mayfly, with its routes and all its accounting, beside the proxies that people compare it
 * with. The proxy under test has a core of its own; wrk and the upstream share another. Peers take turns in rounds; figures
 * are medians over the rounds. CPU time of the proxy's processes is the one to trust: how many requests a second are
 * served also depends on what the load generator can do.
 */
import { barsOf, ratiosOf, rowsOf, tableOf, type Result } from './lib/warm/figures.ts';
import { measure, peersOf, type Plan } from './lib/warm/measure.ts';
import { openBed } from './lib/warm/bed.ts';
import { chooseScenarios, PEERS, SCENARIOS, type Scenario } from './lib/warm/scenarios.ts';
import { openWorkshop, type Workshop } from './lib/warm/workshop.ts';
import { barChart } from './lib/bars.ts';
import { versionOf } from './lib/programs.ts';
import { publish } from './lib/report.ts';
import type { BenchOptions } from './main.ts';

const FULL: Plan = {
  rounds: 7,
  seconds: 2,
  warmUpSeconds: 0.5,
  jitWarmUpSeconds: 3,
  latestStartMs: Number.POSITIVE_INFINITY,
};
/** Its rounds end in time for all to be over within 50 s of the start of this process. */
const QUICK: Plan = { ...FULL, seconds: 0.3, warmUpSeconds: 0.1, jitWarmUpSeconds: 1, latestStartMs: 43_000 };

export async function run({ quick, json, only }: BenchOptions): Promise<void> {
  const scenarios = chooseScenarios({ quick, only });
  if (scenarios.length === 0) {
    const names = SCENARIOS.map(({ name }) => name).join(', ');
    process.stderr.write(`warm has no scenario ${only ?? ''}; there are ${names}\n`);
    process.exitCode = 2;
    return;
  }
  const plan = quick ? QUICK : FULL;
  const workshop = await openWorkshop();
  try {
    const results = await measureAll(workshop, scenarios, plan);
    if (results.length === 0) throw new Error([...workshop.notes].join('\n'));
    const { rounds, seconds } = plan;
    const { cores, notes } = workshop;
    const report = {
      bench: 'warm',
      params: { rounds, seconds, quick, ...(await versions(workshop)) },
      rows: rowsOf(results),
      ratios: ratiosOf(results),
      tables: results.map(tableOf),
      notes: [
        '',
        ...results.map(({ scenario }) => `${scenario.name}: ${scenario.what}`),
        `The proxy under test is alone on core ${cores.proxy}; wrk and the upstream (nginx, which mayfly runs as its app) share core ${cores.load}.`,
        "CPU is that of all the proxy's processes, from /proc; ratios are medians over the rounds of the ratio within each.",
        ...notes,
      ],
    };
    publish(report, barChart('Warm: requests per CPU-second, nginx is 1', 'ratio', barsOf(results)), json);
  } catch (thrown) {
    if (!workshop.signal.aborted) throw thrown;
    progress('interrupted');
    process.exitCode = 130;
  } finally {
    await workshop.close();
  }
}

/** One bed after the other; on each, its scenarios in order. Once time is up, no further scenario begins. */
async function measureAll(workshop: Workshop, scenarios: readonly Scenario[], plan: Plan): Promise<Result[]> {
  const results: Result[] = [];
  const cutShort = (scenario: Scenario, rounds: number) =>
    workshop.notes.add(`${scenario.name}: time was up after ${rounds} of ${plan.rounds} rounds`);
  const isOver = () => results.length > 0 && performance.now() > plan.latestStartMs;
  for (const kind of new Set(scenarios.map(({ bed }) => bed))) {
    const onBed = scenarios.filter(({ bed }) => bed === kind);
    const wanted = PEERS.filter((name) => onBed.some(({ peers }) => peers.includes(name)));
    progress(`setting up: ${wanted.join(', ')}`);
    const bed = await openBed(workshop, kind, wanted);
    if (!bed) continue;
    for (const scenario of onBed) {
      if (isOver()) {
        cutShort(scenario, 0);
        continue;
      }
      const peers = peersOf(bed, scenario);
      progress(`${scenario.name}: ${plan.rounds} rounds of ${plan.seconds} s for each of ${peers.length}`);
      const measured = await measure(workshop, bed, scenario, plan);
      const rounds = measured.get('nginx')?.length ?? 0;
      if (rounds < plan.rounds) cutShort(scenario, rounds);
      results.push({ scenario, measured });
    }
    await bed.close();
  }
  return results;
}

async function versions(workshop: Workshop): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const args = { nginx: ['-v'], haproxy: ['-v'], caddy: ['version'], wrk: ['-v'] } as const;
  for (const [program, words] of Object.entries(args) as [keyof typeof args, readonly string[]][]) {
    const path = await workshop.find(program);
    found[program] = path === undefined ? 'missing' : await versionOf(path, words);
  }
  return found;
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}
