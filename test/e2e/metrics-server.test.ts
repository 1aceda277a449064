import { expect, it } from 'vitest';
import { silentLog } from '../../src/log.ts';
import { startMetricsServer } from '../../src/metrics/server.ts';
import { Networks } from '../../src/networks.ts';
import { statusFrom } from '../support/connect-from.ts';

it('metrics are not for containers: no connection from their networks is taken', async () => {
  const server = await startMetricsServer({
    listen: { host: '127.0.0.1', port: 0 },
    render: () => Promise.resolve('up 1\n'),
    log: silentLog,
    refuseFrom: new Networks(['127.0.0.2/32']),
  });
  try {
    expect(await statusFrom('127.0.0.1', server.port, '/metrics')).toBe('HTTP/1.1 200');
    expect(await statusFrom('127.0.0.2', server.port, '/metrics')).toBe('');
  } finally {
    await server.close();
  }
});
