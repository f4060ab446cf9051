//! The board that stands in front of the stall.
use crate::goods::{Good, on_offer};
use crate::season::Month;
use crate::text::row;

/// Characters for a good's name; the board is no wider.
const NAME_WIDTH: usize = 16;
const PER_WIDTH: usize = 6;
/// A crate is ten of what a price is for, and cheaper by this many percent.
const CRATE_COUNT: u32 = 10;
const CRATE_PERCENT_OFF: u32 = 15;

/// The board of a month: a line a good, with the price for one and for a crate.
pub fn board(goods: &[Good], month: Month) -> String {
    let offered = on_offer(goods, month);
    if offered.is_empty() {
        return "Closed this month.\n".to_owned();
    }
    let mut lines = vec![row(&[
        ("", NAME_WIDTH),
        ("", PER_WIDTH),
        ("   one", 6),
        (" crate", 6),
    ])];
    for good in offered {
        let one = format!("{:>6}", good.price);
        let many = format!("{:>6}", good.price.times(CRATE_COUNT, CRATE_PERCENT_OFF));
        lines.push(row(&[
            (&good.name, NAME_WIDTH),
            (&good.per, PER_WIDTH),
            (&one, 6),
            (&many, 6),
        ]));
    }
    lines.join("\n") + "\n"
}
