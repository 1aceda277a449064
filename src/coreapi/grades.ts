/** Named sizes (the paper's successor calls them grades), and what else a new store begins with. */
import type { Clock } from '../clock.ts';
import { claims } from '../cmdb/claims.ts';
import type { Grade, Tenant } from '../cmdb/records.ts';
import type { Operation, Store } from '../cmdb/store.ts';
import { isPlatformError, PlatformError } from '../errors.ts';
import { newId } from '../ids.ts';
import { listAll } from './list-all.ts';

const MIB = 1024 ** 2;
const DEFAULT_TENANT = 'default';

const FIRST_GRADES: readonly Pick<Grade, 'name' | 'cpu' | 'memoryBytes'>[] = [
  { name: 'nano', cpu: 0.1, memoryBytes: 128 * MIB },
  { name: 'micro', cpu: 0.3, memoryBytes: 512 * MIB },
  { name: 'small', cpu: 0.5, memoryBytes: 1024 * MIB },
  { name: 'medium', cpu: 1, memoryBytes: 2048 * MIB },
  { name: 'large', cpu: 2, memoryBytes: 4096 * MIB },
];

/**
 * The tenant that everything belongs to until there are more. Made in a new store together with the grades, in one
 * commit, so that a grade that is removed later stays removed.
 */
export async function ensureDefaults(store: Store, clock: Clock): Promise<Tenant> {
  const claim = claims.tenantName(DEFAULT_TENANT);
  const found = await store.findByClaim('tenant', claim);
  if (found) return found;
  const nowMs = clock.nowMs();
  const tenant = { id: newId('ten', nowMs), createdAtMs: nowMs, name: DEFAULT_TENANT, quota: null };
  const grades = FIRST_GRADES.map((grade): Operation => ({
    op: 'create',
    kind: 'grade',
    record: { id: newId('grd', nowMs), createdAtMs: nowMs, ...grade },
    claims: [claims.gradeName(grade.name)],
  }));
  try {
    await store.commit([{ op: 'create', kind: 'tenant', record: tenant, claims: [claim] }, ...grades]);
  } catch (thrown) {
    // Another Core API on the same store was first.
    const other = isPlatformError(thrown, 'name_taken')
      ? await store.findByClaim('tenant', claim)
      : undefined;
    if (!other) throw thrown;
    return other;
  }
  return { ...tenant, generation: 1 };
}

/** From small to large. */
export async function listGrades(store: Store): Promise<Grade[]> {
  const grades = await listAll(store, 'grade', {});
  return grades.sort((a, b) => a.cpu - b.cpu || a.memoryBytes - b.memoryBytes);
}

/** Errors: `unknown_grade`, which lists those there are. `field` is where the caller named it. */
export async function findGrade(store: Store, name: string, field = 'policy.grade'): Promise<Grade> {
  const grade = await store.findByClaim('grade', claims.gradeName(name));
  if (grade) return grade;
  const names = (await listGrades(store)).map((known) => known.name);
  throw new PlatformError('unknown_grade', `there is no grade ${JSON.stringify(name)}`, {
    hint: `the grades are ${names.join(', ')}`,
    fields: [{ field, reason: `must be one of ${names.join(', ')}` }],
  });
}
