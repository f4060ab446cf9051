//! Money, in whole cents.
use std::fmt;
use std::str::FromStr;

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(pub u32);

impl Cents {
    /// The price of several, with some percent off, rounded down.
    pub fn times(self, count: u32, percent_off: u32) -> Self {
        let full = u64::from(self.0) * u64::from(count);
        Cents((full * u64::from(100 - percent_off.min(100)) / 100) as u32)
    }
}

impl fmt::Display for Cents {
    /// `1205` as `12.05`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:02}", self.0 / 100, self.0 % 100);
        f.pad(&text)
    }
}

impl FromStr for Cents {
    type Err = String;

    /// Reads `12.05`, `12.5` or `12`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no price");
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let cents: u32 = part.parse().map_err(|_| wrong())?;
        match part.len() {
            1 => Ok(Cents(whole * 100 + cents * 10)),
            2 => Ok(Cents(whole * 100 + cents)),
            _ => Err(wrong()),
        }
    }
}
