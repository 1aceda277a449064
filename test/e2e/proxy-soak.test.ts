/** A few seconds of `npm run soak`, from a seed of their own each time, which the failure names. */
import { expect, it } from 'vitest';
import { runSoak } from '../soak/run.ts';

it('under load of every kind each answer is its request’s own, and afterwards everything is as it was', async () => {
  const seed = Math.floor(Math.random() * 1_000_000);
  const lines: string[] = [];
  const result = await runSoak({ seconds: 9, seed, visitors: 40, say: (line) => lines.push(line) });
  const { violations, figures } = result;
  expect({ seed, violations }).toEqual({ seed, violations: [] });
  // Whatever a machine can do in this time: something of every kind has to have happened.
  for (const [what, count] of Object.entries(figures)) expect([what, count > 0]).toEqual([what, true]);
}, 120_000);
