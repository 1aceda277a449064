/** What must not get out: the platform's ports to containers, the tenants' secrets to logs and events, tokens to the disk. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { buildTestImage, engineIdOf, execIn, whyNoDocker } from '../support/docker.ts';
import { describeOnEngines, Platform } from '../support/platform.ts';
import { StartGate } from '../support/start-gate.ts';

const SECRET = 'correct-horse-battery-staple-4711';

describeOnEngines('a secret', (shared) => {
  it('in the environment of an app is in no event and in nothing that the program says', async () => {
    const platform = shared();
    await platform.create('keeper', { env: { SECRET } });
    await platform.who('keeper');
    await platform.client.deployApp('keeper', { env: { GREETING: 'second' } });
    await platform.who('keeper');
    await platform.client.patchApp('keeper', { env: { SECRET: `${SECRET}-changed` } });
    await platform.client.deleteApp('keeper');

    const events = await platform.client.listEvents({ limit: 1_000 });
    expect(events.length).toBeGreaterThan(5);
    expect(JSON.stringify(events)).not.toContain(SECRET);
    expect(platform.program.output()).not.toContain(SECRET);
    expect(platform.program.output()).not.toContain(platform.program.token);
  });

  it('that is a token is in no file of the data folder in clear', async () => {
    const platform = shared();
    await platform.client.listApps();
    const files = readdirSync(platform.data, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name);
    expect(files).toContain('mayfly.db');
    for (const file of files) {
      const content = readFileSync(join(platform.data, file));
      expect(content.includes(platform.program.token), file).toBe(false);
    }
  });
});

it('no container reaches the ports of the platform, though they listen on every address', async ({
  skip,
}) => {
  const reason = await whyNoDocker();
  skip(reason !== undefined, reason);
  const image = await buildTestImage();
  try {
    const everywhere = ['--proxy-host', '0.0.0.0', '--api-host', '0.0.0.0'];
    await using platform = await Platform.open('docker', everywhere);
    await platform.client.createApp({ name: 'spy', hosts: ['spy.localhost'], image: image.name, port: 8080 });
    expect(await platform.get('spy')).toMatchObject({ status: 200, body: 'hello\n' });
    const { id } = await platform.container('spy');
    const engineId = await engineIdOf(id);
    const route = await execIn(engineId, ['cat', '/proc/net/route']);
    const hex = /^\S+\s+00000000\s+([0-9A-F]{8})/m.exec(route.output)?.[1] ?? '';
    const gateway = (hex.match(/../g) ?? [])
      .reverse()
      .map((byte) => parseInt(byte, 16))
      .join('.');
    const ask = async (port: number) => {
      const line = `printf 'GET / HTTP/1.0\\r\\nHost: spy.localhost\\r\\n\\r\\n' | nc -w 3 ${gateway} ${port}`;
      return (await execIn(engineId, ['sh', '-c', line])).output;
    };
    await using open = await StartGate.open(() => 'go');
    expect(await ask(Number(open.env.GATE_PORT))).toContain('200 OK'); // what anybody else binds there is reached
    expect(await ask(platform.program.proxyPort)).toBe('');
    expect(await ask(Number(new URL(platform.program.apiUrl).port))).toBe('');
    // The machine itself is let in: it is the containers that are not.
    expect(await platform.get('spy')).toMatchObject({ status: 200 });
  } finally {
    await image.remove();
  }
}, 60_000);
