/**
 * What every store driver has to do, as one suite: a driver earns its place by passing it. `open` gives a new, empty
 * store each time; the suite closes it.
 */
import { afterEach, describe } from 'vitest';
import type { RetentionOptions, Store } from '../../src/cmdb/store.ts';
import { commitContract } from './store-commit.ts';
import type { OpenStore } from './store-fixtures.ts';
import { eventContract, watchContract } from './store-logs.ts';
import { claimContract, recordContract } from './store-records.ts';

export function storeContract(name: string, open: OpenStore): void {
  describe(`the ${name} store`, () => {
    const opened: Store[] = [];
    const openAndRemember = async (retention?: Partial<RetentionOptions>) => {
      const store = await open(retention);
      opened.push(store);
      return store;
    };
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close();
    });

    describe('records', () => recordContract(openAndRemember));
    describe('claims', () => claimContract(openAndRemember));
    describe('commits', () => commitContract(openAndRemember));
    describe('events', () => eventContract(openAndRemember));
    describe('the change feed', () => watchContract(openAndRemember));
  });
}
