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

    /// Allows one token: what a forced token amounts to. Panics if it is not below `len`.
    pub fn single(len: usize, token: u32) -> Self {
        Self::of(len, &[token])
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

    /// Allowed tokens below `n_logits` with their logits, ascending by token.
    ///
    /// Cost: one walk over the words; whole words are copied at once, since a
    /// mask inside free text allows nearly everything.
    pub(super) fn gather(&self, logits: &[f32]) -> (Vec<u32>, Vec<f32>) {
        let room = self.count().min(logits.len());
        let (mut tokens, mut values) = (Vec::with_capacity(room), Vec::with_capacity(room));
        for (&word, (index, row)) in self.words.iter().zip(logits.chunks(BITS).enumerate()) {
            let base = (index * BITS) as u32;
            if word == u32::MAX {
                tokens.extend(base..base + row.len() as u32);
                values.extend_from_slice(row);
                continue;
            }
            let mut rest = word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if let Some(&value) = row.get(bit as usize) {
                    tokens.push(base + bit);
                    values.push(value);
                }
            }
        }
        (tokens, values)
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
        assert_eq!(Mask::single(100, 64).only(), Some(64));
        assert_eq!(Mask::none(100).only(), None);
        let two = Mask::of(100, &[64, 3]);
        assert_eq!(two.only(), None);
        assert_eq!(two.iter().collect::<Vec<_>>(), [3, 64]);
    }

    #[test]
    fn gather_pairs_allowed_tokens_with_their_logits() {
        let logits: Vec<f32> = (0..70).map(|i| i as f32).collect();
        let mut mask = Mask::from_words(vec![u32::MAX, 0, 0b10_0001], 96);
        mask.allow(80); // past the row
        let (tokens, values) = mask.gather(&logits);
        assert_eq!(tokens, (0..32).chain([64, 69]).collect::<Vec<u32>>());
        assert!(tokens.iter().zip(&values).all(|(&t, &v)| t as f32 == v));
        // A mask longer or shorter than the row is cut to what both know.
        assert_eq!(Mask::all(96).gather(&logits).0.len(), 70);
        assert_eq!(Mask::all(40).gather(&logits).0.len(), 40);
    }
}
