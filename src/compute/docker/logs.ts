/**
 * Docker's log stream as lines. The engine frames each message with its stream and size, puts its time in front, and
 * cuts lines of more than 16 KiB into messages without a line ending; a reader wants whole lines, but no more of one than
 * the platform's bound.
 */
import type { LogLine } from '../engine.ts';

/** What is kept of one line. */
export const MAX_LINE_BYTES = 16 * 1024;
/** A message is a piece of a line and a timestamp; more than this is no message but a broken stream. */
const MAX_FRAME_BYTES = 1024 * 1024;
const HEADER_BYTES = 8;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

interface PartialLine {
  readonly atMs: number;
  readonly pieces: Buffer[];
  bytes: number;
}

/** Yields the lines of a multiplexed log stream as they are complete; an unfinished last line too, at the end. */
export async function* logLines(stream: AsyncIterable<Buffer>): AsyncGenerator<LogLine> {
  const partial = new Map<LogLine['stream'], PartialLine>();
  for await (const frame of frames(stream)) {
    const line = partial.get(frame.stream) ?? { atMs: frame.atMs, pieces: [], bytes: 0 };
    partial.set(frame.stream, line);
    const ends = frame.text.at(-1) === NEWLINE;
    const piece = frame.text.subarray(
      0,
      Math.min(frame.text.length - (ends ? 1 : 0), MAX_LINE_BYTES - line.bytes),
    );
    if (piece.length > 0) line.pieces.push(piece);
    line.bytes += piece.length;
    if (!ends) continue;
    partial.delete(frame.stream);
    yield { atMs: line.atMs, stream: frame.stream, text: textOf(line) };
  }
  for (const [name, line] of partial) yield { atMs: line.atMs, stream: name, text: textOf(line) };
}

function textOf(line: PartialLine): string {
  let bytes = Buffer.concat(line.pieces);
  if (bytes.at(-1) === CARRIAGE_RETURN) bytes = bytes.subarray(0, -1);
  // A line that was cut may end inside a character: decoding as a stream leaves the incomplete one out.
  return new TextDecoder().decode(bytes, { stream: bytes.length === MAX_LINE_BYTES });
}

interface Frame {
  readonly stream: LogLine['stream'];
  readonly atMs: number;
  readonly text: Buffer;
}

async function* frames(stream: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  let buffer: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk]);
    while (buffer.length >= HEADER_BYTES) {
      const size = buffer.readUInt32BE(4);
      if (size > MAX_FRAME_BYTES) throw new Error(`the engine announced a log message of ${size} bytes`);
      const end = HEADER_BYTES + size;
      if (buffer.length < end) break;
      yield parse(buffer[0] === 2 ? 'stderr' : 'stdout', buffer.subarray(HEADER_BYTES, end));
      buffer = buffer.subarray(end);
    }
  }
}

/** A message is `2026-01-31T10:20:30.123456789Z text`. */
function parse(stream: LogLine['stream'], message: Buffer): Frame {
  const space = message.indexOf(' ');
  return {
    stream,
    atMs: Date.parse(message.toString('latin1', 0, space)),
    text: message.subarray(space + 1),
  };
}
