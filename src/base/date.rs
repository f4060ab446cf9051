//! Days and times of the calendar.

const DAY_S: u64 = 86_400;

/// The day in UTC, as `2026-11-27`, of seconds since the Unix epoch.
///
/// Counts in years that begin in March, so that the leap day is a year's last, and in
/// eras of 400 years, which are all of one length.
pub fn day(seconds: u64) -> String {
    const ERA_DAYS: u64 = 146_097;
    // From 1 March of the year 0 to the epoch.
    let days = seconds / DAY_S + 719_468;
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    // Days without those that leap years add, in years of 365.
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, over and over: 153 in five.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = match month < 10 {
        true => (era * 400 + year, month + 3),
        false => (era * 400 + year + 1, month - 9),
    };
    format!("{year:04}-{month:02}-{day:02}")
}

/// The second in UTC, as `20261127-100940`, for the name of a folder.
pub fn second(seconds: u64) -> String {
    let (day, of_day) = (day(seconds).replace('-', ""), seconds % DAY_S);
    let (hour, minute) = (of_day / 3_600, of_day / 60 % 60);
    format!("{day}-{hour:02}{minute:02}{:02}", of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_735_689_599, "2024-12-31"),
            (1_795_817_380, "2026-11-27"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day(seconds), expected);
        }
        assert_eq!(second(951_782_399), "20000228-235959");
    }
}
