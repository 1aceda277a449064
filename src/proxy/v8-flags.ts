/**
 * What V8 is told that the proxy runs in, where its own guesses are wrong for one.
 *
 * **What survives will survive again.** V8 counts, for each literal in a program, how many of its objects survive a collection
 * of the young generation; where nearly all do, it makes further ones in the old generation. While a crowd comes in, all that
 * belongs to a connection survives. From then on Node's sockets are born with old parts (the table of their listeners is a
 * literal), and what an old object names survives until the old generation is collected, needed or not: so all of every connection
 * did, and a collection took 20 to 50 ms instead of one. A proxy has no use for the guess: what is made while a request is served is
 * gone soon after.
 *
 * **A program that was quiet stays small.** Where little was made of late, V8 collects everything once the old generation has grown by a
 * tenth, or 8 MB. The connections of a crowd are more, so each crowd began with that: a thread that marks for 60 ms, on a core that has
 * handshakes to do. It may double instead: 60 MB for 30, and V8 itself goes up to fourfold elsewhere.
 *
 * **Native memory that was asked for is still in use.** Up to version 14.7 V8 counts all of it since the last full collection, given back or
 * not. Under TLS it comes and goes with every read, up to 200 KB a connection: with 256 of them everything was collected six times a
 * second. Later versions count what there is (V8 issue 361124432), as this flag makes those before it do.
 */
import { setFlagsFromString } from 'node:v8';

/** Where the flag is known: Node 24 and 26 have such versions, 14.8 has it no more. */
const COUNTS_WHAT_WAS_ASKED_FOR = /^(13\.|14\.[0-7]\.)/;

/** Before the first connection. A flag that V8 no longer has is named on stderr and changes nothing. */
export function setV8Flags(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
  setFlagsFromString('--heap-growing-percent=100');
  if (COUNTS_WHAT_WAS_ASKED_FOR.test(process.versions.v8))
    setFlagsFromString('--external-memory-accounted-in-global-limit');
}
