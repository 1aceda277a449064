/** The bounds of what is read of a message before, beside and after its body. */

export interface HeadLimits {
  /** The whole head: start line, field lines, the empty line, and one empty line before it. */
  readonly headBytes: number;
  /** The request target; less than `headBytes`. */
  readonly targetBytes: number;
  /** Field lines. */
  readonly fieldLines: number;
}

export const DEFAULT_REQUEST_HEAD_LIMITS: HeadLimits = {
  headBytes: 16 * 1024,
  targetBytes: 8 * 1024,
  fieldLines: 128,
};

/** Apps are trusted with more than visitors: they set cookies. */
export const DEFAULT_RESPONSE_HEAD_LIMITS: HeadLimits = {
  headBytes: 64 * 1024,
  targetBytes: 0,
  fieldLines: 256,
};

export interface ChunkLimits {
  /** Chunk extensions of one message in all; Node's own parser has the same bound. */
  readonly extensionBytes: number;
  /** The trailer section of one message, its line ends included. */
  readonly trailerBytes: number;
  readonly trailerLines: number;
}

export const DEFAULT_CHUNK_LIMITS: ChunkLimits = {
  extensionBytes: 16 * 1024,
  trailerBytes: 8 * 1024,
  trailerLines: 64,
};
