/** Figures as people read them, in reasons and events. */

export function coresText(cores: number): string {
  return `${toHundredths(cores)} CPU`;
}

/** `1 container`, `2.5 containers`, `40 containers`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  const rounded = count < 10 ? toHundredths(count) : Math.round(count);
  return `${rounded} ${rounded === 1 ? one : many}`;
}

/** Finer than that, load is noise. */
export function toHundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
