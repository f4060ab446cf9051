// Judges the patch. The agent never sees this file.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Stock, Week, parseRecipe, printList, shoppingList, totalNeeded } from "../src/index.js";

function newBook() {
  const recipes = [
    "Pancakes (4)\n250 g flour\n500 ml milk\n3 eggs",
    "Bread (8)\n750 g flour\n10 g yeast",
    "Waffles (2)\n100 g Flour\n1 eggs",
  ].map(parseRecipe);
  return new Map(recipes.map((recipe) => [recipe.title, recipe]));
}

function freeze(book) {
  for (const recipe of book.values()) {
    recipe.ingredients.forEach(Object.freeze);
    Object.freeze(recipe.ingredients);
    Object.freeze(recipe);
  }
  return book;
}

test("the issue's example", () => {
  const week = new Week(newBook()).cook("Mon", "Pancakes").cook("Fri", "Bread");
  const first = printList(week);
  assert.equal(first.split("\n")[0], "    1 kg  flour");
  assert.equal(printList(week), first);
});

test("another week from the same book starts afresh", () => {
  const book = newBook();
  shoppingList(new Week(book).cook("Mon", "Pancakes").cook("Fri", "Bread"));
  const next = shoppingList(new Week(book).cook("Tue", "Pancakes"));
  assert.deepEqual(next[0], { name: "flour", amount: 250, unit: "g" });
});

test("a recipe that is cooked twice counts twice", () => {
  const week = new Week(newBook()).cook("Mon", "Pancakes").cook("Thu", "Pancakes");
  const amounts = () => totalNeeded(week).map(({ amount }) => amount);
  assert.deepEqual(amounts(), [500, 1000, 6]);
  assert.deepEqual(amounts(), [500, 1000, 6]);
});

test("the book is as it was", () => {
  const [book, untouched] = [newBook(), newBook()];
  const week = new Week(book).cook("Mon", "Waffles").cook("Tue", "Bread").cook("Wed", "Pancakes");
  printList(week, Stock.of({ flour: "100 g" }));
  assert.deepEqual(book, untouched);
});

test("a book that cannot be changed is enough", () => {
  const week = new Week(freeze(newBook())).cook("Mon", "Pancakes").cook("Fri", "Bread", 4);
  assert.equal(shoppingList(week)[0].amount, 625);
});

test("the order of the days does not matter to the amounts", () => {
  const week = new Week(newBook()).cook("Fri", "Bread").cook("Mon", "Pancakes", 8);
  shoppingList(week);
  const flour = shoppingList(week).find(({ name }) => name === "flour");
  assert.deepEqual(flour, { name: "flour", amount: 1250, unit: "g" });
});

test("other numbers of people are as before", () => {
  const week = new Week(newBook()).cook("Mon", "Pancakes", 2).cook("Fri", "Bread", 4);
  assert.equal(shoppingList(week)[0].amount, 500);
});
