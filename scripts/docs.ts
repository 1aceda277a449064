/** Writes what docs take from the code: `npm run docs`. A test fails when it was forgotten. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TRANSITIONS } from '../src/coreapi/decisions/lifecycle.ts';

const LIFECYCLE = join(import.meta.dirname, '../docs/lifecycle.md');

/** The transition table as a Mermaid state diagram. */
export function lifecycleDiagram(): string {
  const arrows = Object.entries(TRANSITIONS).flatMap(([from, targets]) =>
    targets.length === 0 ? [`    ${from} --> [*]`] : targets.map((to) => `    ${from} --> ${to}`),
  );
  return ['stateDiagram-v2', '    direction LR', '    [*] --> planned', ...arrows].join('\n');
}

/** The page with its diagram replaced. */
export function withDiagram(page: string): string {
  return page.replace(/```mermaid\n[^`]*```/, () => `\`\`\`mermaid\n${lifecycleDiagram()}\n\`\`\``);
}

if (import.meta.main) writeFileSync(LIFECYCLE, withDiagram(readFileSync(LIFECYCLE, 'utf8')));
