/** Changes to one node's reservations queue up here instead of losing races against each other. */
export class NodeTurns {
  readonly #turns = new Map<string, Promise<unknown>>();

  /** Runs after whatever else is being done to the node's reservations in this process. */
  take<T>(nodeId: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(nodeId) ?? Promise.resolve()).then(work, work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(nodeId, settled);
    return turn;
  }
}
