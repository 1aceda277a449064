/** Reads the answers on a connection, one after the other, by their framing: short, and not the proxy's own reader. */

const MAX_HEAD_BYTES = 64 * 1024;

export interface AnswerHead {
  readonly status: number;
  /** Names in lower case. */
  readonly fields: ReadonlyMap<string, string>;
}

export interface AnswerSink {
  /** Whether the request now answered was a HEAD. */
  headOnly(): boolean;
  head(head: AnswerHead): void;
  part(bytes: Buffer): void;
  end(): void;
}

export class AnswerReader {
  readonly #sink: AnswerSink;
  #kept: Buffer = Buffer.alloc(0);
  /** `size`: a chunk's; `tail`: the line end behind it; `trailers`: what is behind the last one. */
  #state: 'head' | 'length' | 'size' | 'data' | 'tail' | 'trailers' | 'close' = 'head';
  #left = 0;

  constructor(sink: AnswerSink) {
    this.#sink = sink;
  }

  /** In the middle of an answer. */
  get answering(): boolean {
    return this.#state !== 'head' || this.#kept.length > 0;
  }

  /** Errors: it is no answer. */
  take(piece: Buffer): void {
    let bytes = this.#kept.length === 0 ? piece : Buffer.concat([this.#kept, piece]);
    this.#kept = Buffer.alloc(0);
    for (;;) {
      const rest = this.#step(bytes);
      if (rest === undefined) {
        this.#kept = Buffer.from(bytes);
        return;
      }
      bytes = rest;
      if (bytes.length === 0) return;
    }
  }

  /** The connection has ended. */
  close(): void {
    if (this.#state !== 'close') return;
    this.#state = 'head';
    this.#sink.end();
  }

  /** What is left of the bytes; undefined: more are needed. */
  #step(bytes: Buffer): Buffer | undefined {
    switch (this.#state) {
      case 'head':
        return this.#head(bytes);
      case 'close':
        this.#sink.part(bytes);
        return bytes.subarray(bytes.length);
      case 'length':
      case 'data': {
        const taken = bytes.subarray(0, this.#left);
        this.#left -= taken.length;
        if (taken.length > 0) this.#sink.part(taken);
        if (this.#left === 0) {
          if (this.#state === 'data') this.#state = 'tail';
          else this.#over();
        }
        return bytes.subarray(taken.length);
      }
      case 'size':
      case 'tail':
      case 'trailers': {
        const end = bytes.indexOf('\r\n');
        if (end === -1) {
          if (bytes.length > MAX_HEAD_BYTES) throw new Error('a line without an end');
          return undefined;
        }
        this.#line(bytes.toString('latin1', 0, end));
        return bytes.subarray(end + 2);
      }
    }
  }

  #line(line: string): void {
    if (this.#state === 'trailers') {
      if (line === '') this.#over();
    } else if (this.#state === 'tail') {
      if (line !== '') throw new Error(`behind a chunk: ${JSON.stringify(line.slice(0, 100))}`);
      this.#state = 'size';
    } else {
      if (!/^[0-9a-f]+$/i.test(line))
        throw new Error(`as a chunk size: ${JSON.stringify(line.slice(0, 100))}`);
      this.#left = parseInt(line, 16);
      this.#state = this.#left === 0 ? 'trailers' : 'data';
    }
  }

  #head(bytes: Buffer): Buffer | undefined {
    const end = bytes.indexOf('\r\n\r\n');
    if (end === -1) {
      if (bytes.length > MAX_HEAD_BYTES) throw new Error('a head without an end');
      return undefined;
    }
    const [line = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1]);
    if (!Number.isInteger(status)) throw new Error(`as a status line: ${JSON.stringify(line.slice(0, 100))}`);
    const fields = new Map<string, string>();
    for (const field of lines) {
      const colon = field.indexOf(':');
      fields.set(field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim());
    }
    const rest = bytes.subarray(end + 4);
    if (status < 200) return rest;
    const headOnly = this.#sink.headOnly();
    this.#sink.head({ status, fields });
    const length = fields.get('content-length');
    if (headOnly || status === 204 || status === 304 || length === '0') this.#over();
    else if (fields.get('transfer-encoding') === 'chunked') this.#state = 'size';
    else if (length === undefined) this.#state = 'close';
    else {
      this.#left = Number(length);
      this.#state = 'length';
    }
    return rest;
  }

  #over(): void {
    this.#state = 'head';
    this.#sink.end();
  }
}
