//! Logistic regression with a ridge, by Newton's method.

/// Weight of the squared coefficients: that of a standard normal prior on each, which
/// keeps them finite where the covariates separate the outcomes and weighs little from
/// some tens of rows on (le Cessie and van Houwelingen 1992).
pub(super) const RIDGE: f64 = 1.0;

/// Newton's method takes a few; as many as these mean that there is no maximum.
const ITERATIONS_MAX: usize = 50;
/// No coefficient moved further in an iteration that counts as the last.
const MOVE_MIN: f64 = 1e-9;
/// A step is halved at most this often to go uphill.
const HALVINGS_MAX: usize = 30;
/// A pivot below this leaves no solution.
const PIVOT_MIN: f64 = 1e-12;

/// Covariates, the first of them the constant 1, and the outcome.
pub(super) type Row<const D: usize> = ([f64; D], bool);

/// The coefficients of `P(true) = 1 / (1 + exp(-x·b))` that maximise the likelihood less
/// `ridge / 2` times the squares of all but the first. `None` without rows of both
/// outcomes, or where there is no single maximum.
pub(super) fn fit<const D: usize>(rows: &[Row<D>], ridge: f64) -> Option<[f64; D]> {
    let n_true = rows.iter().filter(|row| row.1).count() as f64;
    let n_false = rows.len() as f64 - n_true;
    if n_true == 0.0 || n_false == 0.0 {
        return None;
    }
    let mut b = [0.0; D];
    b[0] = (n_true / n_false).ln();
    let mut value = objective(rows, &b, ridge);
    for _ in 0..ITERATIONS_MAX {
        let (gradient, curvature) = derivatives(rows, &b, ridge);
        let step = solve(curvature, gradient)?;
        let at = |scale: f64| std::array::from_fn(|i| b[i] + scale * step[i]);
        let mut scale = 1.0;
        let mut next: [f64; D] = at(scale);
        let mut next_value = objective(rows, &next, ridge);
        for _ in 0..HALVINGS_MAX {
            if next_value >= value {
                break;
            }
            scale /= 2.0;
            next = at(scale);
            next_value = objective(rows, &next, ridge);
        }
        let moved = (0..D).map(|i| (next[i] - b[i]).abs()).fold(0.0, f64::max);
        (b, value) = (next, next_value);
        if moved < MOVE_MIN {
            return Some(b);
        }
    }
    None
}

/// The chance of `true` at these covariates.
pub(super) fn predict<const D: usize>(b: &[f64; D], x: &[f64; D]) -> f64 {
    1.0 / (1.0 + (-dot(b, x)).exp())
}

fn dot<const D: usize>(b: &[f64; D], x: &[f64; D]) -> f64 {
    b.iter().zip(x).map(|(b, x)| b * x).sum()
}

fn objective<const D: usize>(rows: &[Row<D>], b: &[f64; D], ridge: f64) -> f64 {
    let log_likelihood: f64 = rows
        .iter()
        .map(|(x, is)| {
            let z = if *is { dot(b, x) } else { -dot(b, x) };
            // -ln(1 + e^-z) without overflow.
            z.min(0.0) - (-z.abs()).exp().ln_1p()
        })
        .sum();
    log_likelihood - ridge / 2.0 * b[1..].iter().map(|b| b * b).sum::<f64>()
}

/// The gradient, and minus the matrix of second derivatives.
fn derivatives<const D: usize>(
    rows: &[Row<D>],
    b: &[f64; D],
    ridge: f64,
) -> ([f64; D], [[f64; D]; D]) {
    let (mut gradient, mut curvature) = ([0.0; D], [[0.0; D]; D]);
    for i in 1..D {
        gradient[i] = -ridge * b[i];
        curvature[i][i] = ridge;
    }
    for (x, is) in rows {
        let p = predict(b, x);
        let (residual, weight) = (f64::from(u8::from(*is)) - p, p * (1.0 - p));
        for i in 0..D {
            gradient[i] += residual * x[i];
            for j in 0..D {
                curvature[i][j] += weight * x[i] * x[j];
            }
        }
    }
    (gradient, curvature)
}

/// `x` with `a x = y`, by elimination with row pivots.
fn solve<const D: usize>(mut a: [[f64; D]; D], mut y: [f64; D]) -> Option<[f64; D]> {
    for column in 0..D {
        let largest = |&i: &usize, &j: &usize| a[i][column].abs().total_cmp(&a[j][column].abs());
        let pivot = (column..D).max_by(largest)?;
        if a[pivot][column].abs() < PIVOT_MIN || !a[pivot][column].is_finite() {
            return None;
        }
        a.swap(column, pivot);
        y.swap(column, pivot);
        for row in column + 1..D {
            let factor = a[row][column] / a[column][column];
            let above = a[column];
            for (below, above) in a[row].iter_mut().zip(above).skip(column) {
                *below -= factor * above;
            }
            y[row] -= factor * y[column];
        }
    }
    for row in (0..D).rev() {
        let known: f64 = (row + 1..D).map(|k| a[row][k] * y[k]).sum();
        y[row] = (y[row] - known) / a[row][row];
    }
    Some(y)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` rows with a covariate, of which `n_true` are true.
    fn group(x: f64, n: usize, n_true: usize) -> impl Iterator<Item = Row<2>> {
        (0..n).map(move |i| ([1.0, x], i < n_true))
    }

    #[test]
    fn without_a_ridge_two_groups_have_the_log_odds_of_their_shares() {
        // 3 of 10 and 12 of 15: ln(3/7) at 0, ln(4) at 1.
        let rows: Vec<_> = group(0.0, 10, 3).chain(group(1.0, 15, 12)).collect();
        let [intercept, slope] = fit(&rows, 0.0).unwrap();
        let expected = (3.0f64 / 7.0).ln();
        assert!((intercept - expected).abs() < 1e-8);
        assert!((slope - (4f64.ln() - expected)).abs() < 1e-8);
        assert!((predict(&[intercept, slope], &[1.0, 1.0]) - 0.8).abs() < 1e-8);
    }

    #[test]
    fn a_ridge_keeps_a_slope_finite_where_the_outcomes_are_apart() {
        let rows: Vec<_> = group(-1.0, 20, 0).chain(group(1.0, 20, 20)).collect();
        assert_eq!(fit(&rows, 0.0), None, "the likelihood has no maximum");
        let [intercept, slope] = fit(&rows, RIDGE).unwrap();
        assert!(intercept.abs() < 1e-8);
        // There the slope equals what the residuals pull with: 40 / (1 + e^b) = b.
        assert!((40.0 / (1.0 + slope.exp()) - RIDGE * slope).abs() < 1e-6);
    }

    #[test]
    fn one_outcome_alone_and_covariates_that_repeat_each_other_have_no_fit() {
        let rows: Vec<_> = group(0.0, 5, 5).chain(group(1.0, 5, 5)).collect();
        assert_eq!(fit(&rows, RIDGE), None);
        let alike: Vec<Row<3>> = (0..10)
            .map(|i| ([1.0, f64::from(i), f64::from(i)], i % 3 == 0))
            .collect();
        assert_eq!(fit(&alike, 0.0), None);
        let [_, one, other] = fit(&alike, RIDGE).unwrap();
        assert!((one - other).abs() < 1e-8, "a ridge shares it out");
    }
}
