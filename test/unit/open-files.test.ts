/** No more connections than files can be opened for: each is one, and so is the one to an app behind it. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const MODULE = join(import.meta.dirname, '../../src/proxy/workers/open-files.ts');

/** What a process may have that is allowed so many open files (`ulimit -n`), and what it says of it. */
async function withOpenFiles(limit: number, connections: number) {
  const script = `
    import { affordable } from ${JSON.stringify(MODULE)};
    const warnings = [];
    const log = { warn: (fields, message) => warnings.push({ ...fields, message }), error: () => undefined };
    console.log(JSON.stringify({ most: affordable(${connections}, log), warnings }));`;
  // Node raises its soft limit to the hard one: both are set here.
  const command = `ulimit -n ${limit} && exec "$0" --input-type=module --eval "$1"`;
  const { stdout } = await promisify(execFile)('sh', ['-c', command, process.execPath, script]);
  return JSON.parse(stdout) as { most: number; warnings: { openFiles: number; connections: number }[] };
}

/** The most that any process may be allowed here. */
const HARD_LIMIT = Number(
  /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1],
);

describe('the connections that a process takes', () => {
  it('are as many as it is told to, where it may open files enough', async () => {
    for (const connections of [1, 100, 375])
      expect(await withOpenFiles(1_000, connections)).toEqual({ most: connections, warnings: [] });
  });

  it('are fewer where it may not, and it says so', async () => {
    const { most, warnings } = await withOpenFiles(300, 10_000);
    expect(warnings).toMatchObject([{ openFiles: 300, connections: most }]);
    // Both ends of each, and something is left for all else.
    expect(most * 2).toBeLessThan(300 - 50);
    expect(most).toBeGreaterThan(80);
    expect(await withOpenFiles(1_000, 376)).toMatchObject({ most: 375, warnings: [{ connections: 375 }] });
  });

  it.skipIf(HARD_LIMIT < 20_000)(
    'are all but a few where it may open many: not a share is kept',
    async () => {
      expect(await withOpenFiles(20_000, 9_000)).toEqual({ most: 9_000, warnings: [] });
      expect(await withOpenFiles(20_000, 9_001)).toMatchObject({
        most: 9_000,
        warnings: [{ openFiles: 20_000 }],
      });
    },
  );
});
