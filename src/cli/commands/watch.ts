/** What goes on: `ps`, `logs`, `events`, `nodes`, `grades`. */
import type { Command } from 'commander';
import type { ContainerView, EventView, LogLineView } from '../../coreapi/schema.ts';
import { wholeNumber } from '../app-options.ts';
import { addClientOptions, examples } from '../client-options.ts';
import type { ClientOptions, Context, Style } from '../context.ts';
import { inPlace, oneLine, truncate } from '../table.ts';
import { formatAge, formatAgo, formatBytes, formatDuration } from '../../units.ts';

export function addPsCommand(program: Command, context: Context): void {
  const command = addClientOptions(
    program
      .command('ps')
      .description('list containers, with their state and why they are in it')
      .argument('[app]', 'only those of this app'),
  ).action(async (app: string | undefined, options: ClientOptions) => {
    const client = context.client(options);
    const containers =
      app === undefined ? await client.listContainers() : await client.listAppContainers(app);
    if (options.json) {
      await context.printJson(containers);
      return;
    }
    const nowMs = context.nowMs();
    await context.printTable(
      [
        { title: 'APP', value: (one) => one.appName ?? one.appId },
        { title: 'CONTAINER', value: (one) => one.id },
        {
          title: 'STATE',
          value: (one) => one.state,
          paint: (cell, one) => context.paint(stateStyle(one), cell),
        },
        {
          title: 'AGE',
          value: (one) => formatAge(one.createdAtMs, nowMs),
          alignRight: true,
        },
        { title: 'COLD START', value: coldStart, alignRight: true },
        { title: 'CPU', value: (one) => String(one.resources.cpu), alignRight: true },
        { title: 'MEMORY', value: (one) => formatBytes(one.resources.memoryBytes), alignRight: true },
        { title: 'REASON', value: (one) => one.reason, flexible: true },
      ],
      containers,
      app === undefined ? 'no containers: every app sleeps' : `no containers: ${app} sleeps`,
    );
  });
  examples(command, [
    ['', 'mayfly ps'],
    ['how long the starts of one app took', "mayfly ps hello --json | jq '.[].phasesMs'"],
  ]);
}

function coldStart(container: ContainerView): string {
  const phases = Object.values(container.phasesMs);
  return phases.length === 0 ? '-' : formatDuration(phases.reduce((sum, phaseMs) => sum + phaseMs, 0));
}

function stateStyle({ state }: ContainerView): Style {
  switch (state) {
    case 'ready':
      return 'green';
    case 'failed':
      return 'red';
    case 'planned':
    case 'starting':
    case 'draining':
      return 'yellow';
    case 'paused':
      return 'cyan';
    case 'stopped':
      return 'dim';
  }
}

export function addLogsCommand(program: Command, context: Context): void {
  interface Options extends ClientOptions {
    readonly follow?: boolean;
    readonly tail?: string;
    readonly container?: string;
  }
  const command = addClientOptions(
    program
      .command('logs')
      .description('show what an app writes to stdout and stderr')
      .argument('<app>', 'its name or id')
      .option('-f, --follow', 'go on with what is written from now on, until Ctrl-C')
      .option('--tail <lines>', 'only the last so many lines (default: 100)')
      .option('--container <id>', 'of this container (default: those that live, else the newest)'),
  ).action(async (app: string, options: Options) => {
    const query = {
      ...(options.tail !== undefined && { tail: wholeNumber('--tail', options.tail) }),
      ...(options.follow && { follow: true }),
      ...(options.container !== undefined && { container: options.container }),
    };
    let isEmpty = true;
    for await (const line of context.client(options).logs(app, query, context.interrupted)) {
      isEmpty = false;
      await context.print(options.json ? `${JSON.stringify(line)}\n` : logText(line, context));
    }
    if (isEmpty && !context.wasInterrupted)
      context.note(
        `no lines: ${app} has not run lately, or has written nothing; mayfly events --app ${app} tells`,
      );
  });
  examples(command, [
    ['', 'mayfly logs hello -f'],
    ['only errors', 'mayfly logs hello --tail 1000 --json | jq -r \'select(.stream == "stderr").text\''],
  ]);
}

function logText(line: LogLineView, context: Context): string {
  // A file or a pipe gets what the app wrote.
  const text = context.io.stdout.isTTY ? inPlace(line.text) : line.text;
  return `${context.paint('dim', clock(line.atMs))} ${text}\n`;
}

export function addEventsCommand(program: Command, context: Context): void {
  interface Options extends ClientOptions {
    readonly app?: string;
    readonly follow?: boolean;
    readonly limit?: string;
  }
  const command = addClientOptions(
    program
      .command('events')
      .description('show what happened, and why')
      .option('--app <app>', 'only what concerns this app')
      .option('-f, --follow', 'go on with what happens from now on, until Ctrl-C')
      .option('--limit <count>', 'the newest so many, 1 to 1000 (default: 100)'),
  ).action(async (options: Options) => {
    const client = context.client(options);
    const query = {
      ...(options.app !== undefined && { app: options.app }),
      ...(options.limit !== undefined && { limit: wholeNumber('--limit', options.limit) }),
    };
    if (options.follow) {
      for await (const event of client.followEvents(query, context.interrupted)) {
        await context.print(options.json ? `${JSON.stringify(event)}\n` : eventText(event, context));
      }
      return;
    }
    const events = await client.listEvents(query);
    if (options.json) {
      await context.printJson(events);
      return;
    }
    const nowMs = context.nowMs();
    await context.printTable(
      [
        { title: 'WHEN', value: (event) => formatAgo(event.atMs, nowMs) },
        {
          title: 'EVENT',
          value: (event) => event.type,
          paint: (cell, event) => paintType(cell, event, context),
        },
        { title: 'APP', value: (event) => event.appName ?? event.appId ?? '-' },
        { title: 'REASON', value: (event) => event.reason, flexible: true },
      ],
      events,
      'nothing has happened yet',
    );
  });
  examples(command, [
    ['watch an app wake and fall asleep', 'mayfly events --app hello -f'],
    ['every failure', 'mayfly events --limit 1000 --json | jq \'.[] | select(.type == "container.failed")\''],
  ]);
}

/** A line of a list that has no end, so its columns have fixed widths. */
function eventText(event: EventView, context: Context): string {
  const type = event.type.padEnd(20);
  const app = oneLine(event.appName ?? event.appId ?? '-').padEnd(14);
  const start = `${clock(event.atMs)}  ${type}  ${app}  `;
  const { isTTY, columns } = context.io.stdout;
  const reason = oneLine(event.reason);
  const shown =
    isTTY && columns !== undefined ? truncate(reason, Math.max(12, columns - start.length)) : reason;
  return `${context.paint('dim', clock(event.atMs))}  ${paintType(type, event, context)}  ${app}  ${shown}\n`;
}

function paintType(cell: string, event: EventView, context: Context): string {
  return /failed|backoff|exited|lost/.test(event.type) ? context.paint('red', cell) : cell;
}

/** The time of day here, to the millisecond. */
function clock(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, '0');
  const millis = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${millis}`;
}

export function addNodesCommand(program: Command, context: Context): void {
  const command = addClientOptions(
    program.command('nodes').description('list the machines that run containers, and the room they have'),
  ).action(async (options: ClientOptions) => {
    const nodes = await context.client(options).listNodes();
    if (options.json) {
      await context.printJson(nodes);
      return;
    }
    const nowMs = context.nowMs();
    const share = (used: string, all: string) => `${used} of ${all}`;
    await context.printTable(
      [
        { title: 'NODE', value: (node) => node.name },
        { title: 'ENGINE', value: (node) => node.engine },
        { title: 'STATE', value: (node) => node.state },
        { title: 'CPU', value: ({ reserved, capacity }) => share(cores(reserved.cpu), cores(capacity.cpu)) },
        {
          title: 'MEMORY',
          value: ({ reserved, capacity }) =>
            share(formatBytes(reserved.memoryBytes), formatBytes(capacity.memoryBytes)),
        },
        { title: 'SEEN', value: (node) => formatAgo(node.lastSeenAtMs, nowMs) },
      ],
      nodes,
      'no nodes',
    );
  });
  examples(command, [['', 'mayfly nodes']]);
}

function cores(cpu: number): string {
  return String(Number(cpu.toFixed(2)));
}

export function addGradesCommand(program: Command, context: Context): void {
  const command = addClientOptions(
    program.command('grades').description('list the named sizes that a policy can refer to'),
  ).action(async (options: ClientOptions) => {
    const grades = await context.client(options).listGrades();
    if (options.json) {
      await context.printJson(grades);
      return;
    }
    await context.printTable(
      [
        { title: 'GRADE', value: (grade) => grade.name },
        { title: 'CPU', value: (grade) => String(grade.cpu), alignRight: true },
        { title: 'MEMORY', value: (grade) => formatBytes(grade.memoryBytes), alignRight: true },
      ],
      grades,
      'no grades',
    );
  });
  examples(command, [['use one', 'mayfly apps update hello --policy grade=small']]);
}
