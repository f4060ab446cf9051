import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ingredientsFor, parseRecipe } from "../src/recipe.js";

const PANCAKES = parseRecipe(`
  Pancakes (4)
  250 g flour
  0.5 l milk
  3 eggs
`);

describe("a recipe", () => {
  it("is read from text", () => {
    assert.equal(PANCAKES.title, "Pancakes");
    assert.equal(PANCAKES.servings, 4);
    assert.deepEqual(PANCAKES.ingredients[1], { name: "milk", amount: 500, unit: "ml" });
  });

  it("is scaled to the people at the table", () => {
    const amounts = ingredientsFor(PANCAKES, 6).map(({ amount }) => amount);
    assert.deepEqual(amounts, [375, 750, 4.5]);
  });

  it("needs a number of servings", () => {
    assert.throws(() => parseRecipe("Pancakes\n250 g flour"), SyntaxError);
  });
});
