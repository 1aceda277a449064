/** What the exit code of every command says; scripts depend on it, and `mayfly --help` shows it. */
import { PlatformError } from '../errors.ts';
import { inPlace } from './table.ts';

export const EXIT = {
  ok: 0,
  /** The server, or the machine, said no. */
  failed: 1,
  /** The command line, or the configuration, is wrong. */
  usage: 2,
  unreachable: 3,
  notFound: 4,
  /** 128 + SIGINT, as shells count. */
  interrupted: 130,
} as const;

export const EXIT_CODES_HELP = `Exit codes:
  0    it worked
  1    it failed: the server said no, and why
  2    the command line or the configuration is wrong
  3    the server cannot be reached
  4    there is no such thing
  130  Ctrl-C`;

/** The command line is wrong: exit code 2, whatever the server would say. */
export class UsageError extends PlatformError {
  constructor(message: string, hint?: string) {
    super('bad_request', message, hint === undefined ? {} : { hint });
  }
}

export function exitCodeOf(error: PlatformError): number {
  if (error instanceof UsageError || error.code === 'invalid_config') return EXIT.usage;
  if (error.code === 'api_unavailable') return EXIT.unreachable;
  if (error.code === 'not_found') return EXIT.notFound;
  return EXIT.failed;
}

/** `error: …`, `hint: …`, then a line for every field at fault. What others wrote may be quoted in any of them. */
export function renderError(error: PlatformError): string {
  const lines = [`error: ${error.message}`];
  if (error.hint !== undefined) lines.push(`hint: ${error.hint}`);
  // Where the only field's reason is the message already, saying it twice helps nobody.
  const [only] = error.fields.length === 1 ? error.fields : [];
  if (only === undefined || !error.message.includes(only.reason)) {
    for (const { field, reason } of error.fields) lines.push(`  ${field}: ${reason}`);
  }
  return `${inPlace(lines.join('\n'))}\n`;
}
