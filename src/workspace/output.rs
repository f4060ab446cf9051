//! Output of any length in memory of a fixed size.
use std::collections::VecDeque;

/// Keeps the first and the last bytes of a stream.
pub(super) struct HeadTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_max: usize,
    tail_max: usize,
    /// Bytes that neither holds any more.
    n_dropped: u64,
}

impl HeadTail {
    /// Half of `bytes_max` for each end.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_max: bytes_max / 2,
            tail_max: bytes_max - bytes_max / 2,
            n_dropped: 0,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.head_max - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        // Only the end of a chunk that is longer than the tail can stay.
        let skipped = rest.len().saturating_sub(self.tail_max);
        self.tail.extend(&rest[skipped..]);
        let excess = self.tail.len().saturating_sub(self.tail_max);
        self.tail.drain(..excess);
        self.n_dropped += (skipped + excess) as u64;
    }

    /// The text, with a line in the middle if something was dropped; what is
    /// not UTF-8 becomes U+FFFD.
    pub fn into_text(mut self) -> String {
        let tail: &[u8] = self.tail.make_contiguous();
        if self.n_dropped == 0 {
            self.head.extend_from_slice(tail);
            return String::from_utf8_lossy(&self.head).into_owned();
        }
        let n_kept = self.head.len() + tail.len();
        let head = without_cut_end(&self.head);
        let tail = without_cut_start(tail);
        let n_dropped = self.n_dropped + (n_kept - head.len() - tail.len()) as u64;
        let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
        let newline = if head.is_empty() || head.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        format!("{head}{newline}... [{n_dropped} bytes left out] ...\n{tail}")
    }
}

/// Without the last character if the cut went through it.
fn without_cut_end(bytes: &[u8]) -> &[u8] {
    // Its first byte is one of the last three; those before may be no text at all.
    let first = (1..=bytes.len().min(3)).find(|back| bytes[bytes.len() - back] >= 0b1100_0000);
    let Some(start) = first.map(|back| bytes.len() - back) else {
        return bytes;
    };
    match std::str::from_utf8(&bytes[start..]) {
        Err(error) if error.error_len().is_none() => &bytes[..start],
        // It is whole, or no character's.
        _ => bytes,
    }
}

/// Without the first character if the cut went through it.
fn without_cut_start(bytes: &[u8]) -> &[u8] {
    let is_continuation = |b: &&u8| **b & 0b1100_0000 == 0b1000_0000;
    let n_cut = bytes.iter().take(3).take_while(is_continuation).count();
    &bytes[n_cut..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &str, bytes_max: usize, chunk: usize) -> String {
        let mut output = HeadTail::new(bytes_max);
        text.as_bytes().chunks(chunk).for_each(|c| output.push(c));
        output.into_text()
    }

    #[test]
    fn a_character_is_not_cut_behind_bytes_that_are_no_text() {
        let mut output = HeadTail::new(12);
        output.push(b"\xff123\xf0\x9f\xa6\x80 and more of it \xff");
        let text = output.into_text();
        assert_eq!(
            text.matches(char::REPLACEMENT_CHARACTER).count(),
            2,
            "{text}"
        );
    }

    #[test]
    fn output_within_the_limit_is_kept_as_it_is() {
        assert_eq!(cut("one\ntwo\n", 8, 3), "one\ntwo\n");
    }

    #[test]
    fn the_middle_of_a_longer_output_gives_way_to_one_line() {
        assert_eq!(
            cut("1st line\nmiddle\nlast line\n", 20, 4),
            "1st line\nm\n... [6 bytes left out] ...\nlast line\n"
        );
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        let text = cut(&"é".repeat(100), 10, 7);
        assert!(!text.contains('\u{fffd}'), "{text}");
        assert!(text.contains("... [192 bytes left out] ..."), "{text}");
    }

    proptest! {
        #[test]
        fn the_size_of_chunks_makes_no_difference(
            text in "[a-z\n]{0,200}", bytes_max in 0usize..64, chunk in 1usize..70,
        ) {
            prop_assert_eq!(cut(&text, bytes_max, chunk), cut(&text, bytes_max, 1));
        }
    }
}
