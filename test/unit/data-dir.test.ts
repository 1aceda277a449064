import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { lockFile } from '../../src/cmdb/sqlite.ts';
import { openDataDir, type DataDir } from '../../src/data-dir.ts';
import { PlatformError } from '../../src/errors.ts';

const MODULE = join(import.meta.dirname, '../../src/data-dir.ts');
const SQLITE = join(import.meta.dirname, '../../src/cmdb/sqlite.ts');

const folders: string[] = [];
const children: ChildProcess[] = [];
/** Held, as a program holds it for as long as it runs. */
const opened: DataDir[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  for (const dataDir of opened.splice(0)) dataDir.release();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-data-'));
  folders.push(folder);
  return folder;
}

function open(path: string): DataDir {
  const dataDir = openDataDir(path, lockFile);
  opened.push(dataDir);
  return dataDir;
}

/** Another program that opens the folder and stays. Resolves to its first line: `in` or why it was refused. */
async function program(path: string): Promise<{ child: ChildProcess; said: string }> {
  const script = `
    import { lockFile } from ${JSON.stringify(SQLITE)};
    import { openDataDir } from ${JSON.stringify(MODULE)};
    try { globalThis.held = openDataDir(${JSON.stringify(path)}, lockFile); console.log('in'); }
    catch (error) { console.log(error.message); }
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  children.push(child);
  const [said] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  return { child, said: said.trim() };
}

function refusal(work: () => unknown): PlatformError {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof PlatformError) return thrown;
    throw thrown;
  }
  throw new Error('it was not refused');
}

describe('the data directory', () => {
  it('is made where there is none, for its owner alone, and keeps the node its id', () => {
    const folder = newFolder();
    const path = join(folder, 'a/b/c');
    const first = open(path);
    for (const made of ['a', 'a/b', 'a/b/c']) expect(statSync(join(folder, made)).mode & 0o777).toBe(0o700);
    expect(first).toMatchObject({ path, databasePath: join(path, 'mayfly.db') });
    expect(first.nodeId([])).toMatch(/^node_/);
    first.release();
    expect(open(path).nodeId([])).toBe(first.nodeId([]));
  });

  it('is free for another program when it is let go', async () => {
    const path = newFolder();
    const dataDir = open(path);
    expect((await program(path)).said).toContain(`in use by process ${process.pid}`);
    dataDir.release();
    expect((await program(path)).said).toBe('in');
  });

  it('is refused while another program has it, by path and process id, and that one keeps it', async () => {
    const path = newFolder();
    const { child, said } = await program(path);
    expect(said).toBe('in');
    const error = refusal(() => open(path));
    expect(error.code).toBe('invalid_config');
    expect(error.message).toBe(`the data directory ${path} is in use by process ${child.pid ?? 0}`);
    expect(error.hint).toContain('--data');
    expect((await program(path)).said).toContain(`in use by process ${child.pid ?? 0}`);
  });

  it('is taken over from a program that was killed', async () => {
    const path = newFolder();
    const { child } = await program(path);
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(open(path).path).toBe(path);
  });

  it('is refused also to a program that does not see the process of the one that has it', async () => {
    const path = newFolder();
    await program(path);
    // As that one calls itself in a container of its own: here the number is another's, who started later.
    writeFileSync(join(path, 'lock.pid'), `${process.pid} 1\n`);
    expect(refusal(() => open(path)).message).toMatch(
      /is in use by a program whose process is not seen here/,
    );
  });

  it('has one user, however many come at the same instant', async () => {
    const path = newFolder();
    const came = await Promise.all(Array.from({ length: 6 }, () => program(path)));
    expect(came.filter(({ said }) => said === 'in').length).toBe(1);
    for (const { said } of came) expect(said).toMatch(/^in$|is in use by /);
  });

  it('gives a new id where a crash left an empty file, rather than no id at all', () => {
    const path = newFolder();
    writeFileSync(join(path, 'node-id'), '');
    const dataDir = open(path);
    expect(dataDir.nodeId([])).toMatch(/^node_/);
    dataDir.release();
    expect(open(path).nodeId([])).toBe(dataDir.nodeId([]));
  });

  it('without the id’s file is that of the node that its database knows, if that knows one alone', () => {
    const [restored, several, new_] = [newFolder(), newFolder(), newFolder()];
    expect(open(restored).nodeId(['node_a'])).toBe('node_a');
    expect(readFileSync(join(restored, 'node-id'), 'utf8')).toBe('node_a\n');
    expect(['node_a', 'node_b']).not.toContain(open(several).nodeId(['node_a', 'node_b']));
    const id = open(new_).nodeId([]);
    expect(readFileSync(join(new_, 'node-id'), 'utf8')).toBe(`${id}\n`);
  });

  it('that cannot be written is refused by name, with the way out', () => {
    const file = join(newFolder(), 'file');
    writeFileSync(file, '');
    const error = refusal(() => open(join(file, 'data')));
    expect(error.code).toBe('invalid_config');
    expect(error.message).toContain(join(file, 'data'));
    expect(error.hint).toContain('--data');
  });

  // In a process of its own: Node's `recursive` does not come to an end here.
  it('below a folder that can have no others, as in /proc, is refused at once', async () => {
    const { said } = await program('/proc/mayfly/data');
    expect(said).toContain('/proc/mayfly/data');
    const error = refusal(() => open('/proc/mayfly/data'));
    expect(error).toMatchObject({
      code: 'invalid_config',
      hint: expect.stringContaining('--data') as string,
    });
  });

  it('that is a link which leads nowhere is refused, and nothing is made of it', () => {
    const folder = newFolder();
    const link = join(folder, 'link');
    symlinkSync(join(folder, 'nowhere'), link);
    for (const path of [link, join(link, 'data')]) {
      const error = refusal(() => open(path));
      expect(error.code).toBe('invalid_config');
      expect(error.message).toContain(path);
    }
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readdirSync(folder)).toEqual(['link']);
  });
});
