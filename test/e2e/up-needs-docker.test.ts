/** A container reaches the apps that its own needs, through the inside door, and nothing else of the platform. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { docker, dockerJson, execIn } from '../support/docker.ts';
import { Platform, whyNot } from '../support/platform.ts';
import { get } from '../support/program.ts';
import { until } from '../support/until.ts';

/** Every node has its own gateway, so all of them can have the same. */
const PORT = 7080;
const missing = await whyNot('docker');

/** What came of a request from inside a container. */
interface Asked {
  readonly status?: number;
  readonly code?: string;
  readonly body?: string;
  readonly error?: string;
  /** On a connection that had served one before. */
  readonly reused?: boolean;
}

const at = (name: string, path = '/') => `http://${name}.localhost:${PORT}${path}`;

describe.skipIf(missing !== undefined).each([1, 2])(
  `a container of an app that needs others, with the proxy in %i processes ${missing ?? ''}`,
  (workers) => {
    let platform: Platform;

    beforeAll(async () => {
      const open = ['--proxy-host', '0.0.0.0', '--api-host', '0.0.0.0'];
      platform = await Platform.open('docker', ['--workers', String(workers), ...open]);
    });
    afterAll(() => platform[Symbol.asyncDispose]());

    async function ask(name: string, url: string, host?: string): Promise<Asked> {
      const query = new URLSearchParams({ url, ...(host !== undefined && { host }) });
      const answer = await platform.get(name, `/ask?${query.toString()}`);
      expect(answer.status, answer.body).toBe(200);
      return JSON.parse(answer.body) as Asked;
    }

    async function gateway(): Promise<string> {
      const network = `/networks/mayfly-${platform.nodeId}`;
      const { IPAM } = await dockerJson<{ IPAM: { Config: { Gateway: string }[] } }>('GET', network);
      return IPAM.Config[0]?.Gateway ?? '';
    }

    const wasStarted = async (name: string) => (await platform.story(name)).includes('container.planned');

    it('reaches them by their hostname and by variables, as a visitor from its own address', async () => {
      await platform.create('data-base', { app: 'asker' });
      await platform.create('front', { app: 'asker', needs: ['data-base'] });
      const variables = JSON.parse((await platform.get('front', '/environment')).body) as object;
      expect(variables).toMatchObject({
        MAYFLY_NEED_DATA_BASE_HOST: 'data-base.localhost',
        MAYFLY_NEED_DATA_BASE_URL: `http://data-base.localhost:${PORT}`,
      });
      const { status, body = '{}' } = await ask('front', at('data-base', '/headers'));
      expect(status, body).toBe(200);
      expect(JSON.parse(body)).toMatchObject({
        host: `data-base.localhost:${PORT}`,
        'x-forwarded-for': (await platform.container('front')).address?.host,
        'x-forwarded-proto': 'http',
      });
    });

    it('is refused what its app does not need, which is not woken; whether there is such a host is not said', async () => {
      await platform.create('stranger');
      await platform.create('alone', { app: 'asker', needs: [] });
      const door = `http://${await gateway()}:${PORT}/`;
      const [known, unknown, api] = [
        await ask('alone', door, 'stranger.localhost'),
        await ask('alone', door, 'nobody.localhost'),
        await ask('alone', door, new URL(platform.program.apiUrl).host),
      ];
      expect(known).toMatchObject({ status: 403, code: 'need_missing' });
      expect(known.body).toContain('mayfly apps update alone --need NAME');
      expect(unknown).toMatchObject({
        status: 403,
        body: known.body?.replace('stranger.localhost', 'nobody.localhost'),
      });
      expect(api).toMatchObject({ status: 403, code: 'need_missing' });
      expect(await wasStarted('stranger')).toBe(false);
    });

    it('is let in, and refused, by the next request after its needs have changed, on the same connection', async () => {
      await platform.create('late');
      await platform.create('changing', { app: 'asker' });
      const door = `http://${await gateway()}:${PORT}/`;
      /** Told by the program itself, a change is known with the next request; workers hear of it a moment later. */
      const answers = async (status: number, host = 'late.localhost') => {
        const next = async () => (await ask('changing', door, host)).status;
        if (workers === 1) expect(await next()).toBe(status);
        else await until(`${host} to answer ${status}`, async () => (await next()) === status);
      };
      await answers(403);
      expect(await wasStarted('late')).toBe(false);
      await platform.client.patchApp('changing', { needs: ['late'] });
      await answers(200);
      await platform.client.patchApp('changing', { needs: [] });
      await answers(403);
      await platform.client.patchApp('changing', { needs: ['late'] });
      await platform.client.patchApp('late', { hosts: ['elsewhere.localhost'] });
      await answers(403);
      await answers(200, 'elsewhere.localhost');
      expect(await ask('changing', door, 'elsewhere.localhost')).toMatchObject({ status: 200, reused: true });
    });

    it('is answered by what it needs although that has died: it is started again for the request', async () => {
      await platform.create('mortal');
      await platform.create('insisting', { app: 'asker', needs: ['mortal'] });
      expect(await ask('insisting', at('mortal'))).toMatchObject({ status: 200 });
      const { id } = await platform.container('mortal');
      const engineId = (await platform.running()).get(id) ?? '';
      await docker('POST', `/containers/${engineId}/kill`);
      expect(await ask('insisting', at('mortal'))).toMatchObject({ status: 200 });
      expect((await platform.container('mortal')).id).not.toBe(id);
    });

    it('reaches neither the proxy’s other doors nor the Core API, and the door is at no other address', async () => {
      await platform.create('target');
      await platform.create('curious', { app: 'asker', needs: ['target'] });
      const host = await gateway();
      for (const port of [platform.program.proxyPort, Number(new URL(platform.program.apiUrl).port)])
        expect(await ask('curious', `http://${host}:${port}/`, 'target.localhost')).toEqual({
          error: expect.stringMatching(/^ECONN|hang up/) as string,
        });
      const { IPAM } = await dockerJson<{ IPAM: { Config: { Gateway: string }[] } }>(
        'GET',
        '/networks/bridge',
      );
      const other = IPAM.Config[0]?.Gateway ?? '';
      expect(await ask('curious', `http://${other}:${PORT}/`, 'target.localhost')).toEqual({
        error: 'ECONNREFUSED',
      });
    });

    it('is the only one who is let in: not this machine, and not a container of somebody else', async () => {
      await platform.create('open');
      const host = await gateway();
      await expect(get(PORT, '/', { host: 'open.localhost' }, host)).rejects.toThrow(/hang up|ECONNRESET/);
      const script = `
        const { get } = require('node:http');
        get({ host: '${host}', port: ${PORT}, headers: { host: 'open.localhost' } }, (answer) =>
          process.exit(answer.statusCode === 200 ? 1 : 2)).on('error', () => process.exit(0));`;
      const { Id } = await dockerJson<{ Id: string }>('POST', '/containers/create', {
        Image: 'mayfly/hello',
        Cmd: ['node', '--eval', script],
      });
      try {
        await docker('POST', `/containers/${Id}/start`);
        const { StatusCode } = await dockerJson<{ StatusCode: number }>('POST', `/containers/${Id}/wait`);
        expect(StatusCode).toBe(0);
      } finally {
        await docker('DELETE', `/containers/${Id}?force=true`);
      }
      expect(await wasStarted('open')).toBe(false);
    });

    it('finds itself by its hostname as in any container, and cannot change who is meant by a name', async () => {
      await platform.create('named');
      await platform.create('naming', { app: 'asker', needs: ['named'] });
      await platform.get('naming');
      const { id, address } = await platform.container('naming');
      const engineId = (await platform.running()).get(id) ?? '';
      const script = `
        const { lookup } = require('node:dns/promises');
        const { writeFileSync } = require('node:fs');
        let code = 'written';
        try { writeFileSync('/etc/hosts', ''); } catch (error) { ({ code } = error); }
        const names = [require('node:os').hostname(), 'localhost', 'named.localhost'];
        Promise.all(names.map((name) => lookup(name, 4))).then((found) =>
          console.log([...found.map(({ address }) => address), code].join(' ')));`;
      const { output } = await execIn(engineId, ['node', '--eval', script]);
      expect(output.trim()).toBe(`${address?.host ?? ''} 127.0.0.1 ${await gateway()} EROFS`);
    });

    it('goes on reaching them after kill -9 of the program, and its file goes with it', async () => {
      await platform.create('lasting');
      const app = await platform.create('keeping', { app: 'asker', needs: ['lasting'] });
      await platform.get('keeping');
      const { id } = await platform.container('keeping');
      const files = () => readdirSync(join(platform.data, 'docker', 'hosts'));
      expect(files()).toContain(id);
      await platform.kill();
      await platform.start(['--workers', String(workers)]);
      expect((await platform.container('keeping')).id).toBe(id);
      expect(await ask('keeping', at('lasting'))).toMatchObject({ status: 200 });
      await platform.client.deleteApp(app.name);
      await until('the file to be removed', () => !files().includes(id));
    });
  },
);
