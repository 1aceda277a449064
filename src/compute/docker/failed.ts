/** What Docker's refusals are to the platform, where nothing more particular is known of them. */
import { PlatformError } from '../../errors.ts';
import { isFailure } from './api.ts';

export const unknown = (containerId: string) =>
  new PlatformError('not_found', `Docker has no container for ${containerId} on this node`);

/** The engine answered, with an error that nothing is known to do about. */
export const failed = (what: string, containerId: string, thrown: unknown) =>
  isFailure(thrown)
    ? new PlatformError('internal', `Docker cannot ${what} ${containerId}: ${thrown.message}`, {
        cause: thrown,
      })
    : thrown;
