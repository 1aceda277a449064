/** A few seconds of the fuzzing that `test/fuzz/http1.ts` does for minutes; another seed with FUZZ_SEED. */
import { describe, expect, it } from 'vitest';
import { fuzzHeads, fuzzStreams } from './http1.ts';
import { Random } from './http1-mutate.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? 20260601);

describe(`mutated HTTP/1.1, in pieces (seed ${seed})`, () => {
  it('heads are read in one way, whatever the pieces, and as a second reader reads them', () => {
    const { passed, refused } = fuzzHeads(new Random(seed), 30_000);
    expect(passed).toBeGreaterThan(3_000);
    expect(refused).toBeGreaterThan(3_000);
  });

  it('streams too, and Node’s own parser sees the same requests', async () => {
    const { passed, refused, compared } = await fuzzStreams(new Random(seed), 4_000);
    expect(passed).toBeGreaterThan(200);
    expect(refused).toBeGreaterThan(200);
    expect(compared).toBeGreaterThan(20);
  });

  it('the same seed gives the same messages', () => {
    expect(fuzzHeads(new Random(seed), 500)).toEqual(fuzzHeads(new Random(seed), 500));
  });
});
