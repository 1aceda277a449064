import { describe, expect, test } from 'vitest';
import { EXIT, exitCodeOf } from '../../src/cli/exit-codes.ts';
import { parsePolicy, POLICY_FIELDS } from '../../src/cli/policy-options.ts';
import { DEFAULT_POLICY, policyInput } from '../../src/coreapi/schema-policy.ts';
import { PlatformError } from '../../src/errors.ts';

function refusal(option: string): PlatformError {
  try {
    parsePolicy([option]);
  } catch (thrown) {
    return PlatformError.from(thrown);
  }
  throw new Error(`${option} was taken`);
}

describe('--policy', () => {
  test('takes times and sizes as people write them', () => {
    expect(
      parsePolicy([
        'cpu=0.3',
        'memoryBytes=512MiB',
        'idlePauseMs=30s',
        'idleStopMs=never',
        'concurrency.target=5',
        'concurrency.limit=10',
        'hold.bytes=1m',
        'grade=small',
      ]),
    ).toEqual({
      cpu: 0.3,
      memoryBytes: 536_870_912,
      idlePauseMs: 30_000,
      idleStopMs: null,
      concurrency: { target: 5, limit: 10 },
      hold: { bytes: 1_048_576 },
      grade: 'small',
    });
  });

  test('takes lists in one line, and as JSON', () => {
    expect(
      parsePolicy([
        'wake.ignore=/healthz, UptimeRobot',
        'wake.reply.body={"ok":true}',
        'wake.waitingPage=true',
      ]),
    ).toEqual({
      wake: {
        ignore: [{ path: '/healthz' }, { userAgent: 'UptimeRobot' }],
        reply: { body: '{"ok":true}' },
        waitingPage: true,
      },
    });
    expect(parsePolicy(['wake.ignore=[{"method":"HEAD","path":"/"}]', 'wake.perMinute=none'])).toEqual({
      wake: { ignore: [{ method: 'HEAD', path: '/' }], perMinute: null },
    });
    const hours = 'keepWarm=mon-fri 08:00-18:00 Europe/Berlin x2; 22:00-06:00';
    expect(parsePolicy([hours])).toEqual({
      keepWarm: [
        { days: 'mon-fri', from: '08:00', to: '18:00', timeZone: 'Europe/Berlin', replicas: 2 },
        { from: '22:00', to: '06:00' },
      ],
    });
    expect(parsePolicy(['wake.ignore=/healthz', 'wake.ignore=none'])).toEqual({ wake: { ignore: [] } });
  });

  test('knows every field of the API, and what it reads the API takes', () => {
    const flat = POLICY_FIELDS.map((field) => {
      const value = field
        .split('.')
        .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], DEFAULT_POLICY);
      return `${field}=${String(value)}`;
    });
    expect(policyInput.parse(parsePolicy(flat))).toEqual(DEFAULT_POLICY);
  });

  test.each([
    ['cpu', '--policy cpu has no value'],
    ['cpu=much', '--policy cpu=much: must be a number'],
    ['cpu=', '--policy cpu=: must be a number'],
    ['idleStopMs=soon', '--policy idleStopMs=soon: must be a time such as 30s, or never'],
    ['startTimeoutMs=never', '--policy startTimeoutMs=never: must be a time such as 30s'],
    [
      'wake.ignore=/a,,/b',
      '--policy wake.ignore=/a,,/b: must be a list such as /healthz,UptimeRobot, or none',
    ],
    ['wake.waitingPage=yes', '--policy wake.waitingPage=yes: must be true or false'],
    ['toString=1', '--policy toString: there is no such field'],
  ])('refuses %s by name, as a mistake of the command line', (option, message) => {
    const error = refusal(option);
    expect(error.message).toBe(message);
    expect(exitCodeOf(error)).toBe(EXIT.usage);
  });

  test('a name without its unit is recognised', () => {
    expect(refusal('idlePause=30s').hint).toBe('it is called idlePauseMs');
    expect(refusal('memory=1g').hint).toBe('it is called memoryBytes');
  });
});
