/**
 * What bytes may stand where, as tables: a byte is judged by one load. And the comparisons and copies that the parser makes
 * of bytes without making strings of them.
 */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const DQUOTE = 0x22;
export const COMMA = 0x2c;
export const DASH = 0x2d;
export const SLASH = 0x2f;
export const DIGIT_0 = 0x30;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const QUESTION = 0x3f;
export const BACKSLASH = 0x5c;
export const ASTERISK = 0x2a;

/** A table of the bytes for which the test holds: 1, else 0. */
function table(test: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0));
}

/** tchar (RFC 9110 §5.6.2): methods, field names, most list elements. */
export const TOKEN = table((byte) => /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(String.fromCharCode(byte)));

/** What a field value is made of (RFC 9110 §5.5): VCHAR, SP, HTAB and obs-text; no control character, no DEL. */
export const FIELD_VALUE = table((byte) => byte === HTAB || (byte >= SP && byte !== 0x7f));

/**
 * What a request target is made of: visible ASCII without `#` (RFC 9112 §3.2 has no fragment). Browsers do send some of
 * what RFC 3986 wants encoded, `|` in a query for instance; all of it has one reading only.
 */
export const TARGET = table((byte) => byte > SP && byte < 0x7f && byte !== 0x23);

/** Lower case for ASCII letters, every other byte as it is. */
export const LOWER = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte,
);

/** Lower case, and `-` for `_`: gateways of the CGI kind cannot tell these two apart in a field name. */
export const FOLD = LOWER.map((byte) => (byte === 0x5f ? DASH : byte));

/** The value of a hexadecimal digit; 255 for any other byte. */
export const HEX = Uint8Array.from({ length: 256 }, (_, byte) => {
  const text = String.fromCharCode(byte);
  return /[0-9A-Fa-f]/.test(text) ? Number.parseInt(text, 16) : 255;
});

/** The bytes of an ASCII text. */
export function ascii(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Whether the bytes from `at` are `word` (which is in lower case) in any case. The caller has checked the length. */
export function equalsLower(buffer: Buffer, at: number, word: Buffer): boolean {
  for (let i = 0; i < word.length; i++) if (LOWER[buffer[at + i] as number] !== word[i]) return false;
  return true;
}

/** The same, with `_` taken for `-`. */
export function equalsFolded(buffer: Buffer, at: number, word: Buffer): boolean {
  for (let i = 0; i < word.length; i++) if (FOLD[buffer[at + i] as number] !== word[i]) return false;
  return true;
}

/** Whether the comma-separated list in [from, to) has this (lower-case) token, with or without parameters. */
export function listHas(buffer: Buffer, from: number, to: number, token: Buffer): boolean {
  let pos = from;
  while (pos < to) {
    while (pos < to && isSpaceOrComma(buffer[pos] as number)) pos++;
    const start = pos;
    while (pos < to && TOKEN[buffer[pos] as number] === 1) pos++;
    if (pos - start === token.length && equalsLower(buffer, start, token) && endsElement(buffer, pos, to))
      return true;
    while (pos < to && buffer[pos] !== COMMA) pos++;
  }
  return false;
}

function isSpaceOrComma(byte: number): boolean {
  return byte === SP || byte === HTAB || byte === COMMA;
}

function endsElement(buffer: Buffer, at: number, to: number): boolean {
  let pos = at;
  while (pos < to && (buffer[pos] === SP || buffer[pos] === HTAB)) pos++;
  return pos === to || buffer[pos] === COMMA || buffer[pos] === SEMICOLON;
}

/** Up to here a loop is quicker than a call into the runtime. */
const LOOP_BYTES = 24;

/** Copies [from, to) to `out` at `at`; returns where it ends. There must be room. */
export function copyBytes(source: Buffer, from: number, to: number, out: Buffer, at: number): number {
  const length = to - from;
  if (length > LOOP_BYTES) source.copy(out, at, from, to);
  else for (let i = 0; i < length; i++) out[at + i] = source[from + i] as number;
  return at + length;
}

/** Copies all of it. */
export function write(text: Buffer, out: Buffer, at: number): number {
  return copyBytes(text, 0, text.length, out, at);
}
