import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Grade } from '../../src/cmdb/records.ts';
import { changedContent, imageToResolve, wholeContent } from '../../src/coreapi/apps-content.ts';
import { resolvePolicy } from '../../src/coreapi/apps-policy.ts';
import { createAppBody, DEFAULT_POLICY, policyInput } from '../../src/coreapi/schema.ts';

const SMALL: Grade = {
  id: 'grd_1',
  generation: 1,
  createdAtMs: 0,
  name: 'small',
  cpu: 0.5,
  memoryBytes: 1024 ** 3,
};

describe('a policy', () => {
  it('that says nothing has every default', () => {
    expect(resolvePolicy({}, undefined, undefined)).toEqual(DEFAULT_POLICY);
  });

  it('in a new app: a default gives way to the partner that was given', () => {
    const made = (input: object) => resolvePolicy(input, undefined, undefined);
    expect(made({ idleStopMs: 1_000 })).toMatchObject({ idlePauseMs: 1_000, idleStopMs: 1_000 });
    expect(made({ idlePauseMs: 600_000 })).toMatchObject({ idlePauseMs: 600_000, idleStopMs: 600_000 });
    expect(made({ idleStopMs: null })).toMatchObject({ idlePauseMs: 30_000, idleStopMs: null });
    expect(made({ idlePauseMs: null })).toMatchObject({ idlePauseMs: null, idleStopMs: 300_000 });
    expect(made({ concurrency: { limit: 1 } }).concurrency).toEqual({ target: 1, limit: 1 });
    expect(made({ concurrency: { target: 500 } }).concurrency).toEqual({ target: 500, limit: 500 });
    expect(made({ scaling: { highWater: 0.5 } }).scaling).toMatchObject({ highWater: 0.5, lowWater: 0.4 });
    expect(made({ scaling: { lowWater: 0.7 } }).scaling.highWater).toBeCloseTo(0.875);
    expect(() => made({ scaling: { lowWater: 0.9 } })).toThrow('at most four fifths of scaling.highWater');
  });

  it('in an app that exists: what was chosen before is kept, and refused where it no longer fits', () => {
    const base = { ...DEFAULT_POLICY, cpu: 2, lifetimeMs: 5_000 };
    expect(resolvePolicy({ lifetimeMs: null }, base, undefined)).toEqual({ ...base, lifetimeMs: null });
    expect(() => resolvePolicy({ idleStopMs: 1_000 }, base, undefined)).toThrow(
      'policy.idlePauseMs must be at most idleStopMs (1000), but is 30000',
    );
  });

  it('a grade sets cpu and memory; a figure given by itself ends the grade', () => {
    const graded = resolvePolicy({ grade: 'small' }, undefined, SMALL);
    expect(graded).toMatchObject({ grade: 'small', cpu: 0.5, memoryBytes: 1024 ** 3 });
    expect(resolvePolicy({ lifetimeMs: 5_000 }, graded, undefined).grade).toBe('small');
    expect(resolvePolicy({ cpu: 1 }, graded, undefined)).toMatchObject({ grade: null, cpu: 1 });
    expect(resolvePolicy({ grade: null }, graded, undefined)).toMatchObject({ grade: null, cpu: 0.5 });
    const { cpu, memoryBytes } = SMALL;
    expect(resolvePolicy({ grade: 'small', cpu, memoryBytes }, undefined, SMALL)).toEqual(graded);
    expect(() => resolvePolicy({ grade: 'small', cpu: 3 }, undefined, SMALL)).toThrow(
      'the grade small has 0.5',
    );
  });

  it('that the API shows is taken back as it is', () => {
    expect(resolvePolicy(policyInput.parse(DEFAULT_POLICY), undefined, undefined)).toEqual(DEFAULT_POLICY);
  });

  it('whatever passes the schema comes out whole and in bounds, or is refused with its fields named', () => {
    const ms = fc.option(fc.integer({ min: 1, max: 604_800_000 }));
    const input = fc.record(
      {
        cpu: fc.double({ min: 0.01, max: 256, noNaN: true }),
        maxReplicas: fc.integer({ min: 1, max: 100 }),
        concurrency: fc.record(
          { target: fc.integer({ min: 1, max: 200 }), limit: fc.integer({ min: 1, max: 200 }) },
          { requiredKeys: [] },
        ),
        idlePauseMs: ms,
        idleStopMs: ms,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(input, (wanted) => {
        const parsed = policyInput.parse(wanted);
        const together = wanted.concurrency?.target !== undefined && wanted.concurrency.limit !== undefined;
        const bothIdle = wanted.idlePauseMs !== undefined && wanted.idleStopMs !== undefined;
        try {
          const policy = resolvePolicy(parsed, undefined, undefined);
          expect(policy).toMatchObject(wanted);
          expect(policy.concurrency.target).toBeLessThanOrEqual(policy.concurrency.limit);
          expect(policy.idlePauseMs ?? 0).toBeLessThanOrEqual(policy.idleStopMs ?? Infinity);
        } catch (thrown) {
          // Only what the caller said twice can contradict itself.
          expect(together || bothIdle).toBe(true);
          expect(thrown).toMatchObject({ code: 'invalid_body' });
        }
      }),
    );
  });
});

describe('the content of a revision', () => {
  const image = wholeContent({ hosts: [], image: 'web:1' }, { digest: 'sha256:1', exposedPort: 80 });
  const command = wholeContent({ hosts: [], command: ['a'], cwd: '/srv' }, undefined);

  it('follows the image to its port only where none was chosen before', () => {
    expect(image.port).toBe(80);
    expect(changedContent({ image: 'web:2' }, image, { digest: 'sha256:2', exposedPort: 90 }).port).toBe(80);
    expect(changedContent({ image: 'web:2' }, command, { digest: 'sha256:2', exposedPort: 90 }).port).toBe(
      90,
    );
  });

  it('keeps or drops the override of the image’s command', () => {
    const found = { digest: 'sha256:1', exposedPort: 80 };
    const overridden = changedContent({ command: ['serve'] }, image, undefined);
    expect(overridden.workload).toMatchObject({ image: 'web:1', digest: 'sha256:1', command: ['serve'] });
    expect(changedContent({ image: 'web:1' }, overridden, found).workload.command).toEqual(['serve']);
    expect(changedContent({ command: null }, overridden, undefined).workload.command).toBeNull();
    expect(() => changedContent({ command: null }, command, undefined)).toThrow('command is needed');
  });

  it('asks for an image to be resolved when it is named, or deployed again', () => {
    expect(imageToResolve({ image: 'web:2' }, image.workload, false)).toBe('web:2');
    expect(imageToResolve({ port: 1 }, image.workload, false)).toBeUndefined();
    expect(imageToResolve({}, image.workload, true)).toBe('web:1');
    expect(imageToResolve({}, command.workload, true)).toBeUndefined();
    expect(imageToResolve({ command: ['a'], cwd: '/srv' }, image.workload, true)).toBeUndefined();
  });

  it('holds no more variables than an app may have, however they come together', () => {
    const env = (from: number) =>
      Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`KEY_${from + index}`, '']));
    const full = changedContent({ env: env(0) }, image, undefined);
    expect(() => changedContent({ env: env(200) }, full, undefined)).toThrow('at most 256 variables');
    const large = (name: string) => ({
      env: { [`${name}1`]: 'x'.repeat(32_000), [`${name}2`]: 'x'.repeat(32_000) },
    });
    const half = changedContent(large('A'), image, undefined);
    const whole = changedContent(large('B'), half, undefined);
    expect(() => changedContent({ env: { C: 'é'.repeat(2_000) } }, whole, undefined)).toThrow(
      'at most 128 KiB',
    );
  });
});

describe('the body of a new app', () => {
  it('holds at most 256 variables and 100 hosts', () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `a${index}.example`);
    const env = (count: number) =>
      Object.fromEntries(many(count).map((host) => [host.replace('.', '_'), '']));
    const accepted = (change: object) =>
      createAppBody.safeParse({ name: 'a', hosts: [], image: 'x', ...change }).success;
    expect(accepted({ env: env(256), hosts: many(100) })).toBe(true);
    expect(accepted({ env: env(257) })).toBe(false);
    expect(accepted({ hosts: many(101) })).toBe(false);
  });
});
