/** Texts and numbers as the bytes of JSON (RFC 8259), ASCII alone: what is not, is escaped. */

const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const DIGIT_0 = 0x30;
const DOT = 0x2e;
/** `…`: what a text that was cut ends with. */
const ELLIPSIS = 0x2026;
/** What an escaped character takes: `\u2026`. */
export const MAX_ESCAPE_BYTES = 6;

/** What stands in a JSON string as it is: visible ASCII and the space, without quote and backslash. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
);

/** A text as it stands between the quotes; what is longer than `max` characters is cut. */
export function quotable(text: string, max: number): string {
  const cut = text.length > max ? `${text.slice(0, max)}…` : text;
  return cut.replace(/[^ !#-[\]-~]/g, escapeOf);
}

/** The bytes in [from, to), at most `max` of them; those beyond ASCII are taken for latin1, a reading that never fails. */
export function writeText(
  out: Buffer,
  at: number,
  { buffer, from, to }: { readonly buffer: Buffer; readonly from: number; readonly to: number },
  max: number,
): number {
  const last = to - from > max ? from + max : to;
  let end = at;
  for (let i = from; i < last; i++) {
    const byte = buffer[i] as number;
    if (PLAIN[byte] === 1) out[end++] = byte;
    else end = writeEscape(out, end, byte);
  }
  return last < to ? writeEscape(out, end, ELLIPSIS) : end;
}

function writeEscape(out: Buffer, at: number, code: number): number {
  return at + out.write(escapeOf(String.fromCharCode(code)), at, 'latin1');
}

function escapeOf(char: string): string {
  if (char === '"' || char === '\\') return `\\${char}`;
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Pieces too short for a call into the runtime. */
export function writeBytes(out: Buffer, at: number, bytes: Buffer): number {
  const { length } = bytes;
  for (let i = 0; i < length; i++) out[at + i] = bytes[i] as number;
  return at + length;
}

/** A whole number; what is below zero, is zero. */
export function writeWhole(out: Buffer, at: number, value: number): number {
  if (value >= 2 ** 31) return at + out.write(value.toFixed(0), at, 'latin1');
  let digits = 1;
  for (let bound = 10; value >= bound; bound *= 10) digits++;
  let left = value > 0 ? value | 0 : 0;
  for (let i = digits - 1; i >= 0; i--) {
    const rest = (left / 10) | 0;
    out[at + i] = DIGIT_0 + left - rest * 10;
    left = rest;
  }
  return at + digits;
}

/** With three decimals: microseconds. What is below zero, is zero. */
export function writeMilliseconds(out: Buffer, at: number, ms: number): number {
  const us = ms > 0 ? Math.round(ms * 1_000) : 0;
  const whole = Math.floor(us / 1_000);
  const end = writeWhole(out, at, whole);
  out[end] = DOT;
  return writeThreeDigits(out, end + 1, us - whole * 1_000);
}

/** 0 to 999. */
export function writeThreeDigits(out: Buffer, at: number, value: number): number {
  const hundreds = (value / 100) | 0;
  const tens = ((value - hundreds * 100) / 10) | 0;
  out[at] = DIGIT_0 + hundreds;
  out[at + 1] = DIGIT_0 + tens;
  out[at + 2] = DIGIT_0 + value - hundreds * 100 - tens * 10;
  return at + 3;
}
