/**
 * Tables for people: columns aligned by spaces, no lines around them, and no wider than the terminal. Where room is
 * short, the columns marked `flexible` give way, the widest first.
 */

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string;
  /** Numbers are easier to compare when they end at the same place. */
  readonly alignRight?: boolean;
  /** May be cut to fit. */
  readonly flexible?: boolean;
  /** Colours the cell; given after its width is known. */
  readonly paint?: (cell: string, row: T) => string;
}

const GAP = '  ';
const MIN_FLEXIBLE_WIDTH = 12;

/** How much room a text takes on a terminal: the emoji and CJK in a reason are two columns wide. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (/\p{Mark}/u.test(character) || code < 32) continue;
    width +=
      /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}

/** Makes text safe to show on one line: what a tenant's app wrote must not move the cursor. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
}

/** Makes text of several lines safe to show: colours may stay, but it must not clear the screen or move about. */
export function inPlace(text: string): string {
  return text.replace(/\u001b\[[0-9;]*m|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (found) =>
    found.length > 1 ? found : '',
  );
}

/** Cuts a text to `width` columns, with an ellipsis where something was lost. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let cut = '';
  let used = 0;
  for (const character of text) {
    used += displayWidth(character);
    if (used > width - 1) break;
    cut += character;
  }
  return `${cut.trimEnd()}…`;
}

/** One line a row, the titles first; each ends with a newline. `width` in columns; undefined: as wide as it gets. */
export function renderTable<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  options: { width: number | undefined; paintTitle?: (title: string) => string },
): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.value(row))));
  const widths = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...cells.map((line) => displayWidth(line[index] ?? ''))),
  );
  if (options.width !== undefined) {
    const room = options.width - GAP.length * (columns.length - 1);
    const flexible = columns.flatMap((column, index) => (column.flexible ? [index] : []));
    narrow(widths, flexible, room);
  }
  const render = (line: readonly string[], paint: (cell: string, index: number) => string) =>
    line
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        const shown = truncate(cell, width);
        const pad = ' '.repeat(Math.max(0, width - displayWidth(shown)));
        const painted = paint(shown, index);
        if (columns[index]?.alignRight) return pad + painted;
        return index === line.length - 1 ? painted : painted + pad;
      })
      .join(GAP)
      .trimEnd();
  const title = render(
    columns.map((column) => column.title),
    (cell) => options.paintTitle?.(cell) ?? cell,
  );
  const lines = rows.map((row, at) =>
    render(cells[at] ?? [], (cell, index) => columns[index]?.paint?.(cell, row) ?? cell),
  );
  return [title, ...lines].map((line) => `${line}\n`).join('');
}

/** Takes from the widest of the flexible columns until all fit in the room, or none can be narrower. */
function narrow(widths: number[], flexible: readonly number[], room: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) - room;
  for (; excess > 0; excess--) {
    const widest = Math.max(...flexible.map((index) => widths[index] ?? 0));
    if (widest <= MIN_FLEXIBLE_WIDTH) return;
    const index = flexible.find((one) => widths[one] === widest) ?? 0;
    widths[index] = widest - 1;
  }
}
