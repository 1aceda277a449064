/** `--engine auto`: Docker where it answers, and what a data folder's apps have run on before. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { DOCKER_SOCKET } from '../support/docker.ts';
import { DockerRelay } from '../support/docker-relay.ts';
import { whyNot } from '../support/platform.ts';
import { startProgram } from '../support/program.ts';
import type { Program } from '../support/program.ts';

const NO_DOCKER = '/nonexistent/docker.sock';
const PROCESSES = /^ {2}engine +process:/m;
const DOCKER = /^ {2}engine +docker/m;

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'mayfly-e2e-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** What is said of the engine by a program that is started on the data folder, and stopped again. */
async function started(
  data: string,
  socketPath: string,
  use: (program: Program) => unknown = () => undefined,
) {
  const program = await startProgram({ engine: 'auto', data, args: ['--docker-socket', socketPath] });
  try {
    await use(program);
    return program.output();
  } finally {
    await program.stop();
  }
}

it('an app of plain processes stays one when a Docker Engine appears', async ({ skip }) => {
  const reason = await whyNot('docker');
  skip(reason !== undefined, reason);
  await using folder = await temporaryFolder();
  expect(await started(folder.path, NO_DOCKER)).toMatch(PROCESSES);
  // Nothing depends on it yet.
  expect(await started(folder.path, DOCKER_SOCKET)).toMatch(DOCKER);
  await started(folder.path, NO_DOCKER, ({ client }) =>
    client.createApp({ name: 'one', hosts: ['one.localhost'], command: ['node', 'one.mjs'], cwd: '/tmp' }),
  );
  const said = await started(folder.path, DOCKER_SOCKET);
  expect(said).toMatch(PROCESSES);
  expect(said).toContain('--engine docker');
});

it('an app on Docker is not given to plain processes when Docker is away', async ({ skip }) => {
  const reason = await whyNot('docker');
  skip(reason !== undefined, reason);
  await using folder = await temporaryFolder();
  const relay = await DockerRelay.open();
  onTestFinished(() => relay.close());
  await started(folder.path, relay.socketPath, ({ client }) =>
    client.createApp({ name: 'one', hosts: ['one.localhost'], image: 'mayfly/hello' }),
  );
  await relay.cut();
  const failed = started(folder.path, relay.socketPath);
  await expect(failed).rejects.toThrow('ended with 1');
  await expect(failed).rejects.toThrow('the apps of this data folder run on it');
  await expect(failed).rejects.toThrow('--engine process');
  await relay.mend();
  expect(await started(folder.path, relay.socketPath)).toMatch(DOCKER);
});
