//! Which continuations tell how probable each of several named choices is, and how
//! uncertain the choice between them: tools, or locations in a repository.
//!
//! A choice's name with its closing delimiter is a path of tokens; its
//! probability is the product of its tokens' probabilities. The delimiter makes
//! `run` and `run_tests` different events: without it one would contain the
//! other.
use super::DecodeError;
use crate::base::ChoiceEntropy;

/// How far beyond 1 the choices' probabilities may sum: logits of quantised
/// weights, each row's rounding included. More means that paths overlap or that
/// the scores are not log-probabilities.
const MASS_TOLERANCE: f64 = 1e-3;

/// The allowed choices' names as token paths that exclude each other.
#[derive(Clone, Debug)]
pub struct ChoicePaths {
    names: Vec<String>,
    /// Sorted by tokens, so that shared prefixes are neighbours.
    continuations: Vec<Vec<u32>>,
    /// For each name, its continuation.
    at: Vec<usize>,
}

impl ChoicePaths {
    /// Each choice's name, and the tokens of its name with the closing delimiter.
    ///
    /// Errors: `ChoicePaths` where there is no choice, a path is empty, or one path
    /// begins another (then its delimiter is missing), equal ones included.
    pub fn new(choices: Vec<(String, Vec<u32>)>) -> Result<Self, DecodeError> {
        let wrong = |what: String| Err(DecodeError::ChoicePaths(what));
        if choices.is_empty() {
            return wrong("nothing may be chosen".to_owned());
        }
        let mut order: Vec<usize> = (0..choices.len()).collect();
        order.sort_by(|&a, &b| choices[a].1.cmp(&choices[b].1));
        if let Some(&empty) = order.iter().find(|&&i| choices[i].1.is_empty()) {
            return wrong(format!("`{}` has no tokens", choices[empty].0));
        }
        // In sorted order a path that begins others stands right before one of them.
        for pair in order.windows(2) {
            let (shorter, longer) = (&choices[pair[0]], &choices[pair[1]]);
            if longer.1.starts_with(&shorter.1) {
                return wrong(format!(
                    "the tokens of `{}` begin those of `{}`; end each name with its closing delimiter",
                    shorter.0, longer.0
                ));
            }
        }
        let mut at = vec![0; choices.len()];
        for (rank, &choice) in order.iter().enumerate() {
            at[choice] = rank;
        }
        let (names, mut paths): (Vec<_>, Vec<_>) = choices.into_iter().unzip();
        let continuations = order
            .iter()
            .map(|&i| std::mem::take(&mut paths[i]))
            .collect();
        Ok(Self {
            names,
            continuations,
            at,
        })
    }

    /// The continuations to score where the choice's name starts, sorted by tokens.
    pub fn continuations(&self) -> &[Vec<u32>] {
        &self.continuations
    }

    /// The distinct token prefixes behind which a row of logits is needed, the
    /// empty one first: all that must be computed, each shared prefix once.
    pub fn prefixes(&self) -> Vec<&[u32]> {
        let mut prefixes: Vec<&[u32]> = vec![&[]];
        for (i, path) in self.continuations.iter().enumerate() {
            let before = i.checked_sub(1).map_or(&[][..], |i| &self.continuations[i]);
            let shared = path.iter().zip(before).take_while(|(a, b)| a == b).count();
            // The last token is predicted, not passed through.
            prefixes.extend((shared + 1..path.len()).map(|len| &path[..len]));
        }
        prefixes
    }

    /// The distribution over the choices from each continuation's log-probabilities, a
    /// token each, in the order of [`ChoicePaths::continuations`].
    ///
    /// The entropy is of the choices' probabilities renormalised; what they leave
    /// of 1 is `outside_mass`. Errors: `ChoicePaths` where the scores do not fit
    /// the paths, are NaN, or sum to more than 1.
    pub fn entropy(&self, scores: &[Vec<f32>]) -> Result<ChoiceEntropy, DecodeError> {
        let fits = scores.len() == self.continuations.len()
            && scores
                .iter()
                .zip(&self.continuations)
                .all(|(s, path)| s.len() == path.len());
        if !fits {
            let what = "the scores are not one log-probability for each token of each path";
            return Err(DecodeError::ChoicePaths(what.to_owned()));
        }
        let logprobs: Vec<f64> = (self.at.iter())
            .map(|&at| scores[at].iter().copied().map(f64::from).sum())
            .collect();
        let inside: f64 = logprobs.iter().map(|l| l.exp()).sum();
        if inside.is_nan() || inside > 1.0 + MASS_TOLERANCE {
            return Err(DecodeError::ChoicePaths(format!(
                "the choices' probabilities sum to {inside}; the scores are not log-probabilities of one model"
            )));
        }
        let probs = self.names.iter().cloned();
        Ok(ChoiceEntropy {
            entropy_nats: renormalised_entropy(&logprobs) as f32,
            probs: probs.zip(logprobs.iter().map(|l| l.exp() as f32)).collect(),
            outside_mass: (1.0 - inside).max(0.0) as f32,
        })
    }
}

/// Entropy of `p_i = e^l_i / sum e^l`, nats, also where every `e^l` underflows.
/// All `-inf`: nothing tells the choices apart, `ln n`.
fn renormalised_entropy(logprobs: &[f64]) -> f64 {
    let max = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return (logprobs.len() as f64).ln();
    }
    let z: f64 = logprobs.iter().map(|l| (l - max).exp()).sum();
    let mean_d: f64 = (logprobs.iter().map(|l| l - max))
        .filter(|d| d.is_finite())
        .map(|d| d.exp() / z * d)
        .sum();
    (z.ln() - mean_d).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u32 = 1;
    const TESTS: u32 = 2;
    const QUOTE: u32 = 3;
    const VIEW: u32 = 4;

    fn paths() -> ChoicePaths {
        let tools = [
            ("view", vec![VIEW, QUOTE]),
            ("run_tests", vec![RUN, TESTS, QUOTE]),
            ("run", vec![RUN, QUOTE]),
        ];
        ChoicePaths::new(tools.map(|(name, path)| (name.to_owned(), path)).into()).unwrap()
    }

    /// Scores by a model in which each prefix has its own distribution.
    fn scores(paths: &ChoicePaths, p: impl Fn(&[u32], u32) -> f32) -> Vec<Vec<f32>> {
        let score = |path: &Vec<u32>| {
            (0..path.len())
                .map(|i| p(&path[..i], path[i]).ln())
                .collect()
        };
        paths.continuations().iter().map(score).collect()
    }

    #[test]
    fn a_name_that_begins_another_has_its_own_probability() {
        let paths = paths();
        let scores = scores(&paths, |prefix, token| match (prefix, token) {
            ([], RUN) => 0.8,
            ([], VIEW) => 0.1,
            ([VIEW], QUOTE) => 1.0,
            ([RUN], QUOTE) => 0.25,
            ([RUN], TESTS) => 0.5,
            ([RUN, TESTS], QUOTE) => 1.0,
            _ => panic!("{prefix:?} {token} was not asked for"),
        });
        let tools = paths.entropy(&scores).unwrap();
        let p = [("view", 0.1f32), ("run_tests", 0.4), ("run", 0.2)];
        for (got, want) in tools.probs.iter().zip(p) {
            assert_eq!(got.0, want.0, "in the order given");
            assert!((got.1 - want.1).abs() < 1e-6);
        }
        assert!((tools.outside_mass - 0.3).abs() < 1e-6);
        // 1/7, 4/7, 2/7.
        let expected: f32 = [1.0f32, 4.0, 2.0]
            .iter()
            .map(|n| -n / 7.0 * (n / 7.0).ln())
            .sum();
        assert!((tools.entropy_nats - expected).abs() < 1e-6);
    }

    #[test]
    fn shared_prefixes_are_computed_once() {
        let paths = paths();
        let prefixes = paths.prefixes();
        assert_eq!(prefixes, [&[][..], &[RUN], &[RUN, TESTS], &[VIEW]]);
        let one = ChoicePaths::new(vec![("run".into(), vec![RUN])]).unwrap();
        assert_eq!(one.prefixes(), [&[] as &[u32]]);
    }

    #[test]
    fn equal_tools_have_the_entropy_ln_n_and_a_sure_one_has_none() {
        let paths = paths();
        let even = scores(&paths, |prefix, token| match (prefix, token) {
            ([], RUN) => 2.0 / 3.0,
            ([], _) => 1.0 / 3.0,
            ([RUN], _) => 0.5,
            _ => 1.0,
        });
        let tools = paths.entropy(&even).unwrap();
        assert!((tools.entropy_nats - 3f32.ln()).abs() < 1e-6);
        assert!(tools.outside_mass < 1e-6);
        let sure = scores(&paths, |prefix, token| match (prefix, token) {
            ([], VIEW) | ([VIEW], QUOTE) => 1.0,
            _ => 0.0,
        });
        let tools = paths.entropy(&sure).unwrap();
        assert_eq!((tools.entropy_nats, tools.outside_mass), (0.0, 0.0));
    }

    #[test]
    fn mass_too_small_for_a_float_is_still_renormalised() {
        let paths = paths();
        let mut scores = scores(&paths, |_, _| 0.5);
        scores.iter_mut().for_each(|path| path[0] = -2_000.0);
        let tools = paths.entropy(&scores).unwrap();
        // Relative weights 1/2 (view), 1/4 (run_tests), 1/2 (run).
        let expected = -(0.8f32 * 0.4f32.ln() + 0.2 * 0.2f32.ln());
        assert!((tools.entropy_nats - expected).abs() < 1e-5);
        assert_eq!(tools.outside_mass, 1.0);
    }

    #[test]
    fn wrong_paths_and_scores_are_errors() {
        let tool = |name: &str, path: &[u32]| (name.to_owned(), path.to_vec());
        let new = |tools: &[(String, Vec<u32>)]| {
            ChoicePaths::new(tools.to_vec())
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(new(&[]).contains("nothing may be chosen"));
        assert!(new(&[tool("a", &[])]).contains("`a` has no tokens"));
        let open = new(&[tool("run_tests", &[RUN, TESTS]), tool("run", &[RUN])]);
        assert!(open.contains("`run` begin those of `run_tests`"), "{open}");
        assert!(new(&[tool("a", &[1]), tool("b", &[1])]).contains("begin those of"));

        let paths = paths();
        let message = |scores: &[Vec<f32>]| paths.entropy(scores).unwrap_err().to_string();
        assert!(message(&[]).contains("not one log-probability for each token"));
        assert!(message(&scores(&paths, |_, _| 1.0)).contains("sum to 3"));
        assert!(message(&scores(&paths, |_, _| f32::NAN)).contains("sum to NaN"));
    }
}
