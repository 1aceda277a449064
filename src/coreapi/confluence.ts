/**
 * Several streams that become one, each item as it comes. None is read on before its item is taken, so a reader that is slow
 * holds one item of each.
 */
export class Confluence<T> {
  readonly #offered: { readonly item: T; readonly taken: () => void }[] = [];
  #wake: () => void = () => undefined;
  #isOver = false;
  #failure: { readonly thrown: unknown } | undefined;

  /** Resolves when the stream has ended and all of it is taken, or nothing more is. What it throws, the whole throws. */
  async add(stream: AsyncIterable<T>): Promise<void> {
    try {
      for await (const item of stream) {
        if (this.#isOver) return;
        await new Promise<void>((taken) => {
          this.#offered.push({ item, taken });
          this.#wake();
        });
      }
    } catch (thrown) {
      this.end({ thrown });
    }
  }

  /** Nothing more is taken. The first word on why counts. */
  end(failure?: { readonly thrown: unknown }): void {
    if (!this.#isOver) this.#failure = failure;
    this.#isOver = true;
    for (const { taken } of this.#offered.splice(0)) taken();
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      while (!this.#isOver) {
        const next = this.#offered.shift();
        if (next) {
          next.taken();
          yield next.item;
        } else {
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
      }
      if (this.#failure) throw this.#failure.thrown;
    } finally {
      this.end();
    }
  }
}
