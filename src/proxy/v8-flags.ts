/**
 * What V8 is told that the proxy runs in.
 *
 * V8 counts, for each literal in a program, how many of its objects survive a collection of the young generation; where nearly
 * all do, it makes further ones in the old generation. While a crowd comes in, all that belongs to a connection survives. From
 * then on Node's sockets are born with old parts (the table of their listeners is a literal), and what an old object names
 * survives until the old generation is collected, needed or not: so all of every connection did, and a collection took
 * 20 to 50 ms instead of one. A proxy has no use for the guess: what is made while a request is served is gone soon after.
 */
import { setFlagsFromString } from 'node:v8';

/** Before the first connection. A flag that V8 no longer has is named on stderr and changes nothing. */
export function setV8Flags(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}
