export { parseRecipe } from "./recipe.js";
export { Week } from "./week.js";
export { Stock } from "./stock.js";
export { shoppingList, totalNeeded } from "./shopping.js";
export { printList } from "./print.js";
