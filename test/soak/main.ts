/** `npm run soak [-- --seconds N] [--seed N] [--visitors N]`: exit code 1 when anything is not as it is promised. */
import { parseArgs } from 'node:util';
import { runSoak } from './run.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string' },
    visitors: { type: 'string', default: '100' },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
const say = (line: string) => console.log(line);
say(`seed ${seed}`);
const { figures, violations, violationCount, before, after } = await runSoak({
  seconds: Number(values.seconds),
  visitors: Number(values.visitors),
  ...{ seed, say },
});
const kept = ({ snapshot, heapBytes, externalBytes, resources }: typeof after) => {
  const { openFds, residentBytes } = snapshot.process;
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${openFds ?? 0} fds, rss ${mib(residentBytes)}, heap ${mib(heapBytes)}, external ${mib(externalBytes)}, ${JSON.stringify(resources)}`;
};
say(JSON.stringify(figures));
say(`after the first load: ${kept(before)}`);
say(`at the end:           ${kept(after)}`);
for (const violation of violations) say(`VIOLATION: ${violation}`);
say(violationCount === 0 ? 'no violation' : `${violationCount} violations; seed ${seed}`);
process.exitCode = violationCount === 0 ? 0 : 1;
