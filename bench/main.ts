/**
 * `npm run bench -- NAME [--quick] [--json FILE] [--only SCENARIO]`: one benchmark, its table, its JSON and its picture. What
 * docs cite are whole runs, in bench/results; one that is quick or of a part does not write over them.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Ends within 50 s, at the price of fewer samples. */
  readonly quick: boolean;
  readonly json: string | undefined;
  /** One scenario of a bench that has several. */
  readonly only: string | undefined;
}

interface Bench {
  readonly what: string;
  /** It takes --only. */
  readonly hasScenarios?: boolean;
  readonly load: () => Promise<{ run: (options: BenchOptions) => Promise<void> }>;
}

const BENCHES: Readonly<Record<string, Bench>> = {
  cold: {
    what: 'first request to first byte, by phase, beside plain docker run',
    load: () => import('./cold.ts'),
  },
  start: {
    what: 'the Docker engine alone: a network namespace from the pool, beside an own bridge network',
    load: () => import('./start.ts'),
  },
  warm: {
    what: 'requests to warm apps, beside nginx, HAProxy, Caddy and Node proxies; --only SCENARIO for one group',
    hasScenarios: true,
    load: () => import('./warm.ts'),
  },
  routes: {
    what: 'from a host to its app with 1,000,000 of them, beside a plain Map; no engine is needed',
    load: () => import('./routes.ts'),
  },
  crowd: {
    what: '200 visitors at once before an app that sleeps: recognised when, served when, beside scaling off',
    load: () => import('./crowd.ts'),
  },
  calm: {
    what: 'a load that steps, stays, swings and stops: how often the size of the app is changed for it',
    load: () => import('./calm.ts'),
  },
  'fastcontainer-out': {
    what: "the paper's first experiment: one container becomes two at half of 100,000 requests, beside HAProxy by hand",
    load: () => import('./fastcontainer.ts').then(({ out }) => out),
  },
  'fastcontainer-up': {
    what: 'its second one: the CPU of a running container is doubled',
    load: () => import('./fastcontainer.ts').then(({ up }) => up),
  },
  neighbour: {
    what: 'an app whose neighbour is flooded past every bound: its p99 beside that alone',
    load: () => import('./neighbour.ts'),
  },
  'idle-apps': {
    what: '100,000 apps that nobody visits: CPU, memory and timers, and the first request to one of them',
    load: () => import('./idle-apps.ts'),
  },
  churn: { what: '1,000 starts and stops; what is left behind (nothing)', load: () => import('./churn.ts') },
};

/** Errors: a TypeError that says what is wrong with the command line. */
function parse() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      only: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const { quick, json, only, help } = values;
  const [name = '', further] = positionals;
  if (help) return undefined;
  const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
  if (bench === undefined) throw new TypeError(name === '' ? 'which bench?' : `there is no bench ${name}`);
  if (further !== undefined) throw new TypeError(`one bench at a time: ${further} is one too many`);
  if (only !== undefined && bench.hasScenarios !== true) throw new TypeError(`${name} has no scenarios`);
  const isWhole = !quick && only === undefined;
  const partPath = join(import.meta.dirname, 'results', 'part', `${name}.json`);
  return { bench, options: { quick, only, json: json ?? (isWhole ? undefined : partPath) } };
}

function usage(): string {
  const width = Math.max(...Object.keys(BENCHES).map((key) => key.length)) + 2;
  const list = Object.entries(BENCHES).map(([key, { what }]) => `  ${key.padEnd(width)}${what}`);
  return `usage: npm run bench -- NAME [--quick] [--json FILE] [--only SCENARIO]\n${list.join('\n')}\n`;
}

let asked;
try {
  asked = parse();
  if (asked === undefined) process.stdout.write(usage());
} catch (thrown) {
  if (!(thrown instanceof TypeError)) throw thrown;
  process.stderr.write(`error: ${thrown.message}\n${usage()}`);
  process.exitCode = 2;
}
if (asked !== undefined) await (await asked.bench.load()).run(asked.options);
