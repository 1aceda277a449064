import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sandboxImage, sandboxProgram, tarOf } from '../../src/compute/docker/sandbox-image.ts';
import { until } from '../support/until.ts';

const HERE = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];

describe('the program of a sandbox', () => {
  it.skipIf(HERE === undefined)('runs here, sleeps, and ends when it is told to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mayfly-sandbox-'));
    try {
      const path = join(folder, 'sandbox');
      await writeFile(path, sandboxProgram(HERE ?? '') ?? '', { mode: 0o755 });
      const child = spawn(path, { stdio: 'ignore' });
      const gone = once(child, 'exit');
      await once(child, 'spawn');
      await until('it to sleep', () =>
        /^State:\s+S/m.test(readFileSync(`/proc/${child.pid ?? 0}/status`, 'utf8')),
      );
      child.kill();
      expect(await gone).toEqual([null, 'SIGTERM']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each(['amd64', 'arm64'])('for %s is an executable of less than 200 bytes', (arch) => {
    const program = sandboxProgram(arch);
    expect(program?.subarray(0, 4).toString('latin1')).toBe('\x7fELF');
    expect(program?.length).toBeLessThan(200);
  });

  it('is another image for another machine, the same for the same, and none for an unknown one', () => {
    expect(sandboxImage('amd64')?.tag).toBe(sandboxImage('amd64')?.tag);
    expect(sandboxImage('amd64')?.tag).not.toBe(sandboxImage('arm64')?.tag);
    expect(sandboxImage('s390x')).toBeUndefined();
  });

  it('is packed as an archive that tar can read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mayfly-tar-'));
    try {
      await writeFile(join(folder, 'one.tar'), tarOf('sandbox', Buffer.from('x'.repeat(700))));
      const child = spawn('tar', ['-tvf', join(folder, 'one.tar'), '--numeric-owner']);
      let listed = '';
      child.stdout.on('data', (chunk: Buffer) => (listed += chunk.toString()));
      const [code] = (await once(child, 'close')) as [number];
      expect({ code, listed: listed.replace(/\s+/g, ' ') }).toEqual({
        code: 0,
        listed: expect.stringMatching(/^-rwxr-xr-x 0\/0 700 .* sandbox $/) as string,
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
