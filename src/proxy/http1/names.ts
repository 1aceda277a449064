/** The field names that are looked at, in lower case. */
import { ascii, DASH, equalsFolded, FOLD } from './ascii.ts';

export const CONNECTION = ascii('connection');
export const CONTENT_LENGTH = ascii('content-length');
export const EXPECT = ascii('expect');
export const FORWARDED = ascii('forwarded');
export const HOST = ascii('host');
export const HTTP2_SETTINGS = ascii('http2-settings');
export const KEEP_ALIVE = ascii('keep-alive');
export const TE = ascii('te');
export const TRAILER = ascii('trailer');
export const TRANSFER_ENCODING = ascii('transfer-encoding');
export const UPGRADE = ascii('upgrade');
export const USER_AGENT = ascii('user-agent');
export const X_REAL_IP = ascii('x-real-ip');
export const X_REQUEST_ID = ascii('x-request-id');

/** Families: this name, and all that begin with it and a dash. */
export const MAYFLY = ascii('mayfly');
export const PROXY = ascii('proxy');
export const X_FORWARDED = ascii('x-forwarded');

/** Whether a name belongs to a family, with `_` taken for `-`. */
export function isOfFamily(buffer: Buffer, at: number, length: number, family: Buffer): boolean {
  if (length < family.length || !equalsFolded(buffer, at, family)) return false;
  return length === family.length || FOLD[buffer[at + family.length] as number] === DASH;
}
