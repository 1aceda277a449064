import { expect, it } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { FailureLog } from '../../src/proxy/failure-log.ts';
import { FakeClock } from '../support/fake-clock.ts';

const broken = () => new PlatformError('upstream_broken', 'ctr_1 broke the connection');

it('a failure that goes on is said once in ten seconds, with how many there were', async () => {
  const clock = new FakeClock();
  const said: { fields: object; message: string }[] = [];
  const add = (fields: object, message: string) => said.push({ fields, message });
  const log = new FailureLog(clock, { warn: add, error: add });
  for (let i = 0; i < 1_000; i++) log.add(broken(), 'ctr_1');
  log.add(broken(), 'ctr_2');
  log.add(new PlatformError('hold_full', 'too many wait'), 'ctr_1');
  expect(said.map(({ fields }) => fields)).toEqual([
    expect.objectContaining({ code: 'upstream_broken', containerId: 'ctr_1', unsaid: undefined }),
    expect.objectContaining({ containerId: 'ctr_2' }),
  ]);
  await clock.advance(10_000);
  log.add(broken(), 'ctr_1');
  expect(said.at(-1)).toMatchObject({ fields: { containerId: 'ctr_1', unsaid: 999 } });
});
