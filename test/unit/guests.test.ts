/** Who a container's connection belongs to, and what it may ask for: where addresses pass on and needs change. */
import { describe, expect, it } from 'vitest';
import type { PlatformError } from '../../src/errors.ts';
import type { GuestRights } from '../../src/proxy/control-plane.ts';
import { Dispatcher } from '../../src/proxy/dispatcher.ts';
import type { Guest } from '../../src/proxy/guests.ts';
import { Lease } from '../../src/proxy/lease.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { endpoint, ScriptedControlPlane } from '../support/scripted-control-plane.ts';

const ADDRESS = '172.18.0.2';

/** Counts what it is asked, and answers when the test says so where that says `later`. */
class Control extends ScriptedControlPlane {
  asked = 0;
  answers: (() => void)[] | undefined;

  override async guest(address: string): Promise<GuestRights | undefined> {
    this.asked++;
    const answer = await super.guest(address);
    if (this.answers !== undefined) await new Promise<void>((resolve) => this.answers?.push(() => resolve()));
    return answer;
  }
}

/** `front` needs `api`; `other` is an app as well. Both run. */
async function world(needs: readonly string[] = ['api']) {
  const control = new Control();
  const dispatcher = new Dispatcher({ control, clock: new FakeClock() });
  for (const appId of ['api', 'other']) {
    control.app(appId);
    dispatcher.endpoints(appId, [endpoint(`${appId}-1`)]);
  }
  const needsNow = (ids: readonly string[], containerId = 'front-1') =>
    control.guests.set(ADDRESS, { containerId, appName: 'front', needs: ids });
  needsNow(needs);
  const guest = dispatcher.guests.enter(ADDRESS);
  await settle();
  const changed = () => dispatcher.invalidate({ appId: 'front', hosts: [] });
  return { control, dispatcher, guest, needsNow, changed };
}

/** The container that a request was given, or why it was refused. */
async function outcome(dispatcher: Dispatcher, guest: Guest, host: string): Promise<string> {
  try {
    const lease = await dispatcher.acquire(host, { bodyBytes: 0, guest });
    lease.release();
    return lease.endpoint.containerId;
  } catch (error) {
    return (error as PlatformError).code;
  }
}

describe('a container that asks for other apps', () => {
  it('is given what its app needs, and refused all else alike, without anybody being woken', async () => {
    const { control, dispatcher, guest } = await world();
    control.app('asleep');
    expect(await outcome(dispatcher, guest, 'api.test')).toBe('api-1');
    for (const host of ['other.test', 'asleep.test', 'nobody.test'])
      expect(await outcome(dispatcher, guest, host)).toBe('need_missing');
    expect(control.activated).toEqual([]);
  });

  it('waits for nothing and asks nothing where all is known, like any visitor', async () => {
    const { control, dispatcher, guest } = await world();
    await outcome(dispatcher, guest, 'api.test');
    const lease = dispatcher.acquire('api.test', { bodyBytes: 0, guest });
    expect(lease).toBeInstanceOf(Lease);
    expect([control.asked, control.resolved.length]).toEqual([1, 1]);
  });

  it('is told apart from a visitor, who is given what nobody needs', async () => {
    const { dispatcher } = await world([]);
    const lease = await dispatcher.acquire('other.test', { bodyBytes: 0 });
    expect(lease.endpoint.containerId).toBe('other-1');
  });

  it('has with the next request what a change has given to it, and has lost what it has taken', async () => {
    const { dispatcher, guest, needsNow, changed } = await world();
    await outcome(dispatcher, guest, 'api.test');
    needsNow(['other']);
    changed();
    expect(await outcome(dispatcher, guest, 'api.test')).toBe('need_missing');
    expect(await outcome(dispatcher, guest, 'other.test')).toBe('other-1');
  });

  it('is not served by an answer that a change has overtaken', async () => {
    const { control, dispatcher, guest, needsNow, changed } = await world();
    control.answers = [];
    changed();
    const before = outcome(dispatcher, guest, 'api.test'); // asked while it was so
    await settle();
    needsNow([]);
    changed();
    const after = outcome(dispatcher, guest, 'api.test');
    await settle();
    // The older one comes last.
    for (const answer of control.answers.splice(0).reverse()) {
      answer();
      await settle();
    }
    expect(await before).toBe('api-1');
    expect(await after).toBe('need_missing');
    expect(await outcome(dispatcher, guest, 'api.test')).toBe('need_missing');
  });

  it('keeps no connection to what its successor at the same address needs', async () => {
    const { dispatcher, guest, needsNow, changed } = await world([]);
    needsNow(['api'], 'successor-1');
    changed();
    expect(await outcome(dispatcher, guest, 'api.test')).toBe('need_missing');
    expect(await outcome(dispatcher, dispatcher.guests.enter(ADDRESS), 'api.test')).toBe('api-1');
  });

  it('is nobody for as long as it is connected where nobody had the address when it came in', async () => {
    const { control, dispatcher, needsNow, changed } = await world();
    control.guests.clear();
    const early = dispatcher.guests.enter(ADDRESS);
    await settle();
    needsNow(['api']);
    changed();
    expect(await outcome(dispatcher, early, 'api.test')).toBe('need_missing');
  });

  it('asks again where the question could not be answered', async () => {
    const { control, dispatcher } = await world();
    const answer = control.guest.bind(control);
    control.guest = () => Promise.reject(new Error('the database is away'));
    const guest = dispatcher.guests.enter(ADDRESS);
    await expect(dispatcher.acquire('api.test', { bodyBytes: 0, guest })).rejects.toThrow('away');
    control.guest = answer;
    expect(await outcome(dispatcher, guest, 'api.test')).toBe('api-1');
  });
});
