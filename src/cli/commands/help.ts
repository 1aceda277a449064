/** `mayfly help COMMAND …`: what `--help` of that command shows, at any depth. */
import type { Command } from 'commander';
import { examples } from '../client-options.ts';
import { UsageError } from '../exit-codes.ts';

export function addHelpCommand(program: Command): void {
  const command = program
    .command('help')
    .description('show the help of a command')
    .argument('[command...]', 'its words')
    .action((words: readonly string[]) => {
      const { found, path, rest } = follow(program, words);
      if (rest !== undefined) throw noSuchCommand(path, rest);
      found.outputHelp();
    });
  examples(command, [['', 'mayfly help apps create']]);
}

export function noSuchCommand(path: string, word: string): UsageError {
  return new UsageError(`there is no command ${path} ${word}`, `${path} --help shows what there is`);
}

/** The command that words lead to, as far as they do, and the first that leads nowhere. */
export function follow(
  program: Command,
  words: readonly string[],
): { found: Command; path: string; rest: string | undefined } {
  let found = program;
  let path = program.name();
  for (const word of words) {
    const next = found.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (!next) return { found, path, rest: word };
    found = next;
    path += ` ${next.name()}`;
  }
  return { found, path, rest: undefined };
}
