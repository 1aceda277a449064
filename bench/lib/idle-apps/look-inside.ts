/**
 * Loaded into a program before its own code (`node --import`): counts the timers that exist, ref'd or not, and says at SIGUSR2
 * how many there are and how much memory is left in use once the garbage is collected.
 */
import { createHook } from 'node:async_hooks';
import { renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const path = process.env['MAYFLY_BENCH_LOOK'] ?? '';
const timers = new Set<number>();
createHook({
  init(id, type) {
    if (type === 'Timeout') timers.add(id);
  },
  destroy(id) {
    timers.delete(id);
  },
}).enable();

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

process.on('SIGUSR2', () => {
  collect();
  const { rss, heapUsed } = process.memoryUsage();
  writeFileSync(
    `${path}.part`,
    JSON.stringify({ timers: timers.size, residentBytes: rss, heapBytes: heapUsed }),
  );
  renameSync(`${path}.part`, path);
});
