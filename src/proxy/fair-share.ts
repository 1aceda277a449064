/**
 * How room is shared by those who may want all of it: nobody may have more than is left for all others (the dynamic thresholds of
 * Choudhury and Hahne, 1998). One alone gets half, ten that want all they can get an eleventh each, and whoever comes next
 * finds as much again. Nothing has to be known of who there is.
 */

export interface Room {
  /** What the one who asks has already. */
  readonly own: number;
  /** What all have, that included. */
  readonly all: number;
  readonly most: number;
}

/** Whether one may have so much more. */
export function mayHave(more: number, { own, all, most }: Room): boolean {
  return own + more <= most - all;
}
