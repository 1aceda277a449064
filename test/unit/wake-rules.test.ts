/** What becomes of a request that finds its app asleep, by what it asks. */
import { describe, expect, it } from 'vitest';
import { resolvePolicy } from '../../src/coreapi/apps-policy.ts';
import { policyInput } from '../../src/coreapi/schema-policy.ts';
import type { PlatformError } from '../../src/errors.ts';
import type { Activation, WakeMatcher, WakeRules } from '../../src/proxy/control-plane.ts';
import { Dispatcher } from '../../src/proxy/dispatcher.ts';
import type { Lease, Question } from '../../src/proxy/lease.ts';
import { StandIn } from '../../src/proxy/stand-in.ts';
import { matches } from '../../src/proxy/wake-rules.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { activation, deferred, endpoint, ScriptedControlPlane } from '../support/scripted-control-plane.ts';

function question(target: string, fields: Record<string, string> = {}, method = 'GET'): Question {
  return { method, target, field: (name) => fields[name] };
}

const PAGE_LOAD = question('/', { accept: 'text/html,*/*;q=0.8', 'sec-fetch-mode': 'navigate' });
const RULES: WakeRules = {
  ignore: [{ path: '/healthz' }],
  reply: { status: 200, contentType: 'text/plain', body: 'asleep' },
  waitingPage: true,
};

/** One app whose activation the test ends. */
class Bench {
  readonly clock = new FakeClock();
  readonly control = new ScriptedControlPlane();
  readonly dispatcher = new Dispatcher({ control: this.control, clock: this.clock });
  readonly started = deferred<Activation>();

  constructor(rules: Partial<WakeRules> = {}) {
    this.control.app('a', {
      route: { wake: { ...RULES, ...rules } },
      activate: () => this.started.promise,
    });
  }

  async ask(asked: Question): Promise<{ lease?: Lease; refusal?: StandIn | PlatformError }> {
    const outcome: { lease?: Lease; refusal?: StandIn | PlatformError } = {};
    void Promise.resolve(this.dispatcher.acquire('a.test', { bodyBytes: 0, question: asked })).then(
      (lease) => (outcome.lease = lease),
      (error: unknown) => (outcome.refusal = error as StandIn),
    );
    await settle();
    return outcome;
  }
}

describe('policy.wake', () => {
  it.each<[object, string]>([
    [{ ignore: [{}] }, 'wake.ignore.0'],
    [{ ignore: [{ path: 'healthz' }] }, 'wake.ignore.0.path'],
    [{ ignore: [{ path: '/a*b' }] }, 'wake.ignore.0.path'],
    [{ ignore: [{ path: '/a?b=1' }] }, 'wake.ignore.0.path'],
    [{ ignore: [{ path: `/${'x'.repeat(256)}` }] }, 'wake.ignore.0.path'],
    [{ ignore: [{ method: 'get' }] }, 'wake.ignore.0.method'],
    [{ ignore: [{ userAgent: '' }] }, 'wake.ignore.0.userAgent'],
    [{ ignore: Array.from({ length: 21 }, () => ({ path: '/' })) }, 'wake.ignore'],
    [{ reply: { status: 101 } }, 'wake.reply.status'],
    [{ reply: { contentType: 'text/plain\r\nSet-Cookie: a=b' } }, 'wake.reply.contentType'],
    [{ reply: { body: 'x'.repeat(1_025) } }, 'wake.reply.body'],
    [{ perMinute: 0 }, 'wake.perMinute'],
  ])('refuses %j by name', (wake, field) => {
    const { error } = policyInput.safeParse({ wake });
    expect(error?.issues.map(({ path }) => path.join('.'))).toEqual([field]);
  });

  it('is changed field by field, and its list as a whole', () => {
    const first = resolvePolicy(
      { wake: { ignore: [{ path: '/a' }], reply: { body: 'zzz' }, perMinute: 6 } },
      undefined,
      undefined,
    );
    const { wake } = resolvePolicy(
      { wake: { ignore: [{ path: '/b' }], reply: { status: 203 } } },
      first,
      undefined,
    );
    expect(wake).toEqual({
      ignore: [{ path: '/b' }],
      reply: { status: 203, contentType: 'text/plain; charset=utf-8', body: 'zzz' },
      perMinute: 6,
      waitingPage: false,
    });
  });
});

describe('a matcher', () => {
  const asked = question('/status/db?full=1', { 'user-agent': 'Mozilla/5.0 (compatible; UptimeRobot/2.0)' });
  it.each<[WakeMatcher, boolean]>([
    [{ path: '/status/db' }, true],
    [{ path: '/status' }, false],
    [{ path: '/status/*' }, true],
    [{ path: '/Status/*' }, false],
    [{ path: '/*' }, true],
    [{ method: 'GET' }, true],
    [{ method: 'HEAD' }, false],
    [{ userAgent: 'uptimerobot' }, true],
    [{ userAgent: 'Pingdom' }, false],
    [{ path: '/status/*', method: 'GET', userAgent: 'UptimeRobot/' }, true],
    [{ path: '/status/*', method: 'HEAD', userAgent: 'UptimeRobot/' }, false],
  ])('%j is compared with all that it says: %s', (matcher, expected) => {
    expect(matches(matcher, asked)).toBe(expected);
  });

  it('for a user agent does not match a request that names none', () => {
    expect(matches({ userAgent: 'bot' }, question('/'))).toBe(false);
  });
});

describe('a request that does not wake its app', () => {
  it('is answered at once, and leaves nothing behind', async () => {
    const bench = new Bench();
    const { refusal } = await bench.ask(question('/healthz'));
    expect(refusal).toBeInstanceOf(StandIn);
    expect(refusal).toMatchObject({ code: 'asleep', status: 200 });
    expect((refusal as StandIn).answer.headers).toEqual([
      ...['Content-Type', 'text/plain', 'Content-Length', '6'],
      ...['Cache-Control', 'no-store', 'Mayfly-State', 'asleep'],
    ]);
    expect(bench.control.activated).toEqual([]);
    expect(bench.control.observed).toEqual([]);
    expect(bench.dispatcher.stats()).toMatchObject({ apps: 0, held: 0, activationsTotal: 0 });
  });

  it('is told so while somebody else is waking it', async () => {
    const bench = new Bench();
    await bench.ask(question('/'));
    const { refusal } = await bench.ask(question('/healthz'));
    expect((refusal as StandIn).answer.headers).toContain('starting');
  });

  it('is the app’s own business once a container is ready', async () => {
    const bench = new Bench();
    bench.dispatcher.endpoints('a', [endpoint('c1')]);
    const { lease } = await bench.ask(question('/healthz'));
    expect(lease?.endpoint.containerId).toBe('c1');
  });

  it('waits for a slot like any other while the app is awake and busy', async () => {
    const bench = new Bench();
    bench.dispatcher.endpoints('a', [endpoint('c1', 1, 1)]);
    const first = await bench.ask(question('/'));
    const second = await bench.ask(question('/healthz'));
    expect(second).toEqual({});
    first.lease?.release();
    await settle();
    expect(second.lease?.endpoint.containerId).toBe('c1');
  });

  it('finds it asleep again when it has been put to rest', async () => {
    const bench = new Bench();
    bench.dispatcher.endpoints('a', [endpoint('c1')]);
    bench.dispatcher.endpoints('a', []);
    expect((await bench.ask(question('/healthz'))).refusal).toBeInstanceOf(StandIn);
  });

  it('is not one of which a container has failed already', async () => {
    const bench = new Bench();
    bench.dispatcher.endpoints('a', [endpoint('c1')]);
    const { lease } = await bench.ask(question('/healthz'));
    const again = lease?.fail('refused');
    bench.started.resolve(activation([endpoint('c2')]));
    expect((await again)?.endpoint.containerId).toBe('c2');
  });

  it.each([204, 304])('has no content where its status is %i', async (status) => {
    const bench = new Bench({ reply: { ...RULES.reply, status } });
    const { refusal } = await bench.ask(question('/healthz'));
    expect((refusal as StandIn).answer.headers).toEqual([
      ...['Cache-Control', 'no-store', 'Mayfly-State', 'asleep'],
    ]);
    expect((refusal as StandIn).answer.body).toHaveLength(0);
  });
});

describe('a page load', () => {
  it('is shown a page that waits, while the app is started', async () => {
    const bench = new Bench();
    const asked = await bench.ask(PAGE_LOAD);
    expect(asked).toEqual({});
    await bench.clock.advance(150);
    expect(asked.refusal).toMatchObject({ code: 'waiting_page', status: 503 });
    expect(bench.control.activated).toEqual(['a']);
    expect(bench.dispatcher.stats().held).toBe(0);
    bench.started.resolve(activation([endpoint('c1')]));
    await settle();
    expect((await bench.ask(PAGE_LOAD)).lease?.endpoint.containerId).toBe('c1');
  });

  it('gets the app itself where that is awake in a moment', async () => {
    const bench = new Bench();
    const asked = await bench.ask(PAGE_LOAD);
    await bench.clock.advance(20);
    bench.started.resolve(activation([endpoint('c1')], 'resumed'));
    await settle();
    expect(asked.lease?.endpoint.containerId).toBe('c1');
    expect(asked.lease?.cold).toMatchObject({ kind: 'resumed' });
    await bench.clock.advance(1_000);
    expect(asked.refusal).toBeUndefined();
    expect(bench.clock.pending).toBe(0);
  });

  it('escapes the name of the app, and lets the page load nothing from elsewhere', async () => {
    const bench = new Bench();
    bench.control.app('a', {
      route: { wake: RULES, appName: '<script>"x"</script>' },
      activate: () => bench.started.promise,
    });
    const asked = await bench.ask(PAGE_LOAD);
    await bench.clock.advance(150);
    const { answer } = asked.refusal as StandIn;
    const html = answer.body.toString();
    expect(html).toContain('&#60;script&#62;&#34;x&#34;&#60;/script&#62; is being started');
    expect(html).not.toContain('<script>"x"');
    expect(html).not.toMatch(/\b(?:src|href)=|url\(|https?:/);
    expect(answer.headers.join('\n')).toMatch(
      /Content-Security-Policy\ndefault-src 'none'; script-src 'sha256-/,
    );
    expect(answer.headers).toContain('no-store');
  });

  it.each<[string, Question]>([
    ['a program that takes anything', question('/', { accept: '*/*' })],
    ['a program that names nothing', question('/')],
    ['a script that wants HTML', question('/', { accept: 'text/html', 'sec-fetch-mode': 'cors' })],
    ['a form that is sent', question('/', { accept: 'text/html', 'sec-fetch-mode': 'navigate' }, 'POST')],
    ['a request that says that it waits', question('/', { accept: 'text/html', 'mayfly-wait': '1' })],
    ['the page itself, where HEAD wakes nobody', question('/healthz', { 'mayfly-wait': '1' }, 'HEAD')],
  ])('is not %s: that is held', async (_, asked) => {
    const bench = new Bench();
    const outcome = await bench.ask(asked);
    await bench.clock.advance(1_000);
    expect(outcome).toEqual({});
    bench.started.resolve(activation([endpoint('c1')]));
    await settle();
    expect(outcome.lease?.endpoint.containerId).toBe('c1');
  });

  it('waits itself where the app has not asked for the page', async () => {
    const bench = new Bench({ waitingPage: false });
    const outcome = await bench.ask(PAGE_LOAD);
    await bench.clock.advance(1_000);
    expect(outcome).toEqual({});
  });
});
