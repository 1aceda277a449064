/** What users rely on, kept by a program whose data plane is two workers: tests of the others, once more. */
import { describe } from 'vitest';
import { useWorkers } from '../support/workers-under-test.ts';

useWorkers(2);

describe('with two workers', async () => {
  await import('./up-change.test.ts');
  await import('./up-cold.test.ts');
  await import('./up-crash.test.ts');
  await import('./up-idle.test.ts');
  await import('./up-open.test.ts');
  await import('./up-wake.test.ts');
});
