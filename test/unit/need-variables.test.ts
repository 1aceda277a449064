import { describe, expect, it } from 'vitest';
import { createBody } from '../../src/compute/docker/container-spec.ts';
import { needVariables } from '../../src/compute/need-variables.ts';

describe('the variables that say where the needs of an app are', () => {
  it('are named after them, and name the first of their hostnames', () => {
    const needs = [
      { name: 'mail-out', hosts: ['mail.example', 'post.example'] },
      { name: 'db2', hosts: ['db.example'] },
    ];
    expect(needVariables(needs, (host) => `${host}:7080`)).toEqual({
      MAYFLY_NEED_MAIL_OUT_HOST: 'mail.example',
      MAYFLY_NEED_MAIL_OUT_URL: 'http://mail.example:7080',
      MAYFLY_NEED_DB2_HOST: 'db.example',
      MAYFLY_NEED_DB2_URL: 'http://db.example:7080',
    });
  });

  it('are not there for one that no exact hostname leads to', () => {
    expect(needVariables([{ name: 'parked', hosts: [] }], (host) => host)).toEqual({});
  });

  it('give way to what the app itself sets', () => {
    const spec = {
      ...{ containerId: 'ctr_1', appId: 'app_1', revisionId: 'rev_1', port: 8080, readOnly: false },
      workload: { type: 'image', image: 'a', digest: 'sha256:0', command: null },
      env: { MAYFLY_NEED_DB_URL: 'http://elsewhere.example' },
      resources: { cpu: 1, memoryBytes: 1, pidsMax: 1 },
    } as const;
    const env = { MAYFLY_NEED_DB_URL: 'http://db.example:7080', MAYFLY_NEED_DB_HOST: 'db.example' };
    const { Env } = createBody('node_1', spec, 'sandbox', { env, hostsPath: '/hosts' }, 2);
    expect(Env).toEqual([
      'MAYFLY_NEED_DB_URL=http://elsewhere.example',
      'MAYFLY_NEED_DB_HOST=db.example',
      'PORT=8080',
    ]);
  });
});
