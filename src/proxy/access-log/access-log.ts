/** The access log: which requests get a line, and when they came by the clock on the wall. */
import type { Clock } from '../../clock.ts';
import type { ConnectionLog, RequestFacts, RequestLog, RequestLogStats } from '../request-log.ts';
import type { ProxyLog } from '../transport.ts';
import { LineWriter, MAX_LINE_BYTES } from './line.ts';
import { LogFile } from './log-file.ts';

/** The wall clock is looked at anew after this time: it may have been set. */
const SYNC_EVERY_MS = 1_000;

export interface AccessLogOptions {
  /** Appended to; `-` is standard output. */
  readonly path: string;
  /** The share of requests that get a line, 0 to 1. Those that were answered with 500 or above always do. */
  readonly sample: number;
  readonly clock: Clock;
  readonly log: ProxyLog;
  /** See `LogFileOptions`. */
  readonly maxBytes?: number | undefined;
}

export class AccessLog implements RequestLog {
  readonly #clock: Clock;
  readonly #file: LogFile;
  readonly #sample: number;
  /** From the monotonic clock to the one on the wall. */
  #epochMs = 0;
  #syncAtMs = -Infinity;

  /** Errors: `invalid_config` (the file cannot be opened). */
  constructor({ path, sample, clock, log, maxBytes }: AccessLogOptions) {
    this.#clock = clock;
    this.#sample = sample;
    this.#file = new LogFile({ path, clock, log, maxBytes });
  }

  connection(): ConnectionLog {
    return new LoggedConnection(this);
  }

  stats(): RequestLogStats {
    return this.#file.stats();
  }

  /** Writes what is there, for two seconds at most. After the proxy has closed. */
  close(): Promise<void> {
    return this.#file.close();
  }

  /** Adds a line, by what the connection of the request keeps. */
  add(writer: LineWriter, request: RequestFacts): void {
    if (request.status < 500 && this.#sample < 1 && Math.random() >= this.#sample) return;
    if (request.endedMs >= this.#syncAtMs) {
      this.#epochMs = this.#clock.nowMs() - this.#clock.monotonicMs();
      this.#syncAtMs = request.endedMs + SYNC_EVERY_MS;
    }
    const cameAtMs = this.#epochMs + request.startedMs;
    this.#file.add(MAX_LINE_BYTES, (out, at) => writer.write(out, at, request, cameAtMs));
  }
}

class LoggedConnection implements ConnectionLog {
  readonly #log: AccessLog;
  readonly #writer = new LineWriter();

  constructor(log: AccessLog) {
    this.#log = log;
  }

  over(request: RequestFacts): void {
    this.#log.add(this.#writer, request);
  }
}
