//! A set of allowed tokens, one bit a token.

const BITS: usize = u32::BITS as usize;

/// Which tokens may be taken. Ids past its length are never allowed, so a mask
/// of the tokenizer's vocabulary serves a wider row of logits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Bits past `len` are zero.
    words: Vec<u32>,
    len: usize,
}

impl Mask {
    /// Allows nothing.
    pub fn none(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(BITS)],
            len,
        }
    }

    /// Allows every token below `len`.
    pub fn all(len: usize) -> Self {
        Self::from_words(vec![u32::MAX; len.div_ceil(BITS)], len)
    }

    /// Allows these tokens. Panics if one is not below `len`.
    pub fn of(len: usize, tokens: &[u32]) -> Self {
        let mut mask = Self::none(len);
        tokens.iter().for_each(|&token| mask.allow(token));
        mask
    }

    /// Bit `i % 32` of word `i / 32` is token `i`; bits past `len` are dropped.
    pub fn from_words(mut words: Vec<u32>, len: usize) -> Self {
        words.resize(len.div_ceil(BITS), 0);
        if let (Some(last), rest @ 1..) = (words.last_mut(), len % BITS) {
            *last &= (1 << rest) - 1;
        }
        Self { words, len }
    }

    /// Allows `token`. Panics if it is not below [`Mask::len`].
    pub fn allow(&mut self, token: u32) {
        let token = token as usize;
        assert!(
            token < self.len,
            "token {token} of a mask of {} tokens",
            self.len
        );
        self.words[token / BITS] |= 1 << (token % BITS);
    }

    /// True when `token` may be taken.
    pub fn allows(&self, token: u32) -> bool {
        self.words
            .get(token as usize / BITS)
            .is_some_and(|word| word >> (token as usize % BITS) & 1 == 1)
    }

    /// Bit `i % 32` of word `i / 32` is token `i`; bits past the length are zero.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// How many ids the mask speaks of.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// How many tokens are allowed.
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// The allowed token where there is exactly one: a forced token.
    pub fn only(&self) -> Option<u32> {
        let mut allowed = self.iter();
        let first = allowed.next()?;
        allowed.next().is_none().then_some(first)
    }

    /// `n` where the tokens below `n` are allowed and no others.
    ///
    /// Cost: one pass over the words.
    pub(super) fn prefix_len(&self) -> Option<usize> {
        let last = self.words.iter().rposition(|&word| word != 0)?;
        let n = (last + 1) * BITS - self.words[last].leading_zeros() as usize;
        (self.count() == n).then_some(n)
    }

    /// Allowed tokens, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(index as u32 * u32::BITS + bit)
            })
        })
    }

    /// The row with `-inf` in place of every token that is not allowed.
    ///
    /// Cost: one branchless pass, for masks that allow much.
    pub(super) fn applied(&self, logits: &[f32]) -> Vec<f32> {
        let mut row = vec![f32::NEG_INFINITY; logits.len()];
        let words = self.words.iter().zip(row.chunks_mut(BITS));
        for ((&word, out), logits) in words.zip(logits.chunks(BITS)) {
            for (bit, (out, &logit)) in out.iter_mut().zip(logits).enumerate() {
                *out = if word >> bit & 1 == 1 { logit } else { *out };
            }
        }
        row
    }

    /// Allowed tokens with their logits, ascending by token; ids past the row
    /// are left out.
    ///
    /// Cost: grows with the tokens allowed, for masks that allow little.
    pub(super) fn gathered(&self, logits: &[f32]) -> (Vec<u32>, Vec<f32>) {
        self.iter()
            .map_while(|token| Some((token, *logits.get(token as usize)?)))
            .unzip()
    }

    /// True where [`Mask::gathered`] is cheaper than [`Mask::applied`].
    pub(super) fn is_sparse(&self) -> bool {
        self.count() < self.len / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_past_the_length_are_never_allowed() {
        let mask = Mask::all(37);
        assert!(mask.allows(36) && !mask.allows(37) && !mask.allows(63) && !mask.allows(9_999));
        assert_eq!(mask.count(), 37);
        assert_eq!(Mask::from_words(vec![u32::MAX; 9], 37), mask);
    }

    #[test]
    fn only_is_the_one_allowed_token() {
        assert_eq!(Mask::of(100, &[64]).only(), Some(64));
        assert_eq!(Mask::none(100).only(), None);
        let two = Mask::of(100, &[64, 3]);
        assert_eq!(two.only(), None);
        assert_eq!(two.iter().collect::<Vec<_>>(), [3, 64]);
    }

    #[test]
    fn a_prefix_is_told_from_a_mask_with_holes() {
        assert_eq!(Mask::all(37).prefix_len(), Some(37));
        assert_eq!(Mask::of(100, &[0, 1, 2]).prefix_len(), Some(3));
        assert_eq!(Mask::of(100, &[0, 2]).prefix_len(), None);
        assert_eq!(Mask::of(100, &[64]).prefix_len(), None);
        assert_eq!(Mask::none(100).prefix_len(), None);
    }

    #[test]
    fn applied_and_gathered_hold_the_allowed_logits_and_nothing_else() {
        let logits: Vec<f32> = (0..70).map(|i| i as f32).collect();
        let mut mask = Mask::from_words(vec![u32::MAX, 0, 0b10_0001], 96);
        mask.allow(80); // past the row
        let expected: Vec<u32> = (0..32).chain([64, 69]).collect();
        let (tokens, values) = mask.gathered(&logits);
        assert_eq!(tokens, expected);
        assert!(tokens.iter().zip(&values).all(|(&t, &v)| t as f32 == v));
        for (token, &logit) in mask.applied(&logits).iter().enumerate() {
            let allowed = expected.contains(&(token as u32));
            assert_eq!(
                logit,
                if allowed {
                    token as f32
                } else {
                    f32::NEG_INFINITY
                }
            );
        }
        // A mask longer or shorter than the row is cut to what both know.
        let finite = |row: Vec<f32>| row.iter().filter(|l| l.is_finite()).count();
        for (len, both) in [(96, 70), (40, 40)] {
            assert_eq!(Mask::all(len).gathered(&logits).0.len(), both);
            assert_eq!(finite(Mask::all(len).applied(&logits)), both);
        }
    }
}
