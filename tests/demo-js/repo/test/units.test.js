import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAmount, parseAmount } from "../src/units.js";

test("amounts are kept in the small unit", () => {
  assert.deepEqual(parseAmount("1.5 kg"), { amount: 1500, unit: "g" });
  assert.deepEqual(parseAmount("2cl"), { amount: 20, unit: "ml" });
  assert.deepEqual(parseAmount("3"), { amount: 3, unit: "" });
});

test("what is no amount is refused", () => {
  assert.throws(() => parseAmount("some"), RangeError);
  assert.throws(() => parseAmount("3 cups"), RangeError);
});

test("amounts are written for people", () => {
  assert.equal(formatAmount(250, "g"), "250 g");
  assert.equal(formatAmount(1250, "g"), "1.25 kg");
  assert.equal(formatAmount(2000, "ml"), "2 l");
  assert.equal(formatAmount(2.25, ""), "3");
});
