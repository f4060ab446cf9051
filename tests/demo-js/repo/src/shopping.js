/** What has to be bought for a week. */

import { ingredientsFor } from "./recipe.js";
import { Stock, keyOf } from "./stock.js";

/**
 * Everything that the meals of a week need, each ingredient once, in the order
 * in which it is first needed.
 * @param {import("./week.js").Week} week
 */
export function totalNeeded(week) {
  const total = new Map();
  for (const meal of week.meals()) {
    for (const ingredient of ingredientsFor(meal.recipe, meal.servings)) {
      const key = keyOf(ingredient.name, ingredient.unit);
      const known = total.get(key);
      if (known) {
        known.amount += ingredient.amount;
      } else {
        total.set(key, ingredient);
      }
    }
  }
  return [...total.values()];
}

/**
 * The shopping list: what a week needs and the larder does not hold.
 * @param {import("./week.js").Week} week
 * @param {Stock} stock
 */
export function shoppingList(week, stock = new Stock()) {
  return totalNeeded(week)
    .map(({ name, amount, unit }) => ({
      name,
      amount: amount - stock.amountOf(name, unit),
      unit,
    }))
    .filter((item) => item.amount > 0);
}
