/** Horizontal bars, each a stack of named parts: enough of a picture for a comparison, and readable in both themes. */

/** A bar without parts is the heading of those below it. */
export interface Bar {
  readonly name: string;
  readonly parts: readonly { readonly label: string; readonly value: number }[];
}

const COLOURS = [
  '#4c78a8',
  '#f58518',
  '#54a24b',
  '#e45756',
  '#72b7b2',
  '#eeca3b',
  '#b279a2',
  '#9d755d',
  '#999999',
];
const WIDTH = 860;
const LEFT = 250;
const RIGHT = 90;
const ROW = 30;
const TOP = 58;

export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const total = (bar: Bar) => bar.parts.reduce((sum, part) => sum + part.value, 0);
  const scale = (WIDTH - LEFT - RIGHT) / Math.max(...bars.map(total), Number.MIN_VALUE);
  const labels = [...new Set(bars.flatMap((bar) => bar.parts.map((part) => part.label)))];
  const colour = (label: string) => COLOURS[labels.indexOf(label) % COLOURS.length] ?? '#888';
  const height = TOP + bars.length * ROW + 16;

  const rows = bars.map((bar, index) => {
    const y = TOP + index * ROW;
    if (bar.parts.length === 0)
      return `<text x="16" y="${y + 15}" font-weight="600">${escape(bar.name)}</text>`;
    let x = LEFT;
    const parts = bar.parts.map(({ label, value }) => {
      const rect = `<rect x="${x.toFixed(1)}" y="${y}" width="${(value * scale).toFixed(1)}" height="${ROW - 10}" fill="${colour(label)}"><title>${escape(`${label}: ${value.toFixed(1)} ${unit}`)}</title></rect>`;
      x += value * scale;
      return rect;
    });
    const name = `<text x="${LEFT - 10}" y="${y + 15}" text-anchor="end">${escape(bar.name)}</text>`;
    const sum = `<text x="${(x + 8).toFixed(1)}" y="${y + 15}">${total(bar).toPrecision(3)}</text>`;
    return [name, ...parts, sum].join('\n');
  });
  let legendX = LEFT;
  const legend = labels.map((label) => {
    const item = `<rect x="${legendX}" y="34" width="10" height="10" fill="${colour(label)}"/><text x="${legendX + 15}" y="43">${escape(label)}</text>`;
    legendX += 30 + label.length * 7.5;
    return item;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="16" y="22" font-size="15" font-weight="600">${escape(`${title} (${unit})`)}</text>`,
    ...(labels.length > 1 ? legend : []),
    ...rows,
    '</svg>\n',
  ].join('\n');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
