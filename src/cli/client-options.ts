/** What commands share: the options of those that talk to the server, options that may be repeated, examples in their help. */
import type { Command } from 'commander';
import { DEFAULT_URL } from './context.ts';

export function addClientOptions(command: Command): Command {
  return command
    .option('--url <url>', `the Core API (default: MAYFLY_URL, else ${DEFAULT_URL})`)
    .option('--token <token>', 'who you are (default: MAYFLY_TOKEN, else MAYFLY_OPERATOR_TOKEN)')
    .option('--json', 'for scripts: JSON in place of a table');
}

/** How commander reads an option that may be repeated: all of its values, in order. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** Pairs of what it is for and the command line. */
export function examples(command: Command, lines: readonly (readonly [string, string])[]): Command {
  const shown = lines.map(([purpose, line]) => (purpose === '' ? `  ${line}` : `  # ${purpose}\n  ${line}`));
  return command.addHelpText('after', `\nExamples:\n${shown.join('\n')}`);
}
