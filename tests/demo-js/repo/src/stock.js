/** What is in the larder. */

import { parseAmount } from "./units.js";

export class Stock {
  #amounts = new Map();

  /** Reads `{ flour: "1 kg", eggs: "4" }`. */
  static of(written) {
    const stock = new Stock();
    for (const [name, text] of Object.entries(written)) {
      const { amount, unit } = parseAmount(text);
      stock.put(name, amount, unit);
    }
    return stock;
  }

  put(name, amount, unit) {
    const key = keyOf(name, unit);
    this.#amounts.set(key, (this.#amounts.get(key) ?? 0) + amount);
  }

  /** How much there is of something, in a unit; 0 if there is none. */
  amountOf(name, unit) {
    return this.#amounts.get(keyOf(name, unit)) ?? 0;
  }
}

/** An ingredient that is counted in one recipe and weighed in another is two. */
export function keyOf(name, unit) {
  return `${name.toLowerCase()}|${unit}`;
}
