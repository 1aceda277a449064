/** Mayfly itself with the apps of the differential tests behind it: a proxy for each lane, whatever host is asked for. */
import type { Endpoint } from '../../src/proxy/control-plane.ts';
import { CaseApp } from './differential.ts';
import type { Lane } from './differential.ts';
import { Recorder } from './recorder.ts';
import { activation } from './scripted-control-plane.ts';
import { testProxy } from './upstreams-proxy.ts';

const LANES = 12;
/** What leaves a connection open for more is over soon: so the end of each case can be waited for. */
const LIMITS = { lingerMs: 50, headersTimeoutMs: 1_000, keepAliveMs: 300, clientStallMs: 1_000 };

export interface Lanes extends AsyncDisposable {
  readonly requests: readonly Lane<Recorder>[];
  readonly responses: readonly Lane<CaseApp>[];
}

export async function openMayfly(transport: 'fast' | 'http'): Promise<Lanes> {
  const stack = new AsyncDisposableStack();
  const proxyTo = async (endpoint: Endpoint) => {
    const proxy = stack.use(await testProxy({ transport, limits: LIMITS }));
    const { route } = proxy.control.app('a', { activate: async () => activation([endpoint], 'warm') });
    proxy.control.resolve = async () => route;
    return proxy.port;
  };
  const requests: Lane<Recorder>[] = [];
  const responses: Lane<CaseApp>[] = [];
  for (let i = 0; i < LANES; i++) {
    const recorder = stack.use(await Recorder.open());
    requests.push({ app: recorder, port: await proxyTo(recorder.endpoint) });
    const app = stack.use(await CaseApp.open());
    responses.push({ app, port: await proxyTo(app.upstream.endpoint) });
  }
  return { requests, responses, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
