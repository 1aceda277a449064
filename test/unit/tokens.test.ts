import { describe, expect, it } from 'vitest';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import {
  authenticate,
  ensureOperatorToken,
  forgetOperatorToken,
  hashToken,
  newToken,
} from '../../src/coreapi/tokens.ts';
import { FakeClock } from '../support/fake-clock.ts';

const clock = new FakeClock(1_000);

const whoHas = (store: ReturnType<typeof openMemoryStore>, token: string | undefined) =>
  authenticate(token, { store, clock, defaultTenantId: 'ten_default' });

describe('the operator’s token', () => {
  it('is made once in a new store, shown then, and only its hash is kept', async () => {
    const store = openMemoryStore();
    const made = await ensureOperatorToken(store, { clock });
    expect(made.isNew).toBe(true);
    expect(made.token).toMatch(/^mfy_operator_[A-Za-z0-9_-]{43}$/);
    expect(await ensureOperatorToken(store, { clock })).toEqual({ token: null, isNew: false });
    expect(JSON.stringify(await store.list('token'))).not.toContain(made.token?.slice(13));
    expect(await whoHas(store, made.token ?? '')).toEqual({ kind: 'operator', tenantId: 'ten_default' });
  });

  it('is another after one that nobody was shown', async () => {
    const store = openMemoryStore();
    const lost = await ensureOperatorToken(store, { clock });
    await forgetOperatorToken(store);
    const shown = await ensureOperatorToken(store, { clock });
    expect(shown.isNew).toBe(true);
    await expect(whoHas(store, lost.token ?? '')).rejects.toMatchObject({ code: 'unauthorized' });
    expect(await whoHas(store, shown.token ?? '')).toMatchObject({ kind: 'operator' });
  });

  it('is replaced by one that is set by hand', async () => {
    const store = openMemoryStore();
    const made = await ensureOperatorToken(store, { clock });
    const set = 'a token of my own'.replaceAll(' ', '-');
    expect(await ensureOperatorToken(store, { clock, fromEnv: set })).toEqual({ token: set, isNew: false });
    expect(await whoHas(store, set)).toMatchObject({ kind: 'operator' });
    await expect(whoHas(store, made.token ?? '')).rejects.toMatchObject({ code: 'unauthorized' });
    await ensureOperatorToken(store, { clock, fromEnv: made.token ?? '' });
    expect(await whoHas(store, made.token ?? '')).toMatchObject({ kind: 'operator' });
  });

  it('changes nothing in the store when it is set to what it is', async () => {
    const store = openMemoryStore();
    await ensureOperatorToken(store, { clock, fromEnv: 'x'.repeat(16) });
    const revision = await store.revision();
    await ensureOperatorToken(store, { clock, fromEnv: 'x'.repeat(16) });
    expect(await store.revision()).toBe(revision);
  });

  it.each(['', 'too-short', 'has spaces in it all over', 'ümlaut-ümlaut-ümlaut', 'x'.repeat(257)])(
    'is refused when set to %j, without being quoted',
    async (fromEnv) => {
      const failure = ensureOperatorToken(openMemoryStore(), { fromEnv });
      await expect(failure).rejects.toMatchObject({ code: 'invalid_config' });
      if (fromEnv) await expect(failure).rejects.not.toThrow(fromEnv);
    },
  );

  it('is one, however many start on a new store at once', async () => {
    const store = openMemoryStore();
    const made = await Promise.all(Array.from({ length: 5 }, () => ensureOperatorToken(store, { clock })));
    const shown = made.filter(({ isNew }) => isNew);
    expect(shown).toHaveLength(1);
    expect(await whoHas(store, shown[0]?.token ?? '')).toMatchObject({ kind: 'operator' });
  });
});

describe('authentication', () => {
  it('knows a tenant’s token until it expires', async () => {
    const store = openMemoryStore();
    await ensureOperatorToken(store, { clock });
    const token = newToken('0abc');
    const record = {
      id: 'tok_0abc',
      createdAtMs: 0,
      tenantId: 'ten_1',
      hash: hashToken(token),
      expiresAtMs: 2_000,
    };
    await store.commit([{ op: 'create', kind: 'token', record }]);
    expect(await whoHas(store, token)).toEqual({ kind: 'tenant', tenantId: 'ten_1' });
    await clock.advance(1_000);
    await expect(whoHas(store, token)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it.each([undefined, '', 'x', 'mfy_operator_', newToken('operator'), newToken('none')])(
    'refuses %j in one and the same way',
    async (token) => {
      const store = openMemoryStore();
      await expect(whoHas(store, token)).rejects.toMatchObject({ code: 'unauthorized' });
      await ensureOperatorToken(store, { clock });
      await expect(whoHas(store, token)).rejects.toMatchObject({
        code: 'unauthorized',
        message: 'the request carries no valid token',
      });
    },
  );
});
