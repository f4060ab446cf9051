/** A week's plan: which recipe is cooked on which day, and for how many. */

export const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

export class Week {
  #meals = [];

  /** @param {Map<string, import("./recipe.js").Recipe>} book recipes by title */
  constructor(book) {
    this.book = book;
  }

  /**
   * Plans a recipe of the book; for as many as it is written for, unless said
   * otherwise.
   */
  cook(day, title, servings = undefined) {
    if (!DAYS.includes(day)) {
      throw new RangeError(`not a day: "${day}"`);
    }
    const recipe = this.book.get(title);
    if (!recipe) {
      throw new RangeError(`the book has no recipe "${title}"`);
    }
    this.#meals.push({ day, recipe, servings: servings ?? recipe.servings });
    return this;
  }

  /** Takes everything off the plan that was to be cooked on a day. */
  skip(day) {
    this.#meals = this.#meals.filter((meal) => meal.day !== day);
    return this;
  }

  /** The meals, from Monday to Sunday. */
  meals() {
    return this.#meals.toSorted((a, b) => DAYS.indexOf(a.day) - DAYS.indexOf(b.day));
  }
}
