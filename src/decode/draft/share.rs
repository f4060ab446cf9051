//! How many drafted rows a step is worth, and whose.

/// How much more than without drafts a step has to bring in its time. Chances and costs are
/// estimates, and their errors are not to make a step slower.
const GAIN_MIN: f64 = 1.05;

/// Of each draft, how many of its tokens go into the step.
///
/// `chances` has, for each sequence of the step, the chance of each drafted token to be right
/// if those before it are. A step of `n_rows` without drafts brings one token a sequence; a
/// drafted row brings one more where it and all before it are right. Rows go in by that
/// chance, and as many as bring the most tokens in the time that `seconds` says of a step of
/// so many rows: so none, where they would cost about as much time as they are likely to save.
pub fn share_rows(
    chances: &[Vec<f32>],
    n_rows: usize,
    rows_max: usize,
    seconds: impl Fn(usize) -> f64,
) -> Vec<usize> {
    let mut rows: Vec<(f64, usize)> = Vec::new();
    for (of, chances) in chances.iter().enumerate() {
        let mut all_right = 1.0;
        rows.extend(chances.iter().map(|&chance| {
            all_right *= f64::from(chance);
            (all_right, of)
        }));
    }
    // Of one draft they fall anyway, so that none goes in before its predecessor.
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut tokens = chances.len() as f64;
    let mut best = (GAIN_MIN * tokens / seconds(n_rows), 0);
    for (at, &(gain, _)) in rows
        .iter()
        .enumerate()
        .take(rows_max.saturating_sub(n_rows))
    {
        tokens += gain;
        let rate = tokens / seconds(n_rows + at + 1);
        if rate > best.0 {
            best = (rate, at + 1);
        }
    }
    let mut lengths = vec![0; chances.len()];
    for &(_, of) in &rows[..best.1] {
        lengths[of] += 1;
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_as_long_as_they_bring_more_than_they_cost() {
        let sure = vec![0.9; 8];
        let unsure = vec![0.2; 8];
        let slowly = |n: usize| 1.0 + 0.05 * n as f64;
        let steeply = |n: usize| n as f64;
        let alone = |chances: &Vec<f32>, rows_max: usize, seconds: &dyn Fn(usize) -> f64| {
            share_rows(std::slice::from_ref(chances), 1, rows_max, seconds)[0]
        };
        assert_eq!(alone(&sure, 32, &slowly), 8);
        assert_eq!(alone(&sure, 4, &slowly), 3);
        assert_eq!(alone(&sure, 32, &steeply), 0);
        assert_eq!(alone(&unsure, 32, &slowly), 1);
        let both = share_rows(&[unsure, sure], 2, 32, slowly);
        assert!(both[1] > both[0], "{both:?}");
        assert_eq!(share_rows(&[], 0, 32, slowly), [0; 0]);
        assert_eq!(share_rows(&[vec![]], 1, 32, slowly), [0]);
        // A step up in the cost is taken where what lies behind it pays.
        let hardly = |n: usize| if n > 1 { 1.88 } else { 1.0 };
        assert_eq!(alone(&vec![0.9], 32, &hardly), 0);
        let stairs = |n: usize| if n > 1 { 1.5 } else { 1.0 };
        assert_eq!(share_rows(&[vec![0.9; 3]], 1, 32, stairs), [3]);
    }
}
