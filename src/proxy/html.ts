/** What pages of the platform have in common. */

export const PAGE_STYLE = `
:root { color-scheme: light dark; font: 1.1rem/1.5 system-ui, sans-serif; }
body { margin: 20vh auto 0; max-width: 34rem; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
`;

export interface PageParts {
  /** HTML. */
  readonly title: string;
  /** CSS, as it stands between the tags: its hash may be in a header. */
  readonly style: string;
  /** Further lines of the head, and those of the body; HTML, indented by four. */
  readonly head?: string;
  readonly body: string;
}

/** A whole page, which no robot is to keep. */
export function htmlPage({ title, style, head = '', body }: PageParts): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="robots" content="noindex">
${head}    <title>${title}</title>
    <style>${style}</style>
  </head>
  <body>
${body}  </body>
</html>
`;
}

/** Text as it may stand in HTML, between tags and in quoted attributes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
