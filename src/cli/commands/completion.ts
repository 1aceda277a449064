/** `mayfly completion SHELL`. */
import { Argument } from 'commander';
import type { Command } from 'commander';
import { examples } from '../client-options.ts';
import { completionScript, SHELLS } from '../completion.ts';
import type { Shell } from '../completion.ts';
import type { Context } from '../context.ts';

export function addCompletionCommand(program: Command, context: Context): void {
  const command = program
    .command('completion')
    .description('print a script that completes mayfly commands in your shell')
    .addArgument(new Argument('<shell>', 'your shell').choices(SHELLS))
    .action(async (shell: Shell) => {
      await context.print(completionScript(program, shell));
    });
  examples(command, [
    ['bash, in ~/.bashrc', 'source <(mayfly completion bash)'],
    ['zsh, in ~/.zshrc after compinit', 'source <(mayfly completion zsh)'],
    ['fish', 'mayfly completion fish > ~/.config/fish/completions/mayfly.fish'],
  ]);
}
