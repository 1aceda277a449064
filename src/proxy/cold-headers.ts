/** What a cold answer says about its start: to people in `Mayfly-Cold-Start`, to browsers' tools in `Server-Timing`. */
import type { ColdStart } from './lease.ts';

/** Names and values in turn. `totalMs`: from the request's arrival to its answer's head. */
export function coldHeaders(cold: ColdStart, totalMs: number): string[] {
  const phases = [['lookup', cold.lookupMs] as const, ...Object.entries(cold.phasesMs)];
  const seen = new Set<string>();
  const timings: string[] = [];
  for (const [phase, phaseMs] of phases) {
    // Server-Timing names are tokens, and each phase is told once: our own look-up, then the control plane's.
    if (!/^[A-Za-z]+$/.test(phase) || seen.has(phase)) continue;
    seen.add(phase);
    timings.push(`mayfly-${phase};dur=${rounded(phaseMs)}`);
  }
  return [
    'Server-Timing',
    timings.join(', '),
    'Mayfly-Cold-Start',
    `${cold.kind}; total=${rounded(totalMs)}`,
  ];
}

function rounded(ms: number): string {
  return String(Math.round(ms * 10) / 10);
}
