/**
 * A second reader of HTTP/1.1 messages, written from the RFCs with regular expressions on whole strings: slow, short, and as
 * unlike the real one as can be. Where the two disagree, one of them is wrong.
 */
import { METHODS } from 'node:http';
import { normalizeHost } from '../../src/hostname.ts';
import { isForbiddenTrailer } from '../../src/proxy/http1/trailer-fields.ts';

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const VALUE = '[\\t -~\\x80-\\xff]*';
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([!-"$-~]+) HTTP/1\\.([01])$`);
const STATUS_LINE = new RegExp(`^HTTP/1\\.([01]) ([1-5][0-9][0-9])(?: ${VALUE})?$`);
const FIELD_LINE = new RegExp(`^(${TOKEN}):(${VALUE})$`);
const CHUNK_HEAD = new RegExp(
  `([0-9A-Fa-f]{1,16})((?:;${TOKEN}(?:=(?:${TOKEN}|"(?:[\\t !#-\\[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"))?)*)\\r\\n`,
  'y',
);
const TRAILER = new RegExp(`(${TOKEN}):${VALUE}\\r\\n`, 'y');
const MAX = BigInt(Number.MAX_SAFE_INTEGER);

export interface JudgedHead {
  readonly bytes: number;
  readonly body: 'none' | 'length' | 'chunked' | 'close';
  readonly length: number;
}

export interface JudgedRequest extends JudgedHead {
  readonly method: string;
  /** As it is passed on. */
  readonly target: string;
  readonly host: string;
}

/** `unfinished`: there is no end of a head in it, so nothing is said. */
export type Judgement<Head> = Head | 'refused' | 'unfinished';

type Fields = Map<string, string[]>;

function readFields(lines: readonly string[], maxLines: number): Fields | undefined {
  if (lines.length > maxLines) return undefined;
  const fields: Fields = new Map();
  for (const line of lines) {
    const [, name, value] = FIELD_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    const values = fields.get(name.toLowerCase()) ?? [];
    values.push(value.replace(/^[ \t]+|[ \t]+$/g, ''));
    fields.set(name.toLowerCase(), values);
  }
  return connectionNames(fields).length > 16 ? undefined : fields;
}

function connectionNames(fields: Fields): string[] {
  return (fields.get('connection') ?? [])
    .flatMap((value) => value.split(','))
    .map((option) => option.replace(/^[ \t]+|[ \t]+$/g, '').toLowerCase())
    .filter((option) => option !== '' && !CONNECTION_OPTIONS.has(option));
}

const CONNECTION_OPTIONS = new Set([
  'close',
  'keep-alive',
  'upgrade',
  'te',
  'host',
  'content-length',
  'transfer-encoding',
  'expect',
]);

/** What Content-Length and Transfer-Encoding say together; undefined: not one thing. */
function readFraming(
  fields: Fields,
  minor: string,
): { length: bigint | undefined; chunked: boolean } | undefined {
  const lengths = fields.get('content-length') ?? [];
  const encodings = fields.get('transfer-encoding') ?? [];
  if (lengths.length + encodings.length > 1) return undefined;
  if (encodings.length > 0 && (minor === '0' || encodings[0]?.toLowerCase() !== 'chunked')) return undefined;
  if (lengths.length === 0) return { length: undefined, chunked: encodings.length > 0 };
  if (!/^[0-9]+$/.test(lengths[0] ?? '') || BigInt(lengths[0] ?? '') > MAX) return undefined;
  return { length: BigInt(lengths[0] ?? ''), chunked: false };
}

export function judgeRequest(text: string): Judgement<JudgedRequest> {
  const start = text.startsWith('\r\n') ? 2 : 0;
  const end = text.indexOf('\r\n\r\n', start);
  if (end === -1 || end + 4 > 16 * 1024) return end === -1 ? 'unfinished' : 'refused';
  const [line = '', ...lines] = text.slice(start, end).split('\r\n');
  const [, method = '', sent = '', minor = ''] = REQUEST_LINE.exec(line) ?? [];
  const fields = readFields(lines, 128);
  if (fields === undefined || sent.length > 8 * 1024) return 'refused';
  if (method === 'CONNECT' || !METHODS.includes(method)) return 'refused';
  const framing = readFraming(fields, minor);
  const hosts = fields.get('host') ?? [];
  if (framing === undefined || hosts.length > 1 || (hosts.length === 0 && minor === '1')) return 'refused';
  const utf8 = hosts.map((host) => Buffer.from(host, 'latin1').toString());
  const host = utf8[0] === undefined ? '' : normalizeHost(utf8[0]);
  if (host === undefined) return 'refused';
  const meant = readTarget(sent, method, host, utf8[0]);
  if (meant === undefined) return 'refused';
  const length = Number(framing.length ?? 0);
  const body = framing.chunked ? 'chunked' : length > 0 ? 'length' : 'none';
  if (method === 'TRACE' && body !== 'none') return 'refused';
  return { bytes: end + 4, method, ...meant, body, length };
}

function readTarget(
  sent: string,
  method: string,
  host: string,
  rawHost: string | undefined,
): { target: string; host: string } | undefined {
  if (sent.startsWith('/')) return { target: sent, host };
  if (sent === '*') return method === 'OPTIONS' ? { target: sent, host } : undefined;
  const [, scheme = '', authority = '', rest = ''] = /^(https?):\/\/([^/?]*)(.*)$/i.exec(sent) ?? [];
  const meant = authority.includes('@') ? undefined : normalizeHost(authority);
  if (meant === undefined) return undefined;
  const port = (text: string) =>
    /:(\d+)$/.exec(text)?.[1]?.replace(/^0+(?=\d)/, '') ?? (scheme.toLowerCase() === 'https' ? '443' : '80');
  if (rawHost !== undefined && (meant !== host || port(authority) !== port(rawHost))) return undefined;
  const target = rest === '' ? (method === 'OPTIONS' ? '*' : '/') : rest.replace(/^(?!\/)/, '/');
  return { target, host: meant };
}

export function judgeResponse(text: string, method: string): Judgement<JudgedHead & { status: number }> {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1 || end + 4 > 64 * 1024) return end === -1 ? 'unfinished' : 'refused';
  const [line = '', ...lines] = text.slice(0, end).split('\r\n');
  const [, minor = '', digits = ''] = STATUS_LINE.exec(line) ?? [];
  const status = Number(digits);
  const fields = digits === '' || status === 101 ? undefined : readFields(lines, 256);
  const framing = fields === undefined ? undefined : readFraming(fields, minor);
  if (framing === undefined) return 'refused';
  const head = { bytes: end + 4, status, length: 0 };
  if (status < 200 || status === 204)
    return framing.chunked || (framing.length ?? 0n) > 0n ? 'refused' : { ...head, body: 'none' };
  if (method === 'HEAD' || status === 304) return { ...head, body: 'none' };
  if (framing.chunked) return { ...head, body: 'chunked' };
  if (framing.length === undefined) return { ...head, body: 'close' };
  return { ...head, body: framing.length > 0n ? 'length' : 'none', length: Number(framing.length) };
}

/** The chunks at the start of the text: the payload and how long they are; undefined if they are none, or unfinished. */
export function judgeChunks(text: string): { payload: string; bytes: number } | undefined {
  let payload = '';
  let pos = 0;
  let extensionBytes = 0;
  for (;;) {
    CHUNK_HEAD.lastIndex = pos;
    const [head, digits = '', extensions = ''] = CHUNK_HEAD.exec(text) ?? [];
    extensionBytes += extensions.length;
    if (head === undefined || extensionBytes > 16 * 1024 || BigInt(`0x${digits}`) > MAX) return undefined;
    const size = Number.parseInt(digits, 16);
    pos += head.length;
    if (size === 0) break;
    if (!text.startsWith('\r\n', pos + size)) return undefined;
    payload += text.slice(pos, pos + size);
    pos += size + 2;
  }
  const start = pos;
  for (let lines = 0; !text.startsWith('\r\n', pos); lines++) {
    TRAILER.lastIndex = pos;
    const [line, name = ''] = TRAILER.exec(text) ?? [];
    if (line === undefined || lines === 64) return undefined;
    if (isForbiddenTrailer(name.toLowerCase().replaceAll('_', '-'))) return undefined;
    pos += line.length;
  }
  return pos + 2 - start > 8 * 1024 ? undefined : { payload, bytes: pos + 2 };
}

/** All requests at the start of the text that are whole. */
export function judgeRequests(text: string): (JudgedRequest & { payload: string })[] {
  const requests: (JudgedRequest & { payload: string })[] = [];
  let rest = text;
  for (;;) {
    const head = judgeRequest(rest);
    if (typeof head === 'string') return requests;
    const body = judgeBody(rest.slice(head.bytes), head);
    if (body === undefined) return requests;
    requests.push({ ...head, payload: body.payload });
    rest = rest.slice(head.bytes + body.bytes);
  }
}

/** The body at the start of the text; undefined: it is none, or not whole. */
export function judgeBody(text: string, head: JudgedHead): { payload: string; bytes: number } | undefined {
  if (head.body === 'none') return { payload: '', bytes: 0 };
  if (head.body === 'chunked') return judgeChunks(text);
  const bytes = head.body === 'close' ? text.length : head.length;
  return text.length < bytes ? undefined : { payload: text.slice(0, bytes), bytes };
}

/** Fields that the app must never see as a client sent them, and what may be there once only. */
const ENDS_HERE =
  /^(?:keep[-_]alive|proxy(?:[-_].*)?|mayfly(?:[-_].*)?|x[-_]real[-_]ip|content_length|transfer_encoding|upgrade|x[-_]forwarded_.*|x_forwarded(?:[-_].*)?)$/;
const ONCE = [
  'host',
  'content-length',
  'transfer-encoding',
  'x-forwarded-for',
  'forwarded',
  'connection',
  'te',
];

/** What is wrong with a head that would be passed on to an app; undefined: nothing. */
export function flawOf(head: string): string | undefined {
  if (!head.endsWith('\r\n\r\n')) return 'it has no end';
  const [line = '', ...lines] = head.slice(0, -4).split('\r\n');
  const [, , target = '', minor] = REQUEST_LINE.exec(line) ?? [];
  if (minor !== '1' || !/^(?:\/|\*$)/.test(target)) return 'its request line is not one';
  const names = lines.map((one) => FIELD_LINE.exec(one)?.[1]?.toLowerCase());
  if (names.includes(undefined)) return 'a field line is none';
  const bad = names.find((name) => ENDS_HERE.test(name ?? ''));
  if (bad !== undefined) return `it has ${bad}`;
  const many = ONCE.find((name) => names.filter((one) => one === name).length > 1);
  if (many !== undefined) return `it has ${many} more than once`;
  if (!names.includes('host') || !names.includes('x-forwarded-for')) return 'it lacks a field';
  if (names.includes('content-length') && names.includes('transfer-encoding')) return 'it is framed twice';
  const plain =
    /^(?:transfer-encoding: chunked|connection: te|te: trailers|forwarded: for=192\.0\.2\.7;.*|x-forwarded-for: 192\.0\.2\.7)$/i;
  const own = /^(?:transfer-encoding|connection|te|forwarded|x-forwarded-for):/i;
  return lines.find((one) => own.test(one) && !plain.test(one));
}
