/** `mayfly apps …` and `mayfly deploy`: what exists, and what it is made of. */
import type { Command } from 'commander';
import type { AppView, CreateAppBody } from '../../coreapi/schema.ts';
import { describeApp } from '../app-description.ts';
import { readAppFile, withOptions } from '../app-file.ts';
import {
  addHostOption,
  addNeedOption,
  addPolicyOption,
  addRevisionOptions,
  addUnsetEnvOption,
  appFields,
  nameAndProgram,
  revisionFields,
} from '../app-options.ts';
import type { AppOptions } from '../app-options.ts';
import { addClientOptions, examples } from '../client-options.ts';
import type { ClientOptions, Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { ProgressLine } from '../progress.ts';
import { oneLine } from '../table.ts';
import { formatAgo, formatBytes } from '../../units.ts';
import { addScaleCommand } from './scale.ts';

type Options = AppOptions & ClientOptions;

export function addAppsCommands(program: Command, context: Context): void {
  const apps = program.command('apps').description('create, list, show, change, scale and delete apps');
  addCreate(apps, context);
  addList(apps, context);
  addShow(apps, context);
  addUpdate(apps, context);
  addScaleCommand(apps, context);
  addDelete(apps, context);
}

function addCreate(apps: Command, context: Context): void {
  const command = apps
    .command('create')
    .summary('register an app; its first request starts it')
    .description(
      'Registers an app. Nothing is started: the first request for one of its hostnames does that.',
    )
    .argument('[name]', 'what to call it: lower-case letters, digits, hyphens')
    .argument('[command...]', 'after --: the program to run, in place of the image’s own or in --cwd');
  addClientOptions(addPolicyOption(addNeedOption(addRevisionOptions(addHostOption(command)))))
    .option('--file <file>', 'a JSON file that says all this, - for stdin; options win over it')
    .action(async (_name: string | undefined, _words: string[], options: Options, self: Command) => {
      const { name, words } = nameAndProgram(self, context.argv);
      const file = options.file === undefined ? {} : await readAppFile(options.file, context);
      const given = { ...(name !== undefined && { name }), ...appFields(options, words) };
      const body = withOptions({ hosts: [], ...file }, given);
      if (body['name'] === undefined) throw noName('mayfly apps create NAME …');
      const app = await withProgress(context, name ?? 'the app', (show) =>
        // Whatever a file holds, the server is who judges it.
        context.client(options).createApp(body as unknown as CreateAppBody, { onProgress: show }),
      );
      if (options.json) await context.printJson(app);
      else await context.print(`created ${app.name}${whereReached(app)}\n`);
    });
  examples(command, [
    ['an image', 'mayfly apps create hello --host hello.localhost --image mayfly/hello --port 8080'],
    [
      'a command, on the process engine',
      'mayfly apps create hello --host hello.localhost --cwd ./hello -- node server.mjs',
    ],
    [
      'how it may run',
      'mayfly apps create hello --image nginx:1.27 --policy cpu=0.3 --policy memoryBytes=512MiB --policy idlePauseMs=30s',
    ],
    ['from a file', 'mayfly apps create --file examples/hello/app.json'],
  ]);
}

function addList(apps: Command, context: Context): void {
  const command = addClientOptions(apps.command('list').alias('ls').description('list all apps')).action(
    async (options: Options) => {
      const all = await context.client(options).listApps();
      if (options.json) {
        await context.printJson(all);
        return;
      }
      const nowMs = context.nowMs();
      await context.printTable(
        [
          { title: 'NAME', value: (app) => app.name },
          { title: 'HOSTS', value: (app) => app.hosts.join(', ') || 'none', flexible: true },
          { title: 'RUNS', value: (app) => workload(app), flexible: true },
          { title: 'REVISION', value: (app) => String(app.revision.number), alignRight: true },
          { title: 'CPU', value: (app) => String(app.policy.cpu), alignRight: true },
          { title: 'MEMORY', value: (app) => formatBytes(app.policy.memoryBytes), alignRight: true },
          { title: 'CREATED', value: (app) => formatAgo(app.createdAtMs, nowMs) },
        ],
        all,
        'no apps yet; mayfly apps create --help shows how to make one',
      );
    },
  );
  examples(command, [['names only', "mayfly apps list --json | jq -r '.[].name'"]]);
}

function addShow(apps: Command, context: Context): void {
  const command = addClientOptions(
    apps.command('show').description('show all about an app').argument('<name>', 'its name or id'),
  ).action(async (name: string, options: Options) => {
    const app = await context.client(options).getApp(name);
    if (options.json) await context.printJson(app);
    else await context.print(lines(app, context));
  });
  examples(command, [['its policy', 'mayfly apps show hello --json | jq .policy']]);
}

function addUpdate(apps: Command, context: Context): void {
  const command = apps
    .command('update')
    .summary('change an app; what is not mentioned stays')
    .description(
      'Changes an app; what is not mentioned stays. --host replaces all its hostnames, --need all its needs.',
    )
    .argument('<name>', 'its name or id')
    .argument('[command...]', 'after --: another program to run')
    .option('--no-needs', 'it needs no other app');
  addClientOptions(
    addPolicyOption(addUnsetEnvOption(addNeedOption(addRevisionOptions(addHostOption(command))))),
  ).action(async (_name: string, _words: string[], options: Options, self: Command) => {
    const { name, words } = nameAndProgram(self, context.argv);
    if (name === undefined) throw noName('mayfly apps update NAME …');
    const body = appFields(options, words);
    if (Object.keys(body).length === 0) {
      throw new UsageError('nothing to change was given', 'mayfly apps update --help shows what can be');
    }
    const app = await withProgress(context, name, (show) =>
      context.client(options).patchApp(name, body, { onProgress: show }),
    );
    if (options.json) await context.printJson(app);
    else
      await context.print(
        `updated ${app.name}, which runs revision ${app.revision.number}${whereReached(app)}\n`,
      );
  });
  examples(command, [
    ['sleep later', 'mayfly apps update hello --policy idleStopMs=30m'],
    ['another hostname', 'mayfly apps update hello --host hello.example.org --host hello.localhost'],
  ]);
}

function addDelete(apps: Command, context: Context): void {
  const command = addClientOptions(
    apps
      .command('delete')
      .alias('rm')
      .description('delete an app; its containers are drained and removed')
      .argument('<name>', 'its name or id'),
  ).action(async (name: string, options: Options) => {
    await context.client(options).deleteApp(name);
    if (options.json) await context.printJson({ deleted: name });
    else await context.print(`deleted ${name}\n`);
  });
  examples(command, [['', 'mayfly apps delete hello']]);
}

export function addDeployCommand(program: Command, context: Context): void {
  const command = program
    .command('deploy')
    .summary('make a new revision of an app')
    .description(
      'Makes a new revision: another image, the same tag resolved anew, another command or environment. What is not mentioned stays.',
    )
    .argument('<app>', 'its name or id')
    .argument('[command...]', 'after --: another program to run');
  addClientOptions(addUnsetEnvOption(addRevisionOptions(command))).action(
    async (_name: string, _words: string[], options: Options, self: Command) => {
      const { name, words } = nameAndProgram(self, context.argv);
      if (name === undefined) throw noName('mayfly deploy APP …');
      const app = await withProgress(context, name, (show) =>
        context.client(options).deployApp(name, revisionFields(options, words), { onProgress: show }),
      );
      if (options.json) await context.printJson(app);
      else await context.print(`deployed revision ${app.revision.number} of ${app.name}: ${workload(app)}\n`);
    },
  );
  examples(command, [
    ['what the tag means now', 'mayfly deploy hello'],
    ['another image', 'mayfly deploy hello --image mayfly/hello:2'],
    ['another setting', 'mayfly deploy hello --env GREETING=Servus'],
  ]);
}

function noName(usage: string): UsageError {
  return new UsageError('the app has no name', usage);
}

type ShowProgress = (progress: { status: string; currentBytes: number; totalBytes: number }) => void;

async function withProgress<T>(
  context: Context,
  what: string,
  task: (show: ShowProgress) => Promise<T>,
): Promise<T> {
  const line = new ProgressLine(context.io.stderr, what);
  try {
    return await task((progress) => line.show(progress));
  } finally {
    line.end();
  }
}

function workload({ revision }: AppView): string {
  return oneLine(revision.image ?? (revision.command ?? []).join(' '));
}

function whereReached(app: AppView): string {
  return app.hosts.length > 0 ? `, reached at ${app.hosts.join(', ')}` : ', which no hostname reaches yet';
}

function lines(app: AppView, context: Context): string {
  return describeApp(app, context.nowMs())
    .map(([name, value]) => `${context.paint('dim', name.padEnd(12))}${oneLine(value)}\n`)
    .join('');
}
