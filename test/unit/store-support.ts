/** Folders and child processes of the store's tests; nothing of either is left after a test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { openSqliteStore, type SqliteStoreOptions } from '../../src/cmdb/sqlite.ts';
import type { Store } from '../../src/cmdb/store.ts';

const CHILD = join(import.meta.dirname, 'store-child.ts');

export interface Child {
  readonly process: ChildProcess;
  /** What it has written so far, up to the last whole line. */
  lines(): string[];
  stderr(): string;
  /** Its exit code, or the signal that ended it, once its output has been read whole. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** To be called once in a test file: gives folders, stores and children, and takes them back after each test. */
export function storeSupport() {
  const folders: string[] = [];
  const stores: Store[] = [];
  const children: Child[] = [];

  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.process.kill('SIGKILL');
      await child.ended;
    }
    for (const store of stores.splice(0)) await store.close();
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  });

  function newFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'mayfly-store-'));
    folders.push(folder);
    return folder;
  }

  function open(options: SqliteStoreOptions): Store {
    const store = openSqliteStore(options);
    stores.push(store);
    return store;
  }

  /** Runs a task of store-child.ts, where told in a shell that first sets limits. */
  function start(args: readonly string[], shellPrefix = ''): Child {
    const command = `${shellPrefix} exec "$0" "$@"`;
    const child = spawn('/bin/sh', ['-c', command, process.execPath, CHILD, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
    const started = {
      process: child,
      lines: () => stdout.split('\n').slice(0, -1),
      stderr: () => stderr,
      ended,
    };
    children.push(started);
    return started;
  }

  return { newFolder, newPath: () => join(newFolder(), 'cmdb.sqlite'), open, start };
}
