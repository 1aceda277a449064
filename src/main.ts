/** The entry: parses the command line, and loads the platform itself only for a command that runs it. */
import { processIo, run } from './cli/main.ts';

const io = processIo(async (config) => (await import('./up.ts')).up(config));
process.exitCode = await run(process.argv.slice(2), io);
