/** What a soak has seen, as figures and as violations of what is promised. */

const KEPT_VIOLATIONS = 20;

export interface Figures {
  /** Requests that were sent, or at least begun. */
  begun: number;
  /** By the app, with a whole answer that was the request's own. */
  answered: number;
  /** 502 and broken answers where the app had broken the connection; 404 where there was no app; 400 where it was due. */
  refused: number;
  broken: number;
  /** By the client itself. */
  aborted: number;
  /** Messages over WebSockets that came back. */
  messages: number;
  bytes: number;
}

export class Ledger {
  readonly figures: Figures = {
    begun: 0,
    answered: 0,
    refused: 0,
    broken: 0,
    aborted: 0,
    messages: 0,
    bytes: 0,
  };
  readonly violations: string[] = [];
  #violations = 0;

  get violationCount(): number {
    return this.#violations;
  }

  violation(what: string): void {
    this.#violations++;
    if (this.violations.length < KEPT_VIOLATIONS) this.violations.push(what);
  }

  /** The same, where something is wrong. */
  check(wrong: string | undefined): void {
    if (wrong !== undefined) this.violation(wrong);
  }
}
