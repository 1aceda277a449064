/**
 * What V8 is told that the proxy runs in.
 *
 * V8 has two optimising compilers, and what Maglev, the quicker one, makes of the constructor of Node's `WritableState` (seen in
 * Node 26.10) keeps every connection that has ended, with all it names, until the old generation is collected; what TurboFan or
 * the interpreter make of it keeps none. So for the first ten seconds of load or so, each collection of the young generation
 * moved some 10 MB and stood still for 10 to 40 ms instead of half a millisecond. Maglev leaves that one function out now.
 */
import { setFlagsFromString } from 'node:v8';

/** Before the first connection. Where V8 has another mind about flags, all is as it was. */
export function setV8Flags(): void {
  setFlagsFromString('--maglev-filter=-WritableState');
}
