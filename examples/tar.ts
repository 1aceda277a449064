/**
 * Just enough of the tar format (POSIX ustar) to make image layers: regular files and directories whose owner, time and
 * order are fixed, so that the same files always give the same bytes, and so the same digest.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

export type TarContent =
  | { readonly type: 'directory' }
  | { readonly type: 'bytes'; readonly bytes: Buffer }
  /** A file of this machine, read when the archive is. */
  | { readonly type: 'file'; readonly path: string; readonly sizeBytes: number }
  /** An archive within the archive. */
  | { readonly type: 'tar'; readonly entries: readonly TarEntry[] };

export interface TarEntry {
  /** Relative, with forward slashes, at most 100 bytes. */
  readonly name: string;
  /** Permission bits. */
  readonly mode: number;
  readonly content: TarContent;
}

const BLOCK_BYTES = 512;

export function directory(name: string, mode = 0o755): TarEntry {
  return { name: `${name}/`, mode, content: { type: 'directory' } };
}

export function bytes(name: string, content: string | Buffer, mode = 0o644): TarEntry {
  return { name, mode, content: { type: 'bytes', bytes: Buffer.from(content) } };
}

/** A copy of a file of this machine (links are followed). */
export async function file(name: string, path: string, mode = 0o644): Promise<TarEntry> {
  return { name, mode, content: { type: 'file', path, sizeBytes: (await stat(path)).size } };
}

/** How long the whole archive is. */
export function tarBytes(entries: readonly TarEntry[]): number {
  return entries.reduce(
    (sum, { content }) => sum + BLOCK_BYTES + padded(contentBytes(content)),
    2 * BLOCK_BYTES,
  );
}

/** The archive, piece by piece. Fails where a file changes its size meanwhile. */
export async function* tar(entries: readonly TarEntry[]): AsyncGenerator<Buffer> {
  for (const entry of entries) {
    const sizeBytes = contentBytes(entry.content);
    yield header(entry, sizeBytes);
    let writtenBytes = 0;
    for await (const piece of pieces(entry.content)) {
      writtenBytes += piece.length;
      yield piece;
    }
    if (writtenBytes !== sizeBytes) throw new Error(`${entry.name} changed while it was read`);
    yield Buffer.alloc(padded(sizeBytes) - sizeBytes);
  }
  yield Buffer.alloc(2 * BLOCK_BYTES);
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function contentBytes(content: TarContent): number {
  switch (content.type) {
    case 'directory':
      return 0;
    case 'bytes':
      return content.bytes.length;
    case 'file':
      return content.sizeBytes;
    case 'tar':
      return tarBytes(content.entries);
  }
}

async function* pieces(content: TarContent): AsyncGenerator<Buffer> {
  switch (content.type) {
    case 'directory':
      return;
    case 'bytes':
      yield content.bytes;
      return;
    case 'file':
      yield* createReadStream(content.path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>;
      return;
    case 'tar':
      yield* tar(content.entries);
  }
}

/** IEEE Std 1003.1, pax: "ustar Interchange Format". Owner root, time 0. */
function header(entry: TarEntry, sizeBytes: number): Buffer {
  if (Buffer.byteLength(entry.name) > 100) throw new Error(`${entry.name} is too long a name`);
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, offset: number, width: number) => {
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
  };
  block.write(entry.name, 0);
  octal(entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(sizeBytes, 124, 12);
  octal(0, 136, 12);
  block.write('        ', 148, 'latin1'); // the checksum counts as spaces while it is computed
  block.write(entry.content.type === 'directory' ? '5' : '0', 156, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return block;
}
