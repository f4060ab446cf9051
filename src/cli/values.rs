//! Values of options: numbers of a type that has no wrong ones, refused where they are read.
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A whole number from 0 on.
pub fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    let refused = "a whole number from 0 on is needed";
    text.parse().map_err(|_| refused.into())
}

/// A whole number from 1 on.
pub fn positive<T: FromStr + PartialEq + Default>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number != T::default());
    number.ok_or_else(|| "a whole number from 1 on is needed".into())
}

/// A whole number of a range.
pub fn within<T: FromStr + PartialOrd + Display>(
    text: &str,
    range: RangeInclusive<T>,
) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!(
            "a whole number from {} to {} is needed",
            range.start(),
            range.end()
        )
    })
}

/// A seed: every whole number that a random stream can begin with.
pub fn seed(text: &str) -> Result<u64, String> {
    within(text, 0..=u64::MAX)
}

/// A temperature; 0 takes the most likely token.
pub fn temperature(text: &str) -> Result<f32, String> {
    let number = text.parse().ok();
    let number = number.filter(|t: &f32| t.is_finite() && !t.is_sign_negative());
    number.ok_or_else(|| "a number from 0 on is needed".into())
}

/// A probability, or a fraction of one.
pub fn fraction(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|p: &f32| (0.0..=1.0).contains(p));
    number.ok_or_else(|| "a number from 0 to 1 is needed".into())
}

/// A quantile that has something on both sides.
pub fn quantile(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    let number = number.filter(|q: &f64| *q > 0.0 && *q < 1.0);
    number.ok_or_else(|| "a number between 0 and 1 is needed".into())
}

/// Yes or no.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("yes or no is needed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_of_its_range_or_refused() {
        assert_eq!(whole::<u32>("0"), Ok(0));
        assert_eq!(positive::<usize>("1"), Ok(1));
        assert_eq!(within("4", 1..=4), Ok(4));
        assert_eq!((temperature("0"), fraction("1")), (Ok(0.0), Ok(1.0)));
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        for wrong in ["-1", "", "x", "1.5", "18446744073709551616"] {
            assert!(whole::<u64>(wrong).is_err(), "{wrong}");
            assert!(positive::<usize>(wrong).is_err(), "{wrong}");
        }
        assert!(positive::<u32>("0").is_err() && within("5", 1..=4).is_err());
        for wrong in ["nan", "NaN", "inf", "-1", "-0.5", "x"] {
            assert!(temperature(wrong).is_err(), "{wrong}");
            assert!(fraction(wrong).is_err(), "{wrong}");
            assert!(quantile(wrong).is_err(), "{wrong}");
        }
        assert!(fraction("2").is_err() && quantile("0").is_err() && quantile("1").is_err());
    }
}
