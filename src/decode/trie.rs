//! Which continuations tell how probable each tool is, and how uncertain the
//! choice is.
//!
//! A tool's name with its closing delimiter is a path of tokens; its
//! probability is the product of its tokens' probabilities. The delimiter makes
//! `run` and `run_tests` different events: without it one would contain the
//! other.
use super::DecodeError;
use crate::base::ToolEntropy;

/// How far beyond 1 the tools' probabilities may sum: logits of quantised
/// weights, each row's rounding included. More means that paths overlap or that
/// the scores are not log-probabilities.
const MASS_TOLERANCE: f64 = 1e-3;

/// The allowed tools' names as token paths that exclude each other.
#[derive(Clone, Debug)]
pub struct ToolPaths {
    names: Vec<String>,
    /// Sorted by tokens, so that shared prefixes are neighbours.
    continuations: Vec<Vec<u32>>,
    /// For each name, its continuation.
    at: Vec<usize>,
}

impl ToolPaths {
    /// Each tool's name, and the tokens of its name with the closing delimiter.
    ///
    /// Errors: `ToolPaths` where there is no tool, a path is empty, or one path
    /// begins another (then its delimiter is missing), equal ones included.
    pub fn new(tools: Vec<(String, Vec<u32>)>) -> Result<Self, DecodeError> {
        let wrong = |what: String| Err(DecodeError::ToolPaths(what));
        if tools.is_empty() {
            return wrong("no tool is allowed".to_owned());
        }
        let mut order: Vec<usize> = (0..tools.len()).collect();
        order.sort_by(|&a, &b| tools[a].1.cmp(&tools[b].1));
        if let Some(&empty) = order.iter().find(|&&i| tools[i].1.is_empty()) {
            return wrong(format!("tool `{}` has no tokens", tools[empty].0));
        }
        // In sorted order a path that begins others stands right before one of them.
        for pair in order.windows(2) {
            let (shorter, longer) = (&tools[pair[0]], &tools[pair[1]]);
            if longer.1.starts_with(&shorter.1) {
                return wrong(format!(
                    "the tokens of tool `{}` begin those of `{}`; end each name with its closing delimiter",
                    shorter.0, longer.0
                ));
            }
        }
        let mut at = vec![0; tools.len()];
        for (rank, &tool) in order.iter().enumerate() {
            at[tool] = rank;
        }
        let (names, mut paths): (Vec<_>, Vec<_>) = tools.into_iter().unzip();
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

    /// What must be scored where the tool's name starts, sorted by tokens.
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

    /// The tools' distribution from each continuation's log-probabilities, a
    /// token each, in the order of [`ToolPaths::continuations`].
    ///
    /// The entropy is of the tools' probabilities renormalised; what they leave
    /// of 1 is `outside_mass`. Errors: `ToolPaths` where the scores do not fit
    /// the paths, are NaN, or sum to more than 1.
    pub fn tool_entropy(&self, scores: &[Vec<f32>]) -> Result<ToolEntropy, DecodeError> {
        let fits = scores.len() == self.continuations.len()
            && scores
                .iter()
                .zip(&self.continuations)
                .all(|(s, path)| s.len() == path.len());
        if !fits {
            let what = "the scores are not one log-probability for each token of each path";
            return Err(DecodeError::ToolPaths(what.to_owned()));
        }
        let logprobs: Vec<f64> = (self.at.iter())
            .map(|&at| scores[at].iter().copied().map(f64::from).sum())
            .collect();
        let inside: f64 = logprobs.iter().map(|l| l.exp()).sum();
        if inside.is_nan() || inside > 1.0 + MASS_TOLERANCE {
            return Err(DecodeError::ToolPaths(format!(
                "the tools' probabilities sum to {inside}; the scores are not log-probabilities of one model"
            )));
        }
        let probs = self.names.iter().cloned();
        Ok(ToolEntropy {
            entropy_nats: renormalised_entropy(&logprobs) as f32,
            probs: probs.zip(logprobs.iter().map(|l| l.exp() as f32)).collect(),
            outside_mass: (1.0 - inside).max(0.0) as f32,
        })
    }
}

/// Entropy of `p_i = e^l_i / sum e^l`, nats, also where every `e^l` underflows.
/// All `-inf`: nothing tells the tools apart, `ln n`.
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

    fn paths() -> ToolPaths {
        let tools = [
            ("view", vec![VIEW, QUOTE]),
            ("run_tests", vec![RUN, TESTS, QUOTE]),
            ("run", vec![RUN, QUOTE]),
        ];
        ToolPaths::new(tools.map(|(name, path)| (name.to_owned(), path)).into()).unwrap()
    }

    /// Scores by a model in which each prefix has its own distribution.
    fn scores(paths: &ToolPaths, p: impl Fn(&[u32], u32) -> f32) -> Vec<Vec<f32>> {
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
        let tools = paths.tool_entropy(&scores).unwrap();
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
        let one = ToolPaths::new(vec![("run".into(), vec![RUN])]).unwrap();
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
        let tools = paths.tool_entropy(&even).unwrap();
        assert!((tools.entropy_nats - 3f32.ln()).abs() < 1e-6);
        assert!(tools.outside_mass < 1e-6);
        let sure = scores(&paths, |prefix, token| match (prefix, token) {
            ([], VIEW) | ([VIEW], QUOTE) => 1.0,
            _ => 0.0,
        });
        let tools = paths.tool_entropy(&sure).unwrap();
        assert_eq!((tools.entropy_nats, tools.outside_mass), (0.0, 0.0));
    }

    #[test]
    fn mass_too_small_for_a_float_is_still_renormalised() {
        let paths = paths();
        let mut scores = scores(&paths, |_, _| 0.5);
        scores.iter_mut().for_each(|path| path[0] = -2_000.0);
        let tools = paths.tool_entropy(&scores).unwrap();
        // Relative weights 1/2 (view), 1/4 (run_tests), 1/2 (run).
        let expected = -(0.8f32 * 0.4f32.ln() + 0.2 * 0.2f32.ln());
        assert!((tools.entropy_nats - expected).abs() < 1e-5);
        assert_eq!(tools.outside_mass, 1.0);
    }

    #[test]
    fn wrong_paths_and_scores_are_errors() {
        let tool = |name: &str, path: &[u32]| (name.to_owned(), path.to_vec());
        let new = |tools: &[(String, Vec<u32>)]| {
            ToolPaths::new(tools.to_vec())
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(new(&[]).contains("no tool is allowed"));
        assert!(new(&[tool("a", &[])]).contains("tool `a` has no tokens"));
        let open = new(&[tool("run_tests", &[RUN, TESTS]), tool("run", &[RUN])]);
        assert!(
            open.contains("tool `run` begin those of `run_tests`"),
            "{open}"
        );
        assert!(new(&[tool("a", &[1]), tool("b", &[1])]).contains("begin those of"));

        let paths = paths();
        let message = |scores: &[Vec<f32>]| paths.tool_entropy(scores).unwrap_err().to_string();
        assert!(message(&[]).contains("not one log-probability for each token"));
        assert!(message(&scores(&paths, |_, _| 1.0)).contains("sum to 3"));
        assert!(message(&scores(&paths, |_, _| f32::NAN)).contains("sum to NaN"));
    }
}
