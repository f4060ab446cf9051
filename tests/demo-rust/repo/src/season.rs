//! Months, and when something is ripe.

/// A month, from 1.
pub type Month = u8;

/// The months in which something is on offer; it may go over the year's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Season {
    pub from: Month,
    pub to: Month,
}

impl Season {
    /// All year.
    pub const ALWAYS: Season = Season { from: 1, to: 12 };

    /// Reads `5-9`, `11-3`, `6`, or nothing for all year.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::ALWAYS);
        }
        let month = |text: &str| match text.trim().parse() {
            Ok(month @ 1..=12) => Ok(month),
            _ => Err(format!("{text:?} is no month")),
        };
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        Ok(Season {
            from: month(from)?,
            to: month(to)?,
        })
    }

    /// Whether `month` lies in it, its first and its last month included.
    pub fn holds(self, month: Month) -> bool {
        if self.from <= self.to {
            (self.from..=self.to).contains(&month)
        } else {
            month >= self.from || month <= self.to
        }
    }
}
