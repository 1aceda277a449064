/**
 * Cuts the fields that `Connection` names (RFC 9110 §7.6.1). They may have come before it, so the lines are walked again;
 * that happens for few requests, and the lines are known to be well-formed by then.
 */
import { COLON, LF } from './ascii.ts';
import type { ConnectionOptions } from './connection-options.ts';
import type { FieldCuts } from './field-cuts.ts';

/** The lines lie in [from, to), the empty one included; relative to `base`. */
export function cutNamed(
  buffer: Buffer,
  base: number,
  from: number,
  to: number,
  connection: ConnectionOptions,
  cuts: FieldCuts,
): void {
  let line = from;
  while (line < to - 2) {
    let colon = line;
    while (buffer[base + colon] !== COLON) colon++;
    let end = colon;
    while (buffer[base + end] !== LF) end++;
    end++;
    if (connection.names(buffer, base, line, colon)) cuts.insert(line, end);
    line = end;
  }
}
