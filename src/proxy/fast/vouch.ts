/**
 * What the fast path serves itself, decided in this one place. Everything else goes, on the connection it came on, to the
 * transport on node:http, which then keeps that connection: the same routes, admission, balancing and counters, with more
 * patience for what is seldom. `docs/data-plane.md` has the same as a table.
 */
import type { RequestHead } from '../http1/request-head.ts';

export function vouchesFor(head: RequestHead): boolean {
  return (
    // Upgrades, absolute-form, `OPTIONS *`, rare methods, no Host, a Host beyond ASCII, unknown expectations.
    head.odd === 0 &&
    // An HTTP/1.0 client is sent no chunks and no interim answers, so an answer may have to be taken apart.
    head.minorVersion === 1 &&
    // The body comes only after an interim answer, or never.
    !head.expectsContinue &&
    // Of announced trailers those that may not pass are taken out one by one.
    !head.fields.announcesTrailers
  );
}
