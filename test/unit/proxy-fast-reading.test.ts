import { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { BufferSweep } from '../../src/proxy/buffer-sweep.ts';
import { ReadMemory, ReadTarget } from '../../src/proxy/fast/reading.ts';

/** What reads of bodies that stopped may occupy in all. */
const BOUND_BYTES = 128 * 1024 * 1024;

function world() {
  const memory = new ReadMemory(new BufferSweep());
  return {
    memory,
    /** Has read a part of a body that filled what there was, and waits for the next. */
    inBody: (): ReadTarget => {
      const target = new ReadTarget(memory, new Socket());
      target.filled(memory.shared.length);
      target.next(true);
      return target;
    },
    largeBytes: (targets: readonly ReadTarget[]) =>
      targets.reduce((sum, { buffer }) => sum + (buffer === memory.shared ? 0 : buffer.length), 0),
  };
}

it('bodies that stop occupy no more than a bound, however many they are', () => {
  const { inBody, largeBytes } = world();
  expect(largeBytes(Array.from({ length: 2_000 }, inBody))).toBe(BOUND_BYTES);
});

it('what one no longer needs, or a write has taken along, is there for another', () => {
  const { memory, inBody, largeBytes } = world();
  const [first, ...others] = Array.from({ length: 1_000 }, inBody);
  first?.lend();
  first?.next(true);
  expect(largeBytes([first, ...others].filter((target) => target !== undefined))).toBe(BOUND_BYTES);
  expect(inBody().buffer).toBe(memory.shared);
  first?.lend();
  first?.next(false);
  const [second] = others;
  second?.close();
  expect(largeBytes([inBody(), inBody(), inBody()])).toBe(2 * 256 * 1024);
});
