/**
 * A map that never grows past its bound: what was used longest ago goes first. Entries are linked in order of use, so
 * a hit moves four pointers and allocates nothing.
 */

interface Node<K, V> {
  readonly key: K;
  value: V;
  newer: Node<K, V> | undefined;
  older: Node<K, V> | undefined;
}

export class LruMap<K, V> {
  readonly #maxSize: number;
  readonly #onEvict: ((key: K, value: V) => void) | undefined;
  readonly #nodes = new Map<K, Node<K, V>>();
  #newest: Node<K, V> | undefined;
  #oldest: Node<K, V> | undefined;

  /** `maxSize` is 1 or more. `onEvict` hears of what had to go, not of what was deleted. */
  constructor(maxSize: number, onEvict?: (key: K, value: V) => void) {
    this.#maxSize = maxSize;
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** In no particular order. */
  keys(): IterableIterator<K> {
    return this.#nodes.keys();
  }

  /** In no particular order. */
  *values(): Generator<V> {
    for (const node of this.#nodes.values()) yield node.value;
  }

  get(key: K): V | undefined {
    const node = this.#nodes.get(key);
    if (node === undefined) return undefined;
    if (node !== this.#newest) {
      this.#unlink(node);
      this.#pushNewest(node);
    }
    return node.value;
  }

  set(key: K, value: V): void {
    const known = this.#nodes.get(key);
    if (known !== undefined) {
      known.value = value;
      this.#unlink(known);
      this.#pushNewest(known);
      return;
    }
    const node: Node<K, V> = { key, value, newer: undefined, older: undefined };
    this.#nodes.set(key, node);
    this.#pushNewest(node);
    if (this.#nodes.size > this.#maxSize && this.#oldest !== undefined) {
      const evicted = this.#oldest;
      this.#remove(evicted);
      this.#onEvict?.(evicted.key, evicted.value);
    }
  }

  delete(key: K): boolean {
    const node = this.#nodes.get(key);
    if (node === undefined) return false;
    this.#remove(node);
    return true;
  }

  #remove(node: Node<K, V>): void {
    this.#nodes.delete(node.key);
    this.#unlink(node);
  }

  #unlink(node: Node<K, V>): void {
    if (node.newer === undefined) this.#newest = node.older;
    else node.newer.older = node.older;
    if (node.older === undefined) this.#oldest = node.newer;
    else node.older.newer = node.newer;
    node.newer = undefined;
    node.older = undefined;
  }

  #pushNewest(node: Node<K, V>): void {
    node.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = node;
    this.#newest = node;
    this.#oldest ??= node;
  }
}
