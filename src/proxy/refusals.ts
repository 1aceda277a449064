/** The refusals that more than one part of the dispatcher gives. */
import { PlatformError } from '../errors.ts';

export function unknownHost(host: string): PlatformError {
  return new PlatformError('unknown_host', `no app has the hostname ${host}`, {
    hint: 'Check the spelling, or add the hostname to an app.',
  });
}

export function shuttingDown(): PlatformError {
  return new PlatformError('shutting_down', 'this proxy is stopping', { retryAfterMs: 1_000 });
}
