/** The refusals that more than one part of the data plane gives, worded once. */
import { PlatformError } from '../errors.ts';
import type { GuestRights } from './control-plane.ts';

export function unknownHost(host: string): PlatformError {
  return new PlatformError('unknown_host', `no app has the hostname ${host}`, {
    hint: 'Check the spelling, or add the hostname to an app.',
  });
}

/** To a container: whether anybody has the hostname is not said. */
export function needMissing(host: string, guest: GuestRights | null): PlatformError {
  if (guest === null)
    return new PlatformError(
      'need_missing',
      'no app that runs here has the address that the request comes from',
    );
  const { appName } = guest;
  const way = `mayfly apps update ${appName} --need NAME`;
  return new PlatformError(
    'need_missing',
    `app ${appName} needs no app with the hostname ${host}; if it does, say so: ${way}`,
  );
}

/** Two readers of the request could disagree: what it is, or where it ends. */
export function ambiguousHttp(message: string): PlatformError {
  return new PlatformError('ambiguous_http', message, {
    hint: 'Requests that two readers could take differently are refused.',
  });
}

/** No reader could make anything of it. */
export function malformedHttp(message: string): PlatformError {
  return new PlatformError('bad_request', message);
}

/** While requests in flight are finished: no new one is taken. */
export function shuttingDown(): PlatformError {
  return new PlatformError('shutting_down', 'this proxy is stopping', { retryAfterMs: 1_000 });
}
