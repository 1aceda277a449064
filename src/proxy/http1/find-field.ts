import { COLON, equalsLower, LF } from './ascii.ts';

/**
 * The value of the first field of that (lower-case) name among well-formed field lines in [from, to); undefined where there is
 * none. For the few requests of which more is asked than what `RequestFields` keeps.
 */
export function findField(buffer: Buffer, from: number, to: number, name: Buffer): string | undefined {
  let line = from;
  while (line < to) {
    const end = buffer.indexOf(LF, line);
    if (end === -1 || end >= to) return undefined;
    const colon = line + name.length;
    if (colon < end && buffer[colon] === COLON && equalsLower(buffer, line, name))
      return buffer.toString('latin1', colon + 1, end).trim();
    line = end + 1;
  }
  return undefined;
}
