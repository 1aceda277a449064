import { describe, expect, it } from 'vitest';
import { durationText, memoryText, sizeText } from '../../src/coreapi/decisions/words.ts';

describe('figures in reasons', () => {
  it.each([
    [0, '0 ms'],
    [900, '900 ms'],
    [983.7, '984 ms'],
    [1_000, '1 s'],
    [1_500, '1.5 s'],
    [30_000, '30 s'],
    [300_000, '5 min'],
    [7_200_000, '2 h'],
    [86_400_000, '24 h'],
  ])('%d ms are %s', (durationMs, text) => {
    expect(durationText(durationMs)).toBe(text);
  });

  it.each([
    [0, '0 bytes'],
    [1_023, '1023 bytes'],
    [1_024, '1 KiB'],
    [600_000_000, '572.2 MiB'],
    [2 ** 29, '512 MiB'],
    [2 ** 30, '1 GiB'],
    [2 ** 61, '2097152 TiB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(memoryText(bytes)).toBe(text);
  });

  it('say a size', () => {
    expect(sizeText({ cpu: 0.5, memoryBytes: 2 ** 28 })).toBe('0.5 CPU and 256 MiB of memory');
  });
});
