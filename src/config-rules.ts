/**
 * What a setting may be: one rule for each kind of value. A rule reads what its source gave, text or JSON, and says what is
 * allowed where that is something else; whose value it is, and where it came from, is said by config.ts.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { BLOCKED_PORTS } from './blocked-ports.ts';

/** Reads a value, whatever its source gave: text, or a JSON value from the file. Throws with what is allowed. */
export type Rule<T> = (raw: unknown, folder: string) => T;

/** Entries of a setting that is a list. */
const MAX_LIST = 1_000;

/** Says what was expected; the caller adds name and source. */
export class Refused extends Error {}

export function number(range: { min: number; max: number; whole?: boolean }): Rule<number> {
  const { min, max, whole = true } = range;
  return (raw) => {
    const value = typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : raw;
    if (typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value)))
      return value;
    throw new Refused(`must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}`);
  };
}

export function choice<T extends string>(choices: readonly T[]): Rule<T> {
  return (raw) => {
    const found = choices.find((one) => one === raw);
    if (found !== undefined) return found;
    throw new Refused(`must be one of ${choices.join(', ')}`);
  };
}

export const text: Rule<string> = (raw) => {
  if (typeof raw === 'string' && raw !== '') return raw;
  throw new Refused('must not be empty');
};

export const host: Rule<string> = (raw, folder) => {
  const value = text(raw, folder);
  if (/^[A-Za-z0-9.:_-]+$/.test(value)) return value;
  throw new Refused('must be an address or a hostname, such as 127.0.0.1 or ::1');
};

/** Relative to the folder of the file it stands in, else to the current one. */
export const path: Rule<string> = (raw, folder) => resolve(folder, text(raw, folder));

export const socketPath: Rule<string> = (raw, folder) =>
  path(text(raw, folder).replace(/^unix:\/\//, ''), folder);

export const logTarget: Rule<string> = (raw, folder) => (raw === '-' ? raw : path(raw, folder));

export const share: Rule<number> = (raw) => {
  if (raw === 'full') return 1;
  const value = typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : raw;
  if (typeof value === 'number' && value > 0 && value <= 1) return value;
  throw new Refused('must be full, or a share above 0 and up to 1, such as 0.01 for one in a hundred');
};

export const flag: Rule<boolean> = (raw) => {
  if (typeof raw === 'boolean') return raw;
  if (raw === '1' || raw === 'true') return true;
  if (raw === '0' || raw === 'false') return false;
  throw new Refused('must be true or false');
};

export const token: Rule<string> = (raw, folder) => {
  const value = text(raw, folder);
  if (/^[\x21-\x7e]{16,256}$/.test(value)) return value;
  throw new Refused('must be 16 to 256 printable characters without spaces');
};

export const port = number({ min: 0, max: 65_535 });

/** What the command line and the tools of its users can reach. */
export const apiPort: Rule<number> = (raw, folder) => {
  const value = port(raw, folder);
  if (!BLOCKED_PORTS.has(value)) return value;
  throw new Refused('must be a port that HTTP clients connect to, which browsers and Node refuse here');
};

/** A list from the file, repeated flags, or text with commas between. */
export function list<T>(rule: Rule<T>): Rule<T[]> {
  return (raw, folder) => {
    const items = typeof raw === 'string' ? raw.split(',').map((item) => item.trim()) : raw;
    if (!Array.isArray(items) || items.length > MAX_LIST)
      throw new Refused(`must be a list of at most ${MAX_LIST}`);
    return items.map((item) => rule(item, folder));
  };
}

/** A network, or an address as a network of one. */
export const network: Rule<string> = (raw) => {
  const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(String(raw)) ?? [];
  const bits = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1;
  if (prefix === undefined ? bits > 0 : Number(prefix) <= bits) return `${address}/${prefix ?? bits}`;
  throw new Refused('must be networks or addresses, such as 192.0.2.0/24 or ::1');
};

export const registry: Rule<string> = (raw) => {
  if (typeof raw === 'string' && /^[\w.-]+(?::\d{1,5})?$/.test(raw)) return raw;
  throw new Refused('must be registries as images name them, such as localhost:5000');
};
