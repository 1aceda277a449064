/**
 * Who is asking. A token is `mfy_<id>_<secret>`; only its SHA-256 is stored, and comparing takes the same time whatever
 * differs. The secret is 32 random bytes, so a fast hash is enough: there is nothing to guess.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { systemClock, type Clock } from '../clock.ts';
import type { Store } from '../cmdb/store.ts';
import { isPlatformError, PlatformError } from '../errors.ts';

/** For whom a request acts. An operator acts on the tenant `tenantId` and sees what belongs to no tenant as well. */
export interface Principal {
  readonly kind: 'operator' | 'tenant';
  readonly tenantId: string;
}

const OPERATOR_ID = 'operator';
const recordId = (id: string) => `tok_${id}`;

/** A token set by hand; what a header can carry, and long enough not to be guessed. */
const HAND_SET = /^[\x21-\x7e]{16,256}$/;
const OWN_FORMAT = /^mfy_([0-9a-z]{1,32})_[A-Za-z0-9_-]{43}$/;

/** A new token for a token record's id (without its prefix). */
export function newToken(id: string): string {
  return `mfy_${id}_${randomBytes(32).toString('base64url')}`;
}

export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

export interface OperatorTokenOptions {
  /** Takes the place of whatever was set before. 16 … 256 printable characters without spaces. */
  readonly fromEnv?: string | undefined;
  readonly clock?: Clock;
}

export interface OperatorToken {
  /** null when it was made on an earlier start: only its hash is known. */
  readonly token: string | null;
  /** It was made just now: show it, for nobody can later. */
  readonly isNew: boolean;
}

/** Sees to it that there is an operator token. Errors: `invalid_config` (the given one is too short or cannot be sent). */
export async function ensureOperatorToken(
  store: Store,
  { fromEnv, clock = systemClock }: OperatorTokenOptions = {},
): Promise<OperatorToken> {
  if (fromEnv !== undefined && !HAND_SET.test(fromEnv)) {
    throw new PlatformError(
      'invalid_config',
      'MAYFLY_OPERATOR_TOKEN must be 16 to 256 printable characters without spaces',
      {
        hint: 'make one with: openssl rand -hex 32',
      },
    );
  }
  const id = recordId(OPERATOR_ID);
  for (;;) {
    const before = await store.get('token', id);
    if (before && fromEnv === undefined) return { token: null, isNew: false };
    const token = fromEnv ?? newToken(OPERATOR_ID);
    const fields = { tenantId: null, hash: hashToken(token), expiresAtMs: null };
    try {
      if (!before) {
        const record = { id, createdAtMs: clock.nowMs(), ...fields };
        await store.commit([{ op: 'create', kind: 'token', record }]);
      } else if (before.hash !== fields.hash || before.expiresAtMs !== null) {
        const ifGeneration = before.generation;
        await store.commit([{ op: 'update', kind: 'token', id, ifGeneration, set: fields }]);
      }
      return { token, isNew: fromEnv === undefined };
    } catch (thrown) {
      // Another Core API on the same store was first; what it wrote is read, and the loop ends there.
      if (!isPlatformError(thrown, 'conflict')) throw thrown;
    }
  }
}

/** Takes back one that could not be shown: the next start makes another. */
export async function forgetOperatorToken(store: Store): Promise<void> {
  await store.commit([{ op: 'delete', kind: 'token', id: recordId(OPERATOR_ID) }]);
}

/**
 * Finds out whose token it is. Errors: `unauthorized`, the same for a token that is missing, malformed, unknown, wrong
 * or expired.
 */
export async function authenticate(
  token: string | undefined,
  { store, clock, defaultTenantId }: { store: Store; clock: Clock; defaultTenantId: string },
): Promise<Principal> {
  const presented = token ?? '';
  const id = OWN_FORMAT.exec(presented)?.[1] ?? OPERATOR_ID;
  const record =
    (await store.get('token', recordId(id))) ?? (await store.get('token', recordId(OPERATOR_ID)));
  // An absent record is compared as well: how long it takes tells nothing.
  const expected = Buffer.from(record?.hash ?? hashToken(''), 'hex');
  const matches = timingSafeEqual(Buffer.from(hashToken(presented), 'hex'), expected);
  const alive = record !== undefined && (record.expiresAtMs === null || record.expiresAtMs > clock.nowMs());
  if (!matches || !alive || presented === '') {
    throw new PlatformError('unauthorized', 'the request carries no valid token', {
      hint: 'send "Authorization: Bearer TOKEN" with the token that was printed at the first start; MAYFLY_OPERATOR_TOKEN sets another one',
    });
  }
  return record.tenantId === null
    ? { kind: 'operator', tenantId: defaultTenantId }
    : { kind: 'tenant', tenantId: record.tenantId };
}

/** Errors: `forbidden`. */
export function requireOperator(principal: Principal, what: string): void {
  if (principal.kind !== 'operator') {
    throw new PlatformError('forbidden', `${what} can be seen with an operator's token only`);
  }
}
