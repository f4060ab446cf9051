import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { Stock, Week, parseRecipe, printList, shoppingList } from "../src/index.js";

let book;

beforeEach(() => {
  const recipes = [
    "Pancakes (4)\n250 g flour\n500 ml milk\n3 eggs",
    "Bread (8)\n750 g flour\n10 g yeast",
  ].map(parseRecipe);
  book = new Map(recipes.map((recipe) => [recipe.title, recipe]));
});

describe("the shopping list", () => {
  it("adds up what several recipes need", () => {
    const week = new Week(book).cook("Sun", "Bread").cook("Wed", "Pancakes");
    assert.deepEqual(shoppingList(week)[0], { name: "flour", amount: 1000, unit: "g" });
  });

  it("takes off what is in the larder", () => {
    const week = new Week(book).cook("Wed", "Pancakes", 2);
    const stock = Stock.of({ Flour: "1 kg", milk: "100 ml", eggs: "1" });
    assert.deepEqual(shoppingList(week, stock), [
      { name: "milk", amount: 150, unit: "ml" },
      { name: "eggs", amount: 0.5, unit: "" },
    ]);
  });

  it("is empty for a week without meals", () => {
    const week = new Week(book).cook("Mon", "Bread").skip("Mon");
    assert.equal(printList(week), "Nothing to buy.\n");
  });

  it("is printed with the amounts in a column", () => {
    const week = new Week(book).cook("Sat", "Bread", 16);
    assert.equal(printList(week), "  1.5 kg  flour\n    20 g  yeast\n");
  });
});
