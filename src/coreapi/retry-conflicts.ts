import { isPlatformError } from '../errors.ts';

/** Races are won quickly; so many lost in a row mean something else is wrong. */
const MAX_ATTEMPTS = 20;

/** Makes a decision again, on what the winner wrote, as long as it loses races (`conflict`). Errors: those of `decide`. */
export async function retryConflicts<T>(decide: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await decide();
    } catch (thrown) {
      if (attempt >= MAX_ATTEMPTS || !isPlatformError(thrown, 'conflict')) throw thrown;
    }
  }
}
