/** Request methods as small integers: what the data path asks about them is a comparison. */
import { METHODS } from 'node:http';
import { ascii } from './ascii.ts';

/** Any other that Node's server takes, such as PROPFIND: its name is in the bytes. */
export const OTHER = 0;
export const GET = 1;
export const HEAD = 2;
export const POST = 3;
export const PUT = 4;
export const DELETE = 5;
export const OPTIONS = 6;
export const PATCH = 7;
export const TRACE = 8;
export type Method =
  | typeof OTHER
  | typeof GET
  | typeof HEAD
  | typeof POST
  | typeof PUT
  | typeof DELETE
  | typeof OPTIONS
  | typeof PATCH
  | typeof TRACE;

/** Their names, by number; the one of `OTHER` is empty. */
export const METHOD_NAMES: readonly string[] = [
  '',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'PATCH',
  'TRACE',
];
const NAMES = METHOD_NAMES.map((name) => ascii(name));
const OTHERS = new Set(METHODS.filter((name) => name !== 'CONNECT' && !METHOD_NAMES.includes(name)));

/** By the first letter of the few that have it: which ones to compare with. */
const BY_FIRST_LETTER: readonly (readonly Method[])[] = Array.from({ length: 128 }, (_, byte) =>
  ([GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE] as const).filter(
    (method) => NAMES[method]?.[0] === byte,
  ),
);

/** The method that stands in [from, to), or undefined: not one of those with a number. */
export function knownMethod(buffer: Buffer, from: number, to: number): Method | undefined {
  const first = buffer[from] as number;
  // By far the most frequent one.
  if (first === 0x47 && to - from === 3 && buffer[from + 1] === 0x45 && buffer[from + 2] === 0x54) return GET;
  const candidates = BY_FIRST_LETTER[first];
  if (candidates === undefined) return undefined;
  for (const method of candidates) {
    const name = NAMES[method] as Buffer;
    if (name.length === to - from && equals(buffer, from, name)) return method;
  }
  return undefined;
}

/** Whether it is a method that has no number but that Node's own server takes. */
export function isOtherMethod(name: string): boolean {
  return OTHERS.has(name);
}

/** RFC 9110 §9.2.2: sent twice, these do what they do sent once. */
export function isIdempotent(method: Method): boolean {
  return method !== POST && method !== PATCH && method !== OTHER;
}

/** Whether a request of this method that has no body says so (RFC 9110 §8.6): its method is one that usually has one. */
export function usuallyHasBody(method: Method): boolean {
  return method === POST || method === PUT || method === PATCH || method === OTHER;
}

/** Methods are case-sensitive (RFC 9110 §9.1). */
function equals(buffer: Buffer, at: number, name: Buffer): boolean {
  for (let i = 0; i < name.length; i++) if (buffer[at + i] !== name[i]) return false;
  return true;
}
