import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildExampleImages, EXAMPLES, exampleImage } from '../../examples/images.ts';
import { bytes, directory, file, tar, tarBytes } from '../../examples/tar.ts';
import { createAppBody } from '../../src/coreapi/schema.ts';
import { DOCKER_SOCKET, dockerJson, whyNoDocker } from '../support/docker.ts';

const noDocker = await whyNoDocker();

test('an archive is what tar reads, and has the length that was announced', async () => {
  const entries = [
    directory('tmp', 0o1777),
    bytes('etc/hello', 'hello\n'),
    await file('bin/images', join(import.meta.dirname, '../../examples/images.ts'), 0o755),
    { name: 'inner.tar', mode: 0o644, content: { type: 'tar', entries: [bytes('deep', 'down')] } } as const,
  ];
  const pieces: Buffer[] = [];
  for await (const piece of tar(entries)) pieces.push(piece);
  const archive = Buffer.concat(pieces);
  expect(archive.length).toBe(tarBytes(entries));

  const folder = mkdtempSync(join(tmpdir(), 'mayfly-tar-'));
  try {
    const path = join(folder, 'a.tar');
    writeFileSync(path, archive);
    const listed = execFileSync('tar', ['-tvf', path], {
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
    });
    expect(
      listed.split('\n').map((line) =>
        line
          .split(/ +/)
          .filter((_, index) => index === 0 || index === 5)
          .join(' '),
      ),
    ).toEqual([
      'drwxrwxrwt tmp/',
      '-rw-r--r-- etc/hello',
      '-rwxr-xr-x bin/images',
      '-rw-r--r-- inner.tar',
      '',
    ]);
    expect(execFileSync('tar', ['-xOf', path, 'etc/hello'], { encoding: 'utf8' })).toBe('hello\n');
    const inner = execFileSync('tar', ['-xOf', path, 'inner.tar']);
    expect(execFileSync('tar', ['-xOf', '-', 'deep'], { input: inner, encoding: 'utf8' })).toBe('down');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each(EXAMPLES)('examples/%s/app.json is an app as the API takes it', (example) => {
  const path = join(import.meta.dirname, '../../examples', example, 'app.json');
  const app = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  expect(app['cwd']).toBe('.'); // relative to the file, as the command line reads it
  expect(createAppBody.parse({ ...app, cwd: '/' })).toMatchObject({
    command: ['node', 'server.mjs'],
    port: 8080,
  });
});

test('the images of the examples share their base, and are made only once', async (context) => {
  context.skip(noDocker !== undefined, noDocker);
  await buildExampleImages(DOCKER_SOCKET);
  const images = await Promise.all(
    EXAMPLES.map((example) =>
      dockerJson<{ Id: string; RootFS: { Layers: string[] } }>(
        'GET',
        `/images/${exampleImage(example)}/json`,
      ),
    ),
  );
  expect(new Set(images.map(({ RootFS }) => RootFS.Layers[0])).size).toBe(1);
  expect(new Set(images.map(({ Id }) => Id)).size).toBe(EXAMPLES.length);

  const said: string[] = [];
  await buildExampleImages(DOCKER_SOCKET, (line) => said.push(line));
  expect(said).toEqual([]);
}, 120_000);

test('images cannot be made where no engine answers, and the error names the socket', async () => {
  await expect(buildExampleImages('/nonexistent.sock')).rejects.toMatchObject({
    code: 'engine_unavailable',
    message: expect.stringContaining('/nonexistent.sock') as string,
  });
});
