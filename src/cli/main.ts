/**
 * The command line, as a function: words in, exit code out. It reads and writes only what it is given, so tests run the
 * whole of it in their own process; `processIo` is the real world.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { PlatformError } from '../errors.ts';
import { addAppsCommands, addDeployCommand } from './commands/apps.ts';
import { addCompletionCommand } from './commands/completion.ts';
import { addHelpCommand, follow, noSuchCommand } from './commands/help.ts';
import { addUpCommand } from './commands/up.ts';
import {
  addEventsCommand,
  addGradesCommand,
  addLogsCommand,
  addNodesCommand,
  addPsCommand,
} from './commands/watch.ts';
import { Context, ReaderLeft } from './context.ts';
import type { CliIo } from './context.ts';
import { EXIT, EXIT_CODES_HELP, exitCodeOf, renderError, UsageError } from './exit-codes.ts';

export type { CliIo } from './context.ts';

/** Runs one command line (without the program's name) and resolves to its exit code. Never rejects. */
export async function run(argv: readonly string[], io: CliIo): Promise<number> {
  const context = new Context(io, argv);
  try {
    const exitCode = await execute(context);
    return context.wasInterrupted ? EXIT.interrupted : exitCode;
  } catch (thrown) {
    if (context.wasInterrupted) return EXIT.interrupted;
    if (thrown instanceof ReaderLeft) return EXIT.ok;
    const error = PlatformError.from(thrown);
    io.stderr.write(renderError(error));
    return exitCodeOf(error);
  }
}

async function execute(context: Context): Promise<number> {
  let exitCode: number = EXIT.ok;
  let help = '';
  const program = buildProgram(context, {
    done: (code) => (exitCode = code),
    show: (text) => (help += text),
  });
  try {
    await program.parseAsync([...context.argv], { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    if (thrown.exitCode !== 0 && thrown.code === 'commander.help') return EXIT.usage; // shown on stderr instead
    if (thrown.exitCode !== 0) throw usageError(thrown, program, context.argv);
    if (thrown.code === 'commander.helpDisplayed') mustLeadSomewhere(program, context.argv);
  }
  if (help !== '') await context.print(help);
  return exitCode;
}

/** The outside world as this process has it. */
export function processIo(up: CliIo['up']): CliIo {
  // Who waits for a text to be written is told what is wrong; nobody else is to end for it.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: process.env,
    up,
    interrupted: () => {
      const controller = new AbortController();
      process.once('SIGINT', () => controller.abort());
      return controller.signal;
    },
  };
}

interface Outcome {
  /** Takes the exit code of a command that has one of its own. */
  readonly done: (exitCode: number) => void;
  /** Takes help and the version, in pieces. */
  readonly show: (text: string) => void;
}

/** The command tree. */
function buildProgram(context: Context, { done, show }: Outcome): Command {
  const program = new Command('mayfly');
  program
    .description('A reactive container platform: the first request starts an app, silence puts it to sleep.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: show,
      writeErr: (text) => void context.io.stderr.write(text),
      outputError: () => undefined, // said by run(), in the form of every other error
      getOutHelpWidth: () => context.io.stdout.columns ?? 100,
      getErrHelpWidth: () => context.io.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText(
      'after',
      `
Examples:
  # everything on this machine; prints a token
  mayfly up
  # an app, and its first request, which starts it
  mayfly apps create hello --host hello.localhost --image mayfly/hello --port 8080
  curl -H 'Host: hello.localhost' http://127.0.0.1:8080/
  # what that did, and why
  mayfly ps
  mayfly events -f

${EXIT_CODES_HELP}`,
    );
  addUpCommand(program, context, done);
  addAppsCommands(program, context);
  addDeployCommand(program, context);
  addLogsCommand(program, context);
  addPsCommand(program, context);
  addEventsCommand(program, context);
  addNodesCommand(program, context);
  addGradesCommand(program, context);
  addCompletionCommand(program, context);
  addHelpCommand(program);
  return program;
}

/** commander shows the help of the last command that there is, whatever follows: `mayfly nope --help` would look like a yes. */
function mustLeadSomewhere(program: Command, argv: readonly string[]): void {
  const end = argv.findIndex((word) => word.startsWith('-'));
  const { found, path, rest } = follow(program, argv.slice(0, end === -1 ? undefined : end));
  if (rest !== undefined && found.commands.length > 0) throw noSuchCommand(path, rest);
}

/** commander's "error: unknown option '--josn'\n(Did you mean --json?)" in our form. */
function usageError(thrown: CommanderError, program: Command, argv: readonly string[]): UsageError {
  const [message = '', suggestion] = thrown.message.replace(/^error: /, '').split('\n');
  if (suggestion !== undefined)
    return new UsageError(message, suggestion.replace(/^\(D/, 'd').replace(/\)$/, ''));
  const { path } = follow(program, argv);
  return new UsageError(message, `${path} --help shows how it is written`);
}

function version(): string {
  const file = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}
