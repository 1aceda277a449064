/** The entry: parses the command line, and wires what it asks for. */
import { run } from './cli/main.ts';
import { up } from './up.ts';

const { stdout, stderr, stdin, env } = process;

function interrupted(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  return controller.signal;
}

process.exitCode = await run(process.argv.slice(2), { stdout, stderr, stdin, env, up, interrupted });
