/**
 * A request as one line of JSON, written to where it is to leave from while other requests wait. Strings that are put together
 * to be taken apart again cost several times as much. What is nearly always as in the line before on that connection (who asks
 * for which host, and which container answers) is kept as bytes; so there is one of these per connection, and all that it keeps is in
 * one place of memory: with many connections, none of it is in the processor's first caches when its turn comes.
 */
import type { Endpoint, Route } from '../control-plane.ts';
import type { RequestFacts } from '../request-log.ts';
import {
  MAX_ESCAPE_BYTES,
  quotable,
  writeBytes,
  writeMilliseconds,
  writeText,
  writeThreeDigits,
  writeWhole,
} from './bytes.ts';

/** Of the path with its query; what is longer is cut and ends with `…` (U+2026). */
const MAX_PATH_BYTES = 1_024;
/** Of any other text. */
const MAX_TEXT_BYTES = 256;
/** No line is longer: a path, ten other texts and as much again, of which each byte is escaped. */
export const MAX_LINE_BYTES = MAX_ESCAPE_BYTES * (MAX_PATH_BYTES + 20 * MAX_TEXT_BYTES);

const STATUS = ascii('","status":');
const RECEIVED = ascii(',"receivedBytes":');
const SENT = ascii(',"sentBytes":');
const TOTAL = ascii(',"totalMs":');
const FIRST_BYTE = ascii(',"firstByteMs":');
const HELD = ascii(',"heldMs":');
const ERROR = ascii(',"error":"');
const STAND_IN = ascii(',"standIn":"');
const USER_AGENT = ascii(',"userAgent":"');
const REQUEST_ID = ascii(',"requestId":"');
const CLOSED = ascii('"');
const END = ascii('}\n');

const FIRST_KEPT_BYTES = 256;

export class LineWriter {
  /** From the end of the time to the path; and behind that which app and container. */
  #kept = Buffer.allocUnsafeSlow(FIRST_KEPT_BYTES);
  #headBytes = 0;
  #keptBytes = 0;
  /** What it was made of, and as a text. */
  #host: string | undefined;
  #method = '';
  #protocol = '';
  #head = '';
  #route: Route | undefined;
  #endpoint: Endpoint | undefined;
  #place = '';

  /**
   * Writes to `out` at `at`, where there is room for `MAX_LINE_BYTES`; returns where the line ends. `epochMs`: when the
   * request came.
   */
  write(out: Buffer, at: number, request: RequestFacts, epochMs: number): number {
    const { startedMs, firstByteMs, lease, error, standIn, userAgent, requestId } = request;
    this.#prepare(request);
    let end = writeTime(out, at, epochMs);
    end += this.#kept.copy(out, end, 0, this.#headBytes);
    end = writeText(out, end, request.target, MAX_PATH_BYTES);
    end = writeWhole(out, writeBytes(out, end, STATUS), request.status);
    end = writeWhole(out, writeBytes(out, end, RECEIVED), request.receivedBytes);
    end = writeWhole(out, writeBytes(out, end, SENT), request.sentBytes);
    end = writeMilliseconds(out, writeBytes(out, end, TOTAL), request.endedMs - startedMs);
    if (!Number.isNaN(firstByteMs))
      end = writeMilliseconds(out, writeBytes(out, end, FIRST_BYTE), firstByteMs - startedMs);
    if (lease !== undefined) {
      if (lease.wait !== undefined)
        end = writeMilliseconds(out, writeBytes(out, end, HELD), request.placedMs - startedMs);
      end += this.#kept.copy(out, end, this.#headBytes, this.#keptBytes);
    }
    if (error !== undefined) {
      end = writeBytes(out, end, ERROR);
      end = writeBytes(out, end + out.write(error, end, 'latin1'), CLOSED);
    }
    if (standIn !== undefined) {
      end = writeBytes(out, end, STAND_IN);
      end = writeBytes(out, end + out.write(standIn, end, 'latin1'), CLOSED);
    }
    if (userAgent.to > userAgent.from) {
      end = writeText(out, writeBytes(out, end, USER_AGENT), userAgent, MAX_TEXT_BYTES);
      end = writeBytes(out, end, CLOSED);
    }
    if (requestId.to > requestId.from) {
      end = writeText(out, writeBytes(out, end, REQUEST_ID), requestId, MAX_TEXT_BYTES);
      end = writeBytes(out, end, CLOSED);
    }
    return writeBytes(out, end, END);
  }

  #prepare({ client, scheme, protocol, method, host, lease }: RequestFacts): void {
    const isOtherHead = host !== this.#host || method !== this.#method || protocol !== this.#protocol;
    const isOtherPlace =
      lease !== undefined && (lease.route !== this.#route || lease.endpoint !== this.#endpoint);
    if (!isOtherHead && !isOtherPlace) return;
    if (isOtherHead) {
      this.#host = host;
      this.#method = method;
      this.#protocol = protocol;
      this.#head =
        `Z","client":"${short(client)}","scheme":"${scheme}","protocol":"${protocol}"` +
        `,"method":"${short(method)}","host":"${short(host)}","path":"`;
    }
    if (isOtherPlace) {
      const { route, endpoint } = lease;
      this.#route = route;
      this.#endpoint = endpoint;
      this.#place =
        `,"app":"${short(route.appName)}","appId":"${short(route.appId)}"` +
        `,"containerId":"${short(endpoint.containerId)}"`;
    }
    this.#headBytes = this.#head.length;
    this.#keptBytes = this.#headBytes + this.#place.length;
    if (this.#keptBytes > this.#kept.length) this.#kept = Buffer.allocUnsafeSlow(this.#keptBytes);
    this.#kept.write(this.#head + this.#place, 'latin1');
  }
}

function short(text: string): string {
  return quotable(text, MAX_TEXT_BYTES);
}

function ascii(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

let second = Number.NaN;
let secondText = ascii('');

/** The beginning of a line: RFC 3339, UTC, with milliseconds, up to the `Z`. All lines of a second have most of it. */
function writeTime(out: Buffer, at: number, epochMs: number): number {
  const now = Math.floor(epochMs / 1_000);
  if (now !== second) {
    second = now;
    secondText = ascii(`{"time":"${new Date(now * 1_000).toISOString().slice(0, 20)}`);
  }
  return writeThreeDigits(out, writeBytes(out, at, secondText), Math.floor(epochMs - now * 1_000));
}
