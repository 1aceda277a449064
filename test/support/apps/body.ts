/** A body of any size that is the same every time and differs in every block, so that a lost or doubled one shows. */
import { createHash } from 'node:crypto';

const BLOCK_BYTES = 64 * 1024;

export function* bodyBlocks(sizeBytes: number): Generator<Buffer> {
  for (let offset = 0; offset < sizeBytes; offset += BLOCK_BYTES) {
    const block = Buffer.alloc(Math.min(BLOCK_BYTES, sizeBytes - offset), offset / BLOCK_BYTES);
    if (block.length >= 4) block.writeUInt32BE(offset / BLOCK_BYTES);
    yield block;
  }
}

/** SHA-256 of the whole body, hex. */
export function bodyHash(sizeBytes: number): string {
  const hash = createHash('sha256');
  for (const block of bodyBlocks(sizeBytes)) hash.update(block);
  return hash.digest('hex');
}
