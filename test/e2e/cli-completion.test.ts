import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TestContext } from 'vitest';
import { SHELLS } from '../../src/cli/completion.ts';
import { mayfly } from '../support/cli.ts';

const scripts = new Map<string, string>();
const script = (shell: string) => scripts.get(shell) ?? '';
beforeAll(async () => {
  for (const shell of SHELLS) scripts.set(shell, (await mayfly(['completion', shell])).stdout);
});

/** Runs a program of that shell that finds the completion script loaded. */
function inShell(shell: string, flags: readonly string[], program: string): string {
  const { stdout, stderr, status } = spawnSync(shell, [...flags, '-c', program], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** In CI everything has to be there. */
function skipWithout(shell: string, { skip }: TestContext): void {
  const installed = spawnSync(shell, ['-c', 'exit 0']).status === 0;
  skip(!installed && process.env['CI'] !== 'true', `${shell} is not installed`);
}

describe('bash completes', () => {
  /** What is offered for the last of these words. */
  const offers = (...words: string[]) => {
    const line = words.map((word) => `'${word}'`).join(' ');
    const program = `COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _mayfly; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return inShell('bash', ['--norc', '--noprofile'], `${script('bash')}\n${program}`)
      .split('\n')
      .filter(Boolean);
  };

  test('commands, and commands below them', () => {
    expect(offers('mayfly', 'ev')).toEqual(['events']);
    expect(offers('mayfly', 'apps', '')).toEqual([
      'create',
      'list',
      'show',
      'update',
      'scale',
      'delete',
      'help',
    ]);
    expect(offers('mayfly', 'apps', 'cr')).toEqual(['create']);
  });

  test('the options of the command that was typed', () => {
    expect(offers('mayfly', 'up', '--api')).toEqual(['--api-port', '--api-host']);
    expect(offers('mayfly', 'apps', 'create', 'hello', '--pol')).toEqual(['--policy']);
    expect(offers('mayfly', 'logs', 'hello', '--fo')).toEqual(['--follow']);
    expect(offers('mayfly', 'ps', '--follow')).toEqual([]);
  });

  test('the values of options and arguments that have a choice', () => {
    expect(offers('mayfly', 'up', '--engine', '')).toEqual(['auto', 'docker', 'process']);
    expect(offers('mayfly', 'completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  test('files where an option takes one', () => {
    expect(offers('mayfly', 'apps', 'create', '--file', '/etc/pass')).toContain('/etc/passwd');
  });
});

test('zsh completes commands with what they do, and options with their choices', (context) => {
  skipWithout('zsh', context);
  // These stand in for the parts of zsh's completion system that show what is offered.
  const shows = `
    compdef() {}
    _describe() { print -l -- "\${(@P)4}"; }
    compadd() { shift; print -l -- "$@"; }
    _files() { print files; }`;
  const offers = (words: string) =>
    inShell(
      'zsh',
      ['-f'],
      `${shows}\n${script('zsh')}\nwords=(${words}); CURRENT=\${#words}; PREFIX=\${words[-1]}; _mayfly`,
    );
  expect(offers("mayfly apps ''")).toContain('show:show all about an app\n');
  expect(offers('mayfly ps --j')).toContain('--json:for scripts\n');
  expect(offers("mayfly up --engine ''")).toBe('auto\ndocker\nprocess\n');
  expect(offers("mayfly up --data ''")).toBe('files\n');
});

test('fish completes commands with what they do, options, and their choices', (context) => {
  skipWithout('fish', context);
  const offers = (line: string) =>
    inShell('fish', ['--no-config'], `${script('fish')}\ncomplete --do-complete ${JSON.stringify(line)}`);
  expect(offers('mayfly apps sh')).toBe('show\tshow all about an app\n');
  expect(offers('mayfly up --proxy-p')).toMatch(/^--proxy-port\t/);
  expect(offers('mayfly up --engine d')).toMatch(/^docker\b/);
});
