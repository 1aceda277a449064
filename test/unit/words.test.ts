import { expect, it } from 'vitest';
import { sizeText } from '../../src/coreapi/decisions/words.ts';

it('a size in a reason names both of its figures', () => {
  expect(sizeText({ cpu: 0.5, memoryBytes: 2 ** 28 })).toBe('0.5 CPU and 256 MiB of memory');
});
