//! Drafts: the tokens that followed the same tokens before.
//!
//! Most of what a coding agent writes stands in its prompt, or a sibling wrote it a minute ago.
//! A [`Drafter`] holds every text of a run in one index: the prompt once, and behind it the
//! branches, as a trie. Where a text ends with tokens that were seen before, it proposes those
//! that followed there. The longest match wins, and of equal ones the newest. A sibling that has
//! written the same since their fork matches to the first token of the text, so that it comes
//! before all others. (SuffixDecoding, arXiv 2411.04975; one index for siblings: Seer, arXiv
//! 2511.14617.)
//!
//! For example, the prompt has `self.items.append(item)`, and the branch has written
//! `self.items.`: the draft is `append(item)`.
mod automaton;
mod odds;
mod share;

pub use odds::{Before, Odds};
pub use share::share_rows;

use automaton::{Automaton, NONE, ROOT};
use std::collections::{BTreeMap, HashMap};

/// One token of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drafted {
    pub token: u32,
    /// Tokens before it that were seen before it as well.
    pub match_len: u32,
    /// Whether something else was seen behind them, too.
    pub is_contested: bool,
}

/// A text in a [`Drafter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextId(u64);

/// One token of the trie.
struct Node {
    /// The state of the text up to here.
    state: u32,
    /// The node of the token that was seen behind it last; [`NONE`] at the end of a text.
    newest_child: u32,
    token: u32,
}

/// The texts of a run, and an index over them. Memory is linear in the tokens that differ, and
/// bounded.
pub struct Drafter {
    automaton: Automaton,
    nodes: Vec<Node>,
    /// Of a node ([`NONE`]: of the start) and a token, the node behind it.
    children: HashMap<(u32, u32), u32>,
    /// Of each text that grows its nodes, from the first token on.
    texts: BTreeMap<TextId, Vec<u32>>,
    next_id: u64,
    tokens_max: usize,
}

impl Drafter {
    /// Holds so many tokens that differ at most. Beyond, texts that have ended are forgotten;
    /// where that does not help, nothing more is learnt.
    pub fn new(tokens_max: usize) -> Self {
        Self {
            automaton: Automaton::new(),
            nodes: Vec::new(),
            children: HashMap::new(),
            texts: BTreeMap::new(),
            next_id: 0,
            tokens_max,
        }
    }

    /// An empty text.
    pub fn begin(&mut self) -> TextId {
        self.insert(Vec::new())
    }

    /// A text that begins with the first `len` tokens of another. Panics if that has fewer.
    pub fn fork(&mut self, text: TextId, len: usize) -> TextId {
        let nodes = self.texts[&text][..len].to_vec();
        self.insert(nodes)
    }

    fn insert(&mut self, nodes: Vec<u32>) -> TextId {
        let id = TextId(self.next_id);
        self.next_id += 1;
        self.texts.insert(id, nodes);
        id
    }

    /// Takes the tokens from `len` on off a text. As a source of drafts they stay.
    pub fn truncate(&mut self, text: TextId, len: usize) {
        let nodes = self.texts.get_mut(&text);
        nodes.expect("a text that has not ended").truncate(len);
    }

    /// The text grows no more. It goes on being a source of drafts.
    pub fn end(&mut self, text: TextId) {
        self.texts.remove(&text);
    }

    /// Tokens of a text that are known here.
    pub fn len(&self, text: TextId) -> usize {
        self.texts[&text].len()
    }

    /// Appends to a text; false once there is no room for more.
    pub fn append(&mut self, text: TextId, tokens: &[u32]) -> bool {
        if self.nodes.len() + tokens.len() > self.tokens_max {
            self.forget_ended();
            if self.nodes.len() + tokens.len() > self.tokens_max {
                return false;
            }
        }
        for &token in tokens {
            self.push(text, token);
        }
        true
    }

    fn push(&mut self, text: TextId, token: u32) {
        let nodes = self
            .texts
            .get_mut(&text)
            .expect("a text that has not ended");
        let before = nodes.last().copied();
        let key = (before.unwrap_or(NONE), token);
        let node = *self.children.entry(key).or_insert_with(|| {
            let last = before.map_or(ROOT, |node| self.nodes[node as usize].state);
            self.nodes.push(Node {
                state: self.automaton.extend(last, token),
                newest_child: NONE,
                token,
            });
            self.nodes.len() as u32 - 1
        });
        nodes.push(node);
        // Only now: places where nothing follows are no source of drafts.
        if let Some(before) = before {
            let at = &mut self.nodes[before as usize];
            at.newest_child = node;
            self.automaton.see(at.state, before);
        }
    }

    /// At most `max` tokens that followed the text's longest suffix where that was seen last.
    pub fn propose(&self, text: TextId, max: usize) -> Vec<Drafted> {
        let whole = self.texts[&text].last();
        let mut suffixes = whole.into_iter().flat_map(|&node| {
            let state = self.nodes[node as usize].state;
            self.automaton.suffixes(state)
        });
        let seen = suffixes.find(|&state| self.automaton.newest(state) != NONE);
        let Some(mut state) = seen else {
            return Vec::new();
        };
        let mut match_len = self.automaton.len(state);
        let mut node = self.automaton.newest(state);
        let mut draft = Vec::new();
        while draft.len() < max {
            node = self.nodes[node as usize].newest_child;
            if node == NONE {
                break;
            }
            let token = self.nodes[node as usize].token;
            draft.push(Drafted {
                token,
                match_len,
                is_contested: self.automaton.is_contested(state),
            });
            match_len += 1;
            let next = self.automaton.next(state, token);
            state = next.expect("it was seen behind the state's runs");
        }
        draft
    }

    /// Makes the index anew, of the texts that still grow.
    fn forget_ended(&mut self) {
        let mut anew = Self::new(self.tokens_max);
        for (&id, nodes) in &self.texts {
            anew.texts.insert(id, Vec::with_capacity(nodes.len()));
            for &node in nodes {
                anew.push(id, self.nodes[node as usize].token);
            }
        }
        anew.next_id = self.next_id;
        *self = anew;
    }
}

#[cfg(test)]
mod tests;
