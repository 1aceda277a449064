/** What always holds, and the life of a container, with two data planes beside the control process: the same tests once more. */
import { describe } from 'vitest';
import { useWorkers } from '../support/workers-under-test.ts';

useWorkers(2);

describe('with two data planes', async () => {
  await import('./invariants.test.ts');
  await import('./lifecycle.test.ts');
});
