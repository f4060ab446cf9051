/** The shopping list as text. */

import { shoppingList } from "./shopping.js";
import { formatAmount } from "./units.js";

/** Columns for the amount. */
const AMOUNT_WIDTH = 8;

/** A list as it goes on the fridge's door, a line for each item. */
export function printList(week, stock) {
  const items = shoppingList(week, stock);
  if (items.length === 0) {
    return "Nothing to buy.\n";
  }
  const lines = items.map(
    ({ name, amount, unit }) => `${formatAmount(amount, unit).padStart(AMOUNT_WIDTH)}  ${name}`,
  );
  return `${lines.join("\n")}\n`;
}
