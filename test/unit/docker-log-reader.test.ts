import type { RequestListener } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { DockerApi } from '../../src/compute/docker/api.ts';
import { LogReader, MAX_READERS_OF_ONE } from '../../src/compute/docker/log-reader.ts';
import { scriptedDocker } from '../support/scripted-docker.ts';
import type { ScriptedDocker } from '../support/scripted-docker.ts';
import { until } from '../support/until.ts';

const silent: RequestListener = () => {};
/** The log is there, and nothing is printed. */
const quiet: RequestListener = (_, answer) => answer.writeHead(200).flushHeaders();

describe('the reader of logs', () => {
  let engine: ScriptedDocker;
  let api: DockerApi;
  let reader: LogReader;

  afterEach(async () => {
    api.close();
    await engine.close();
  });

  async function open(answer: RequestListener) {
    engine = await scriptedDocker(answer);
    api = new DockerApi({ socketPath: engine.socketPath });
    reader = new LogReader(api);
  }

  /** Begins to read; `ended` resolves with the error, if there is one. */
  function read(engineId: string, follow: boolean) {
    const giveUp = new AbortController();
    const lines = reader.read(engineId, { follow, tailLines: 10, signal: giveUp.signal });
    const ended = lines.next().then(
      () => undefined,
      (error: unknown) => error,
    );
    return { giveUp: () => giveUp.abort(), ended };
  }

  it.each([
    { engine: 'that is silent', answer: silent, follow: false },
    { engine: 'that is silent', answer: silent, follow: true },
    { engine: 'that has answered', answer: quiet, follow: true },
  ])('who gives up lets go of an engine $engine at once (follow: $follow)', async ({ answer, follow }) => {
    await open(answer);
    const { giveUp, ended } = read('one', follow);
    await until('the question', async () => (await engine.connections()) === 1);
    giveUp();
    expect(await ended).toBeUndefined();
    await until('the connection to be closed', async () => (await engine.connections()) === 0);
  });

  it('lets so many read the log of one container and no more, and others read that of another', async () => {
    await open(quiet);
    const readers = Array.from({ length: MAX_READERS_OF_ONE }, () => read('one', true));
    const all = (count: number) =>
      until(`${count} to read`, async () => (await engine.connections()) === count);
    await all(MAX_READERS_OF_ONE);
    expect(await read('one', false).ended).toMatchObject({
      code: 'quota_exceeded',
      message: expect.stringContaining(String(MAX_READERS_OF_ONE)) as string,
    });
    readers.push(read('another', true));
    await all(MAX_READERS_OF_ONE + 1);

    const [first] = readers;
    first?.giveUp();
    await first?.ended;
    readers.push(read('one', true));
    await all(MAX_READERS_OF_ONE + 1);
    for (const { giveUp } of readers) giveUp();
    expect(await Promise.all(readers.map(({ ended }) => ended))).not.toContainEqual(expect.anything());
  });
});
