/** Shorthands in which the corpus is written. */
import type { ExpectedRequest, Reason, RequestCase } from './types.ts';

/** What an attacker hides behind an ambiguous request. */
export const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n';

export const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n';
export const POST = 'POST / HTTP/1.1\r\nHost: a.test\r\n';

/** A head that is not passed on, with a hidden request behind it. */
export function refused(family: string, name: string, bytes: string, reason: Reason): RequestCase {
  return { family, name, bytes: bytes + HIDDEN, requests: [], end: 'refused', reason };
}

/** A head that is passed on, and a body that is none. */
export function broken(family: string, name: string, bytes: string, reason: Reason): RequestCase {
  return { family, name, bytes: bytes + HIDDEN, requests: [], end: 'broken', reason };
}

export function incomplete(family: string, name: string, bytes: string): RequestCase {
  return { family, name, bytes, requests: [], end: 'incomplete' };
}

/** Everything is passed on. */
export function passed(
  family: string,
  name: string,
  bytes: string,
  ...requests: Partial<ExpectedRequest>[]
): RequestCase {
  return { family, name, bytes, requests: requests.map(seen), end: 'idle' };
}

/** A request as most cases expect it. */
export function seen(expected: Partial<ExpectedRequest>): ExpectedRequest {
  return { method: 'GET', target: '/', host: 'a.test', body: '', ...expected };
}

/** `0x0b` */
export function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}

export function byte(code: number): string {
  return String.fromCharCode(code);
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
