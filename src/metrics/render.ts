/** The page of metrics as a pure function of what has been counted. */
import { Exposition } from './exposition.ts';
import { addNodeFamilies } from './node-families.ts';
import type { NodeFacts } from './node-families.ts';
import { addProcessFamilies } from './process-families.ts';
import type { Processes } from './process-families.ts';
import { addProxyFamilies } from './proxy-families.ts';
import { sumOf } from './totals.ts';
import type { ProxyTotals } from './totals.ts';

export interface MetricsFacts extends NodeFacts {
  readonly proxies: readonly ProxyTotals[];
  readonly processes: Processes;
}

export function renderMetrics(facts: MetricsFacts): string {
  const page = new Exposition();
  const totals = sumOf(facts.proxies);
  if (totals !== undefined) addProxyFamilies(page, totals);
  addNodeFamilies(page, facts);
  addProcessFamilies(page, facts.processes);
  return page.toString();
}
