/** Writes what docs take from the code and from benchmarks that were run: `npm run docs`. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kind } from '../bench/lib/fastcontainer/experiment.ts';
import { tableOf } from '../bench/lib/fastcontainer/figures.ts';
import type { Row } from '../bench/lib/report.ts';
import { TRANSITIONS } from '../src/coreapi/decisions/lifecycle.ts';

const ROOT = join(import.meta.dirname, '..');
const LIFECYCLE = join(ROOT, 'docs/lifecycle.md');
const FASTCONTAINER = join(ROOT, 'docs/fastcontainer.md');
const KINDS: readonly Kind[] = ['out', 'up'];

/** The transition table as a Mermaid state diagram. */
export function lifecycleDiagram(): string {
  const arrows = Object.entries(TRANSITIONS).flatMap(([from, targets]) =>
    targets.length === 0 ? [`    ${from} --> [*]`] : targets.map((to) => `    ${from} --> ${to}`),
  );
  return ['stateDiagram-v2', '    direction LR', '    [*] --> planned', ...arrows].join('\n');
}

/** The page with its diagram replaced. A test fails when it was forgotten. */
export function withDiagram(page: string): string {
  return page.replace(/```mermaid\n[^`]*```/, () => `\`\`\`mermaid\n${lifecycleDiagram()}\n\`\`\``);
}

/** What `npm run bench -- fastcontainer-out` or `-up` wrote, as far as it is needed here. */
export interface ExperimentReport {
  readonly machine: { readonly cpus: number; readonly model: string; readonly kernel: string };
  readonly params: { readonly requests: number; readonly clients: number };
  readonly rows: readonly Row[];
}

/** The page with the table and the picture of an experiment replaced. */
export function withExperiment(page: string, kind: Kind, report: ExperimentReport): string {
  const { machine, params, rows } = report;
  const [head = [], ...lines] = tableOf(kind, rows);
  const markdown = [head, head.map((_, column) => (column === 0 ? '---' : '--:')), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
  const about = `${params.requests.toLocaleString('en')} requests, ${params.clients} clients; ${machine.cpus} cores (${machine.model}), Linux ${machine.kernel}.`;
  const picture = `![Response time by number of the request](../bench/results/fastcontainer-${kind}.svg)`;
  const place = new RegExp(`(<!-- table: fastcontainer-${kind} -->\n)[^]*?(<!-- end of table -->)`);
  return page.replace(
    place,
    (_, begin: string, end: string) => `${begin}\n${about}\n\n${markdown}\n\n${picture}\n\n${end}`,
  );
}

if (import.meta.main) {
  writeFileSync(LIFECYCLE, withDiagram(readFileSync(LIFECYCLE, 'utf8')));
  for (const kind of KINDS) {
    const path = join(ROOT, `bench/results/fastcontainer-${kind}.json`);
    if (!existsSync(path)) continue; // it has not been run
    const report = JSON.parse(readFileSync(path, 'utf8')) as ExperimentReport;
    writeFileSync(FASTCONTAINER, withExperiment(readFileSync(FASTCONTAINER, 'utf8'), kind, report));
  }
}
