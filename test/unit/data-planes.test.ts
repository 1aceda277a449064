import { describe, expect, it } from 'vitest';
import { DataPlanes } from '../../src/compute/data-planes.ts';
import type { DataPlane, DrainOptions, DrainResult, Endpoint } from '../../src/proxy/control-plane.ts';
import { settle } from '../support/fake-clock.ts';

const endpoint = (containerId: string): Endpoint => ({
  containerId,
  host: '192.0.2.1',
  port: 1,
  concurrencyLimit: 10,
});

/** A data plane that notes what it is told, and whose drains end when the test says so. */
class Plane implements DataPlane {
  readonly told: string[] = [];
  readonly drains: { options: DrainOptions | undefined; answer: (result: DrainResult) => void }[] = [];

  endpoints(appId: string, endpoints: readonly Endpoint[]): void {
    this.told.push(`${appId}: ${endpoints.map(({ containerId }) => containerId).join(' ')}`);
  }

  drain(containerId: string, options?: DrainOptions): Promise<DrainResult> {
    this.told.push(`drain ${containerId}`);
    const { promise, resolve } = Promise.withResolvers<DrainResult>();
    this.drains.push({ options, answer: resolve });
    return promise;
  }

  abort(containerId: string): void {
    this.told.push(`abort ${containerId}`);
  }

  invalidate({ appId, hosts }: { readonly appId: string; readonly hosts: readonly string[] }): void {
    this.told.push(`invalidate ${appId} ${hosts.join(' ')}`);
  }
}

function setUp() {
  const planes = new DataPlanes();
  const [one, two] = [new Plane(), new Plane()];
  const leaveOne = planes.attach(one);
  const leaveTwo = planes.attach(two);
  return { planes, one, two, leaveOne, leaveTwo };
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  void promise.then(() => (pending = false));
  await settle();
  return pending;
}

describe('all data planes of a machine', () => {
  it('hear of endpoints, aborts and changes; one that joins later hears which endpoints there are', () => {
    const { planes, one, two } = setUp();
    planes.publish('a', [endpoint('a1')]);
    planes.publish('b', [endpoint('b1')]);
    planes.publish('b', []);
    planes.abort('a1');
    planes.invalidate({ appId: 'a', hosts: ['a.test'] });
    expect(one.told).toEqual(['a: a1', 'b: b1', 'b: ', 'abort a1', 'invalidate a a.test']);
    expect(two.told).toEqual(one.told);
    const late = new Plane();
    planes.attach(late);
    expect(late.told).toEqual(['a: a1']);
  });

  it('that have left hear nothing any more', () => {
    const { planes, one, leaveOne } = setUp();
    leaveOne();
    planes.publish('a', [endpoint('a1')]);
    planes.abort('a1');
    expect(one.told).toEqual([]);
  });
});

describe('a drain', () => {
  it('is done when the last of them is done', async () => {
    const { planes, one, two } = setUp();
    const drained = planes.drain('a1');
    one.drains[0]?.answer({ drained: true });
    expect(await isPending(drained)).toBe(true);
    two.drains[0]?.answer({ drained: true });
    expect(await drained).toEqual({ drained: true });
  });

  it('is done at once where there is no data plane', async () => {
    expect(await new DataPlanes().drain('a1')).toEqual({ drained: true });
  });

  it('does not wait for one that leaves: whoever has gone has nothing in flight', async () => {
    const { planes, one, leaveTwo } = setUp();
    const drained = planes.drain('a1');
    one.drains[0]?.answer({ drained: true });
    expect(await isPending(drained)).toBe(true);
    leaveTwo();
    expect(await drained).toEqual({ drained: true });
  });

  it('only of what is idle passes the condition on, and is refused when one is busy, with the latest activity', async () => {
    const { planes, one, two } = setUp();
    const three = new Plane();
    planes.attach(three);
    const drained = planes.drain('a1', { onlyIfIdleSinceMs: 500 });
    expect([one, two, three].map((plane) => plane.drains[0]?.options)).toEqual(
      Array.from({ length: 3 }, () => ({ onlyIfIdleSinceMs: 500 })),
    );
    one.drains[0]?.answer({ drained: false, lastActiveAtMs: 700 });
    two.drains[0]?.answer({ drained: true });
    three.drains[0]?.answer({ drained: false, lastActiveAtMs: 600 });
    expect(await drained).toEqual({ drained: false, lastActiveAtMs: 700 });
  });

  it('is not heard of by one that joins meanwhile: it is not told of the container at all', () => {
    const { planes } = setUp();
    planes.publish('a', [endpoint('a1'), endpoint('a2')]);
    planes.publish('b', [endpoint('b1')]);
    void planes.drain('a1', { onlyIfIdleSinceMs: 0 });
    void planes.drain('b1', { onlyIfIdleSinceMs: 0 });
    const late = new Plane();
    planes.attach(late);
    expect(late.told).toEqual(['a: a2']);
    planes.publish('b', [endpoint('b1')]); // it was busy: in use as before
    expect(late.told).toEqual(['a: a2', 'b: b1']);
  });
});
