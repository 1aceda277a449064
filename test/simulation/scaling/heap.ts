/** What is due next: a binary heap of values by their keys. */
export class Heap<T> {
  readonly #keys: number[] = [];
  readonly #values: T[] = [];

  get size(): number {
    return this.#keys.length;
  }

  /** The least key; Infinity when it is empty. */
  get key(): number {
    return this.#keys[0] ?? Infinity;
  }

  push(key: number, value: T): void {
    const keys = this.#keys;
    const values = this.#values;
    let at = keys.length;
    keys.push(key);
    values.push(value);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentKey = keys[parent] as number;
      if (parentKey <= key) break;
      keys[at] = parentKey;
      values[at] = values[parent] as T;
      at = parent;
    }
    keys[at] = key;
    values[at] = value;
  }

  /** The value of the least key. */
  pop(): T | undefined {
    const keys = this.#keys;
    const values = this.#values;
    const first = values[0];
    const key = keys.pop();
    const value = values.pop();
    const size = keys.length;
    if (key === undefined || value === undefined || size === 0) return first;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && (keys[child + 1] as number) < (keys[child] as number)) child++;
      const childKey = keys[child] as number;
      if (childKey >= key) break;
      keys[at] = childKey;
      values[at] = values[child] as T;
      at = child;
    }
    keys[at] = key;
    values[at] = value;
    return first;
  }
}
