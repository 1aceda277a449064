/** gRPC through the proxy, by a real client and a real server: TLS or plain in front, h2c to the app. */
import {
  credentials,
  makeGenericClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
  status,
} from '@grpc/grpc-js';
import type { ServiceDefinition, ServiceError, StatusObject } from '@grpc/grpc-js';
import type {
  ClientDuplexStream,
  ClientReadableStream,
  ClientUnaryCall,
  ClientWritableStream,
} from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/grpc-js';
import { beforeAll, describe, expect, it } from 'vitest';
import { makePair, shown } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { activation, deferred, endpoint } from '../support/scripted-control-plane.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import { until } from '../support/until.ts';

let pair: Pair;
beforeAll(async () => {
  pair = await makePair(['grpc.test']);
});

type Bytes = MethodDefinition<Buffer, Buffer>;

function method(path: string, requestStream: boolean, responseStream: boolean): Bytes {
  const same = (bytes: Buffer) => bytes;
  return {
    ...{ path: `/test.Words/${path}`, requestStream, responseStream },
    ...{
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  };
}

const WORDS = {
  shout: method('shout', false, false),
  count: method('count', true, false),
  spell: method('spell', false, true),
  chat: method('chat', true, true),
} satisfies ServiceDefinition;

/** The methods of the client that is made of them. */
interface Words {
  shout(
    word: Buffer,
    meta: Metadata,
    options: object,
    done: (error: ServiceError | null, answer?: Buffer) => void,
  ): ClientUnaryCall;
  count(done: (error: ServiceError | null, answer?: Buffer) => void): ClientWritableStream<Buffer>;
  spell(word: Buffer): ClientReadableStream<Buffer>;
  chat(): ClientDuplexStream<Buffer, Buffer>;
  close(): void;
}

/** What the server has seen of calls that were broken off. */
let cancelled = 0;

function words(): Server {
  const server = new Server();
  server.addService(WORDS, {
    shout(
      call: { request: Buffer; metadata: Metadata; once(event: 'cancelled', listener: () => void): void },
      done: (error: Partial<StatusObject> | null, answer?: Buffer, trailers?: Metadata) => void,
    ) {
      const word = call.request.toString();
      if (word === 'nothing') {
        const metadata = new Metadata();
        metadata.set('reason', 'there is no word');
        done({ code: status.NOT_FOUND, details: 'no such word', metadata });
      } else if (word === 'never') call.once('cancelled', () => cancelled++);
      else {
        const trailers = new Metadata();
        trailers.set('letters', String(word.length));
        trailers.set('from', String(call.metadata.get('x-forwarded-for')[0] ?? ''));
        done(null, Buffer.from(word.toUpperCase()), trailers);
      }
    },
    count(call: NodeJS.ReadableStream, done: (error: null, answer: Buffer) => void) {
      let bytes = 0;
      call.on('data', (chunk: Buffer) => (bytes += chunk.length));
      call.on('end', () => done(null, Buffer.from(String(bytes))));
    },
    spell(call: { request: Buffer; write(letter: Buffer): void; end(): void }) {
      for (const letter of call.request.toString()) call.write(Buffer.from(letter));
      call.end();
    },
    chat(call: NodeJS.ReadWriteStream) {
      call.on('data', (word: Buffer) => call.write(Buffer.from(`re: ${word.toString()}`)));
      call.on('end', () => call.end());
    },
  });
  return server;
}

async function world(door: 'tls' | 'plain') {
  const server = words();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const tls = {
    listen: { host: '127.0.0.1', port: 0 },
    certificates: [shown('grpc', pair, { isDefault: true })],
  };
  const proxy = await testProxy({ tls });
  const ready = deferred<null>();
  proxy.control.app('grpc', {
    activate: async () => {
      await ready.promise;
      return activation([{ ...endpoint('ctr_grpc', port, 1_000), protocol: 'h2c' }]);
    },
  });
  const Client = makeGenericClientConstructor(WORDS, 'Words');
  const [address, secret] =
    door === 'tls'
      ? [`127.0.0.1:${proxy.tlsPort ?? 0}`, credentials.createSsl(Buffer.from(pair.certPem))]
      : [`127.0.0.1:${proxy.port}`, credentials.createInsecure()];
  const client = new Client(address, secret, {
    'grpc.default_authority': 'grpc.test',
    'grpc.ssl_target_name_override': 'grpc.test',
  }) as unknown as Words;
  ready.resolve(null);
  return {
    proxy,
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      await proxy[Symbol.asyncDispose]();
      server.forceShutdown();
    },
  };
}

interface Outcome {
  readonly answer: string | undefined;
  readonly status: StatusObject;
}

function shout(client: Words, word: string, options: object = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    let answer: string | undefined;
    const call = client.shout(
      Buffer.from(word),
      new Metadata(),
      options,
      (_, bytes) => (answer = bytes?.toString()),
    );
    call.once('status', (told: StatusObject) => setImmediate(() => resolve({ answer, status: told })));
  });
}

describe.each(['tls', 'plain'] as const)('gRPC, %s in front and h2c behind', (door) => {
  it('calls a method, from the first call of a cold app on, and is told its status in trailers', async () => {
    await using w = await world(door);
    const { answer, status: told } = await shout(w.client, 'hello');
    expect(answer).toBe('HELLO');
    expect(told.code).toBe(status.OK);
    expect(told.metadata.getMap()).toMatchObject({ letters: '5', from: '127.0.0.1' });
    expect(w.proxy.snapshot()).toMatchObject({ coldStartsTotal: 1, status2xx: 1 });
  });

  it('is told a failure that is all there is of the answer', async () => {
    await using w = await world(door);
    const { status: told } = await shout(w.client, 'nothing');
    expect(told).toMatchObject({ code: status.NOT_FOUND, details: 'no such word' });
    expect(told.metadata.get('reason')).toEqual(['there is no word']);
  });

  it('streams to the app, from it, and both ways at once', async () => {
    await using w = await world(door);
    const counted = deferred<string>();
    const up = w.client.count((_, bytes) => counted.resolve(bytes?.toString() ?? 'nothing'));
    for (let i = 0; i < 50; i++) up.write(Buffer.alloc(100_000));
    up.end();
    expect(await counted.promise).toBe('5000000');

    const letters = await w.client.spell(Buffer.from('mayfly')).toArray();
    expect(letters.map(String)).toEqual(['m', 'a', 'y', 'f', 'l', 'y']);

    const chat = w.client.chat();
    const heard: string[] = [];
    chat.on('data', (bytes: Buffer) => heard.push(bytes.toString()));
    for (const word of ['one', 'two', 'three']) {
      chat.write(Buffer.from(word));
      // Each is answered before the next is said: nothing waits for the end of either side.
      await until(`the answer to ${word}`, () => heard.includes(`re: ${word}`));
    }
    chat.end();
    await new Promise((resolve) => chat.once('end', resolve));
    expect(heard).toHaveLength(3);
    await until('the slots to be free', () => w.proxy.snapshot().inFlight === 0);
  });

  it('has its deadline, and the app hears of it', async () => {
    await using w = await world(door);
    await shout(w.client, 'warm');
    cancelled = 0;
    const { status: told } = await shout(w.client, 'never', { deadline: Date.now() + 200 });
    expect(told.code).toBe(status.DEADLINE_EXCEEDED);
    await until('the app to hear of it', () => cancelled === 1);
    await until('the slot to be free', () => w.proxy.snapshot().inFlight === 0);
  });

  it('is told that a host is unknown, or an app away, in its own terms', async () => {
    await using w = await world(door);
    w.proxy.control.hosts.delete('grpc.test');
    expect((await shout(w.client, 'hello')).status.code).toBe(status.UNIMPLEMENTED); // 404
    w.proxy.control.hosts.set('grpc.test', 'away');
    w.proxy.control.app('away', { hosts: ['grpc.test'], activate: () => Promise.reject(new Error('no')) });
    w.proxy.control.dataPlane.invalidate({ appId: 'grpc', hosts: ['grpc.test'] });
    expect((await shout(w.client, 'hello')).status.code).not.toBe(status.OK);
  });
});
