/** Recipes. */

import { parseAmount } from "./units.js";

/**
 * @typedef {{ name: string, amount: number, unit: string }} Ingredient
 * @typedef {{ title: string, servings: number, ingredients: Ingredient[] }} Recipe
 */

/**
 * Reads a recipe: its title and servings on the first line, then an
 * ingredient a line.
 *
 *     Pancakes (4)
 *     250 g flour
 *     3 eggs
 *
 * @param {string} text
 * @returns {Recipe}
 */
export function parseRecipe(text) {
  const [head, ...lines] = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const match = /^(.+?)\s*\((\d+)\)$/.exec(head ?? "");
  if (!match) {
    throw new SyntaxError(`a recipe begins with "Title (servings)", not with "${head}"`);
  }
  return {
    title: match[1],
    servings: Number(match[2]),
    ingredients: lines.map(parseIngredient),
  };
}

/** @returns {Ingredient} */
function parseIngredient(line) {
  const match = /^(\d[\d.]*\s*(?:kg|g|ml|cl|l)?)\s+(.+)$/.exec(line);
  if (!match) {
    throw new SyntaxError(`not an ingredient: "${line}"`);
  }
  return { name: match[2], ...parseAmount(match[1]) };
}

/**
 * What a recipe needs for a number of servings.
 * @param {Recipe} recipe
 * @param {number} servings
 * @returns {Ingredient[]}
 */
export function ingredientsFor(recipe, servings) {
  if (servings === recipe.servings) {
    return recipe.ingredients;
  }
  const factor = servings / recipe.servings;
  return recipe.ingredients.map((ingredient) => ({
    ...ingredient,
    amount: ingredient.amount * factor,
  }));
}
