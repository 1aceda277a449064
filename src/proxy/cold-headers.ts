/**
 * What an answer says about the waiting of its request: to people in `Mayfly-Cold-Start`, where a start was waited for, to
 * browsers' tools in `Server-Timing`, also where a container that was there had no room.
 */
import type { ColdStart, Lease } from './lease.ts';

/** Names and values in turn; none where it did not wait. `nowMs`: when the answer's head came, monotonic. */
export function waitHeaders({ cold, wait }: Pick<Lease, 'cold' | 'wait'>, nowMs: number): string[] {
  const heldMs = wait?.heldMs ?? 0;
  if (cold !== undefined) return coldHeaders(cold, heldMs, nowMs - cold.arrivedAtMs);
  return heldMs > 0 ? ['Server-Timing', `mayfly-held;dur=${rounded(heldMs)}`] : [];
}

/** `totalMs`: from the request's arrival to its answer's head. */
function coldHeaders(cold: ColdStart, heldMs: number, totalMs: number): string[] {
  const phases = [
    ['held', heldMs] as const,
    ['lookup', cold.lookupMs] as const,
    ...Object.entries(cold.phasesMs),
  ];
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
