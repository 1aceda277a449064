/** `mayfly apps scale`: a size by force. */
import type { Command } from 'commander';
import type { ScaleBody, ScaleView } from '../../coreapi/schema.ts';
import { wholeNumber } from '../app-options.ts';
import { addClientOptions, examples } from '../client-options.ts';
import type { ClientOptions, Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { formatBytes, parseBytes } from '../../units.ts';

interface Options extends ClientOptions {
  readonly replicas?: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly grade?: string;
}

export function addScaleCommand(apps: Command, context: Context): void {
  const command = apps
    .command('scale')
    .summary('make an app wider or stronger, or narrower or weaker')
    .description(
      'Gives an app another size while it is awake, within its policy: more or fewer containers, or more or less for each, ' +
        'without a restart and without a failed request. When it falls asleep its policy’s size comes back; what is to last is ' +
        'changed with mayfly apps update --policy.',
    )
    .argument('<name>', 'its name or id')
    .option('--replicas <count>', 'containers that take its requests')
    .option('--cpu <cores>', 'CPU of each container, such as 0.6')
    .option('--memory <size>', 'memory of each container, such as 512MiB')
    .option('--grade <grade>', 'a named size (mayfly grades) in place of --cpu and --memory');
  addClientOptions(command).action(async (name: string, options: Options) => {
    const decision = await context.client(options).scaleApp(name, bodyOf(options));
    if (options.json) await context.printJson(decision);
    else await context.print(`${describe(decision)}\n`);
  });
  examples(command, [
    ['three containers', 'mayfly apps scale hello --replicas 3'],
    ['twice the CPU for each, at once', 'mayfly apps scale hello --cpu 0.6'],
    ['what comes of it', 'mayfly ps hello'],
  ]);
}

/** Errors: UsageError. */
function bodyOf({ replicas, cpu, memory, grade }: Options): ScaleBody {
  const body: ScaleBody = {
    ...(replicas !== undefined && { replicas: wholeNumber('--replicas', replicas) }),
    ...(cpu !== undefined && { cpu: cores(cpu) }),
    ...(memory !== undefined && { memoryBytes: size(memory) }),
    ...(grade !== undefined && { grade }),
  };
  if (Object.keys(body).length === 0)
    throw new UsageError('no size was given', 'say --replicas, --cpu, --memory or --grade');
  return body;
}

function cores(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new UsageError(`--cpu ${text}: must be a number of cores, such as 0.6`);
}

function size(text: string): number {
  const value = parseBytes(text);
  if (value !== undefined) return value;
  throw new UsageError(`--memory ${text}: must be a size such as 512MiB`);
}

function describe({ appName, changed, from, to }: ScaleView): string {
  const containers = (count: number) => (count === 1 ? '1 container' : `${count} containers`);
  const each = `${to.cpu} CPU, ${formatBytes(to.memoryBytes)} each`;
  if (!changed) return `${appName} has that size already: ${containers(to.replicas)}, ${each}`;
  const parts = [
    ...(from.replicas === to.replicas ? [] : [`${from.replicas} → ${containers(to.replicas)}`]),
    ...(from.cpu === to.cpu ? [] : [`${from.cpu} → ${to.cpu} CPU each`]),
    ...(from.memoryBytes === to.memoryBytes
      ? []
      : [`${formatBytes(from.memoryBytes)} → ${formatBytes(to.memoryBytes)} each`]),
  ];
  return `${appName}: ${parts.join(', ')}`;
}
