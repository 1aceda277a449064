/** Field lines of our own, as the bytes that are added to a head. */
import { FIELD_VALUE, TOKEN } from './ascii.ts';

/** Names and values in turn, as one block of whole lines. Throws a TypeError where one of them could not be read back. */
export function fieldLines(fields: readonly string[]): Buffer {
  let text = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (name === '' || !consistsOf(name, TOKEN)) throw new TypeError(`"${name}" is not a field name`);
    if (!consistsOf(value, FIELD_VALUE)) throw new TypeError(`the value of ${name} may not be in a field`);
    text += `${name}: ${value}\r\n`;
  }
  return Buffer.from(text, 'latin1');
}

function consistsOf(text: string, table: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (table[text.charCodeAt(i)] !== 1) return false;
  return true;
}
