/** A proxy on a free port, between scripted control plane and real upstreams. */
import { request } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { systemClock } from '../../src/clock.ts';
import { startProxy } from '../../src/proxy/server.ts';
import type { Proxy, ProxyOptions } from '../../src/proxy/server.ts';
import { transportUnderTest } from './proxy-transport.ts';
import { ScriptedControlPlane } from './scripted-control-plane.ts';
import { readBody } from './upstreams.ts';

export interface TestProxy extends Proxy, AsyncDisposable {
  readonly control: ScriptedControlPlane;
  /** What the proxy told its operator. */
  readonly logged: { level: 'warn' | 'error'; fields: object; message: string }[];
}

export async function testProxy(
  options: Partial<Omit<ProxyOptions, 'control' | 'log' | 'clock'>> & { control?: ScriptedControlPlane } = {},
): Promise<TestProxy> {
  const control = options.control ?? new ScriptedControlPlane();
  const logged: TestProxy['logged'] = [];
  const proxy = await startProxy({
    listen: { host: '127.0.0.1', port: 0 },
    transport: transportUnderTest(),
    ...options,
    control,
    clock: systemClock,
    log: {
      warn: (fields, message) => logged.push({ level: 'warn', fields, message }),
      error: (fields, message) => logged.push({ level: 'error', fields, message }),
    },
  });
  return { ...proxy, control, logged, [Symbol.asyncDispose]: () => proxy.close({ graceMs: 0 }) };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly body: Buffer;
  readonly text: string;
}

export type AskOptions = RequestOptions & { host?: string; body?: string | Buffer };

/** One request through the proxy on a connection of its own. `host` is the hostname asked for. */
export function ask(
  proxy: { port: number },
  { host = 'a.test', body, ...options }: AskOptions = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request({
      agent: false,
      ...options,
      host: '127.0.0.1',
      port: proxy.port,
      headers: { host, ...(options.headers as Record<string, string> | undefined) },
    });
    req.once('error', reject);
    req.once('response', (res) => {
      readBody(res).then((bytes) => {
        resolve({
          status: res.statusCode ?? 0,
          headers: res.headers,
          rawHeaders: res.rawHeaders,
          trailers: res.trailers,
          body: bytes,
          text: bytes.toString(),
        });
      }, reject);
    });
    req.end(body);
  });
}
