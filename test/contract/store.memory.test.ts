import { openMemoryStore } from '../../src/cmdb/memory.ts';
import { storeContract } from './store.ts';

storeContract('memory', (retention = {}) => openMemoryStore({ retention }));
