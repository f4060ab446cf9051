/** Units: how they are read, and how amounts are written for people. */

/** What each written unit is in the unit that amounts are kept in. */
const KNOWN = new Map([
  ["g", { unit: "g", factor: 1 }],
  ["kg", { unit: "g", factor: 1000 }],
  ["ml", { unit: "ml", factor: 1 }],
  ["cl", { unit: "ml", factor: 10 }],
  ["l", { unit: "ml", factor: 1000 }],
  ["", { unit: "", factor: 1 }],
]);

/** From here on grams are written as kilograms, and millilitres as litres. */
const LARGE = 1000;

/**
 * Reads `"1.5 kg"`, `"30ml"` or `"3"` (pieces).
 * @param {string} text
 * @returns {{ amount: number, unit: string }}
 */
export function parseAmount(text) {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(text.trim());
  const known = match && KNOWN.get(match[2]);
  if (!known) {
    throw new RangeError(`not an amount: "${text}"`);
  }
  return { amount: Number(match[1]) * known.factor, unit: known.unit };
}

/**
 * `1500, "g"` as `"1.5 kg"`, rounded to what a shop's scales can weigh.
 * @param {number} amount
 * @param {string} unit
 */
export function formatAmount(amount, unit) {
  if (unit === "") {
    return String(Math.ceil(amount));
  }
  if (amount >= LARGE) {
    const large = unit === "g" ? "kg" : "l";
    return `${Number((amount / LARGE).toFixed(2))} ${large}`;
  }
  return `${Math.round(amount)} ${unit}`;
}
