/** Changes of the same thing queue up here instead of losing races against each other. */
export class Turns {
  readonly #turns = new Map<string, Promise<unknown>>();

  /** Runs after whatever else is being done to the thing of that id in this process. Ids are few: none is forgotten. */
  take<T>(id: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(id) ?? Promise.resolve()).then(work, work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(id, settled);
    return turn;
  }
}
