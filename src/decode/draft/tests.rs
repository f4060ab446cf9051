use super::*;
use crate::base::RngKey;

/// The drafter's texts again, token by token.
#[derive(Default)]
struct Plain {
    /// Of each text its tokens, and when each of them was written.
    texts: Vec<Vec<(u32, u64)>>,
    now: u64,
}

impl Plain {
    fn push(&mut self, text: usize, token: u32) {
        self.now += 1;
        self.texts[text].push((token, self.now));
    }

    /// The length of the longest suffix of a text that was seen with something behind it.
    fn match_len(&self, text: usize) -> usize {
        let own: Vec<u32> = self.texts[text].iter().map(|&(token, _)| token).collect();
        let ends = self.texts.iter().flat_map(|other| {
            (1..other.len()).map(|end| {
                let tokens = other[..end].iter().rev().map(|&(token, _)| token);
                let pairs = tokens.zip(own.iter().rev());
                pairs.take_while(|(a, b)| a == *b).count()
            })
        });
        ends.max().unwrap_or(0)
    }

    /// Whether `draft` was written somewhere behind the last `len` tokens of a text.
    fn follows(&self, text: usize, len: usize, draft: &[u32]) -> bool {
        let own: Vec<u32> = self.texts[text].iter().map(|&(token, _)| token).collect();
        let wanted = [&own[own.len() - len..], draft].concat();
        let tokens = |other: &Vec<(u32, u64)>| -> Vec<u32> {
            other.iter().map(|&(token, _)| token).collect()
        };
        (self.texts.iter()).any(|other| tokens(other).windows(wanted.len()).any(|w| w == wanted))
    }
}

fn tokens(draft: &[Drafted]) -> Vec<u32> {
    draft.iter().map(|drafted| drafted.token).collect()
}

#[test]
fn a_draft_is_what_followed_the_longest_match() {
    let mut drafter = Drafter::new(1_000);
    let text = drafter.begin();
    assert_eq!(drafter.propose(text, 4), []);
    drafter.append(text, &[1, 2, 3, 4, 9, 2, 3, 5, 7, 1, 2, 3]);
    let draft = drafter.propose(text, 3);
    assert_eq!(
        tokens(&draft),
        [4, 9, 2],
        "1 2 3 was followed by 4, 2 3 by 5 later"
    );
    assert_eq!(draft[0].match_len, 3);
    assert!(draft.iter().all(|drafted| !drafted.is_contested));
    drafter.append(text, &[8, 2, 3]);
    let draft = drafter.propose(text, 9);
    assert_eq!(
        tokens(&draft),
        [8, 2, 3],
        "of two 2 3, the newest that goes on"
    );
    assert!(draft[0].is_contested && draft[0].match_len == 2);
}

#[test]
fn siblings_come_before_the_prompt_and_ended_texts_stay() {
    let mut drafter = Drafter::new(1_000);
    let prompt = drafter.begin();
    drafter.append(prompt, &[5, 6, 7, 8, 1, 5, 6]);
    let first = drafter.fork(prompt, 7);
    drafter.append(first, &[9, 9, 4]);
    drafter.end(first);
    let second = drafter.fork(prompt, 7);
    assert_eq!(tokens(&drafter.propose(second, 8)), [9, 9, 4]);
    drafter.append(second, &[9, 3]);
    // It has left its sibling, and nothing has a 3 but itself.
    assert_eq!(drafter.propose(second, 8), []);
    drafter.append(second, &[5, 6]);
    let draft = drafter.propose(second, 1);
    assert_eq!(
        tokens(&draft),
        [9],
        "5 6 was last followed by what the siblings wrote"
    );
    assert!(draft[0].is_contested);
}

#[test]
fn what_is_full_forgets_ended_texts_and_then_learns_no_more() {
    let mut drafter = Drafter::new(10);
    let (ended, text) = (drafter.begin(), drafter.begin());
    assert!(drafter.append(ended, &[1, 2, 3, 4, 5, 6]));
    assert!(drafter.append(text, &[1, 2]));
    assert_eq!(tokens(&drafter.propose(text, 9)), [3, 4, 5, 6]);
    drafter.end(ended);
    assert!(drafter.append(text, &[7, 8, 9, 7, 8]));
    assert_eq!(drafter.len(text), 7);
    assert_eq!(tokens(&drafter.propose(text, 9)), [9, 7, 8]);
    assert!(!drafter.append(text, &[1, 1, 1, 1]));
    assert_eq!((drafter.len(text), drafter.nodes.len()), (7, 7));
}

/// Random texts over few tokens, which fork and end at random places: every match is as long
/// as the longest there is, and every draft stands behind it somewhere.
#[test]
fn matches_are_the_longest_there_are() {
    for seed in 0..200 {
        let mut key = RngKey::from_seed(seed);
        let mut draw = |n: u64| {
            key = key.split(n);
            (key.uniform() * n as f64) as u64
        };
        let n_tokens = 2 + draw(4);
        let mut drafter = Drafter::new(100_000);
        let mut plain = Plain::default();
        let mut ids = vec![drafter.begin()];
        plain.texts.push(Vec::new());
        for _ in 0..120 {
            let text = draw(ids.len() as u64) as usize;
            if draw(20) == 0 && ids.len() < 6 {
                let len = draw(plain.texts[text].len() as u64 + 1) as usize;
                ids.push(drafter.fork(ids[text], len));
                let forked = plain.texts[text][..len].to_vec();
                plain.texts.push(forked);
                continue;
            }
            let token = draw(n_tokens) as u32;
            drafter.append(ids[text], &[token]);
            plain.push(text, token);
            let draft = drafter.propose(ids[text], 5);
            let match_len = draft
                .first()
                .map_or(0, |drafted| drafted.match_len as usize);
            let longest = plain.match_len(text);
            assert_eq!(match_len, longest, "seed {seed}: {:?}", plain.texts);
            if longest > 0 {
                assert!(plain.follows(text, longest, &tokens(&draft)), "seed {seed}");
            }
        }
        let n_nodes = drafter.nodes.len();
        assert!(drafter.automaton.n_states() <= 2 * n_nodes + 1);
    }
}
