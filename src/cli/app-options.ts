/**
 * What an app is, as options of `apps create`, `apps update` and `deploy`. They only translate: what is allowed is for
 * the server to say, which names the field.
 */
import { resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { DeployBody, PatchAppBody } from '../coreapi/schema.ts';
import { collect } from './client-options.ts';
import { UsageError } from './exit-codes.ts';
import { parsePolicy, POLICY_FIELDS } from './policy-options.ts';

/** Options as commander gives them. */
export interface AppOptions {
  readonly host?: readonly string[];
  readonly image?: string;
  readonly cwd?: string;
  readonly port?: string;
  readonly env?: readonly string[];
  readonly unsetEnv?: readonly string[];
  readonly protocol?: (typeof PROTOCOLS)[number];
  readonly probe?: string;
  readonly readOnly?: boolean;
  readonly need?: readonly string[];
  /** False: none. */
  readonly needs?: boolean;
  readonly policy?: readonly string[];
  readonly file?: string;
}

const PROTOCOLS = ['http1', 'h2c'] as const;

/** What a revision is made of: an image or a command, and how it runs. */
export function addRevisionOptions(command: Command): Command {
  return command
    .option('--image <image>', 'what to run: an image that is here or can be pulled')
    .option('--cwd <dir>', 'the folder of the COMMAND, which then runs without an image (process engine)')
    .option(
      '--port <port>',
      'where it listens (default: what the image exposes, else 8080; a command without an image: the one in PORT)',
    )
    .option('--env <key=value>', 'an environment variable; may be repeated', collect)
    .addOption(
      new Option('--protocol <protocol>', 'what it speaks; h2c is HTTP/2 without TLS, as of gRPC').choices(
        PROTOCOLS,
      ),
    )
    .option('--probe <probe>', 'how to tell that it serves: tcp, or a path that answers 200–399')
    .option('--read-only', 'its root file system cannot be written, /tmp can');
}

export function addPolicyOption(command: Command): Command {
  return command
    .option('--policy <field=value>', 'how it may run; may be repeated, fields below', collect)
    .addHelpText(
      'after',
      `\nPolicy fields:\n${listed(POLICY_FIELDS)}\nTimes are written 250ms, 30s, 5m, 1h30m or never; sizes 512MiB, 1GiB, 500MB.`,
    );
}

/** Words on lines of a readable length. */
function listed(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 74) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`  ${word}`);
  }
  return lines.join('\n');
}

export function addHostOption(command: Command): Command {
  return command.option(
    '--host <hostname>',
    'a hostname that reaches it, exact or *.example.org; may be repeated',
    collect,
  );
}

export function addNeedOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--need <app>',
      'another app that is woken before it and kept awake while it is; may be repeated, in that order',
    )
      .argParser(collect)
      .conflicts('needs'),
  );
}

export function addUnsetEnvOption(command: Command): Command {
  return command
    .option('--unset-env <key>', 'an environment variable to remove; may be repeated', collect)
    .option('--no-read-only', 'its root file system can be written');
}

/**
 * What a command line with a program names and runs: only words after `--` are the program's, one before it is more
 * likely half of an option. Errors: UsageError.
 */
export function nameAndProgram(
  { args }: Command,
  argv: readonly string[],
): { name: string | undefined; words: readonly string[] } {
  const dashes = argv.indexOf('--');
  const words = dashes < 0 ? [] : argv.slice(dashes + 1);
  const [name, stray] = args.slice(0, args.length - words.length);
  if (stray === undefined) return { name, words };
  throw new UsageError(
    `${stray} is a word too many`,
    'a program goes after --; each variable needs its own --env',
  );
}

/** The fields that were given, as the API takes them. Errors: UsageError. */
export function revisionFields(options: AppOptions, words: readonly string[]): DeployBody {
  const env: Record<string, string | null> = {};
  for (const pair of options.env ?? []) {
    const at = pair.indexOf('=');
    if (at < 1)
      throw new UsageError(`--env ${pair} has no value`, 'write it as KEY=VALUE; KEY= is an empty value');
    env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  for (const key of options.unsetEnv ?? []) {
    if (typeof env[key] === 'string')
      throw new UsageError(`--env ${key} and --unset-env ${key} contradict each other`);
    env[key] = null;
  }
  return {
    ...(options.image !== undefined && { image: options.image }),
    ...(words.length > 0 && { command: [...words] }),
    ...(options.cwd !== undefined && { cwd: resolve(options.cwd) }),
    ...(options.port !== undefined && { port: wholeNumber('--port', options.port) }),
    ...(Object.keys(env).length > 0 && { env }),
    ...(options.protocol !== undefined && { protocol: options.protocol }),
    ...(options.probe !== undefined && { probe: parseProbe(options.probe) }),
    ...(options.readOnly !== undefined && { readOnly: options.readOnly }),
  };
}

/** Everything about an app that options can say. */
export function appFields(options: AppOptions, words: readonly string[]): PatchAppBody {
  return {
    ...(options.host && { hosts: [...options.host] }),
    ...revisionFields(options, words),
    ...(options.need && { needs: [...options.need] }),
    ...(options.needs === false && { needs: [] }),
    ...(options.policy && { policy: parsePolicy(options.policy) }),
  };
}

/** Errors: `UsageError`, which names the option. */
export function wholeNumber(option: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`${option} ${text}: must be a whole number`);
}

function parseProbe(text: string): { type: 'tcp' } | { type: 'http'; path: string } {
  if (text === 'tcp') return { type: 'tcp' };
  if (text.startsWith('/')) return { type: 'http', path: text };
  throw new UsageError(`--probe ${text}: must be tcp, or a path such as /healthz`);
}
