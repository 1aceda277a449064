/** What the proxy promises, kept by its transport on node:http alone: the tests of the others, once more. */
import { describe } from 'vitest';
import { useTransport } from '../support/proxy-transport.ts';

useTransport('http');

describe('on node:http', async () => {
  await import('./proxy-cold.test.ts');
  await import('./proxy-failures.test.ts');
  await import('./proxy-headers.test.ts');
  await import('./proxy-memory.test.ts');
  await import('./proxy-smuggling.test.ts');
});
