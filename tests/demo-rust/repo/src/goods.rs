//! Goods, read from the stall's list.
use crate::money::Cents;
use crate::season::{Month, Season};

/// Something that the stall sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    pub name: String,
    pub price: Cents,
    /// What the price is for: `kg`, `bunch`.
    pub per: String,
    pub season: Season,
}

/// Reads a list: one good a line, fields set apart by semicolons.
///
/// ```text
/// name ; price ; per ; season (empty: all year)
/// ```
///
/// Empty lines and lines that start with `#` are skipped. The error names the
/// line.
pub fn read_list(text: &str) -> Result<Vec<Good>, String> {
    let mut goods = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            goods.push(read_good(line).map_err(|why| format!("line {number}: {why}"))?);
        }
    }
    Ok(goods)
}

fn read_good(line: &str) -> Result<Good, String> {
    let fields: Vec<&str> = line.split(';').map(str::trim).collect();
    let [name, price, per, season] = fields[..] else {
        return Err(format!("expected 4 fields, found {}", fields.len()));
    };
    Ok(Good {
        name: name.to_owned(),
        price: price.parse()?,
        per: per.to_owned(),
        season: Season::parse(season)?,
    })
}

/// What is on offer in a month, in the order of the list.
pub fn on_offer(goods: &[Good], month: Month) -> Vec<&Good> {
    goods
        .iter()
        .filter(|good| good.season.holds(month))
        .collect()
}
