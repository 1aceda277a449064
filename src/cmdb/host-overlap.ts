/**
 * Hosts form a tree, and a wildcard stands for all that is below it. What a tenant's wildcard stands for is that tenant's, so
 * nobody else gets a name below it; nor does anybody get a wildcard above another tenant's names. Within one tenant hosts may
 * overlap: the longest wins.
 */
import { wildcardsOf } from '../hostname.ts';
import type { Holder, Tables } from './apply.ts';
import { claims, hostClaimed } from './claims.ts';

/** The claim of another tenant that stands in the way of this one; undefined where none does, or where it is on no host. */
export function overlapping(tables: Tables, claim: string, holder: Holder): string | undefined {
  const host = hostClaimed(claim);
  if (host === undefined) return undefined;
  const tenantId = tenantOf(tables, holder);
  for (const above of wildcardsOf(host).map(claims.host)) {
    const other = tables.holderOf(above);
    if (other && tenantOf(tables, other) !== tenantId) return above;
  }
  return host.startsWith('*.') ? tables.heldByOthers(claim.slice(0, -1), tenantId) : undefined;
}

function tenantOf(tables: Tables, { kind, id }: Holder): string {
  return (tables.get(kind, id) as { readonly tenantId?: string } | undefined)?.tenantId ?? '';
}
