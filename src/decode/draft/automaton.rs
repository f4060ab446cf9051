//! A suffix automaton over a trie of tokens: every run of tokens that any text has, each once.
//!
//! A state is a set of runs that end at the same places of the trie. `len` is the longest of
//! them, and `link` leads to the longest suffix that ends at other places, too. (Blumer et al.
//! 1985; for a trie, Mohri, Moreno and Weinstein 2009.) There are at most two states and three
//! edges a token, and a token is added in amortised constant time, but for one walk that is
//! bounded by [`LINKS_MAX`].
use std::collections::HashMap;

/// The state of the empty run.
pub(super) const ROOT: u32 = 0;

/// No state, node or edge.
pub(super) const NONE: u32 = u32::MAX;

/// Suffixes of one place that are told that they end there, and that are looked at for one
/// that goes on. Text that repeats itself has more, all of them short.
const LINKS_MAX: usize = 32;

struct State {
    /// Tokens of its longest run.
    len: u32,
    /// State of the longest suffix that ends at other places, too.
    link: u32,
    /// The newest of its edges; each names the one before it.
    edge: u32,
    /// Node of the trie where it was seen last with something behind it.
    newest: u32,
}

struct Edge {
    token: u32,
    to: u32,
    /// Of the same state.
    before: u32,
}

/// The states and edges. Nodes of the trie are named by whoever keeps it.
pub(super) struct Automaton {
    states: Vec<State>,
    edges: Vec<Edge>,
    /// Of a state and a token, the edge.
    found: HashMap<(u32, u32), u32>,
}

impl Automaton {
    pub(super) fn new() -> Self {
        let root = State {
            len: 0,
            link: NONE,
            edge: NONE,
            newest: NONE,
        };
        Self {
            states: vec![root],
            edges: Vec::new(),
            found: HashMap::new(),
        }
    }

    /// The state of the runs of `last`, each with `token` behind it. `last` has to be the
    /// state of a whole text.
    pub(super) fn extend(&mut self, last: u32, token: u32) -> u32 {
        let len = self.len(last) + 1;
        if let Some(to) = self.next(last, token) {
            return self.of_length(last, token, to, len);
        }
        let made = self.state(len, ROOT, NONE);
        let mut at = last;
        while at != NONE && self.next(at, token).is_none() {
            self.join(at, token, made);
            at = self.link(at);
        }
        if at != NONE {
            let to = self.next(at, token).expect("the walk ended at it");
            let link = self.of_length(at, token, to, self.len(at) + 1);
            self.states[made as usize].link = link;
        }
        made
    }

    /// `to`, or the part of it that is no longer than `len`, split off.
    fn of_length(&mut self, from: u32, token: u32, to: u32, len: u32) -> u32 {
        if self.len(to) == len {
            return to;
        }
        let State { link, newest, .. } = self.states[to as usize];
        let split = self.state(len, link, newest);
        let edges: Vec<(u32, u32)> = self.edges_of(to).collect();
        for (token, end) in edges.into_iter().rev() {
            self.join(split, token, end);
        }
        self.states[to as usize].link = split;
        let mut at = from;
        while at != NONE
            && let Some(&edge) = self.found.get(&(at, token))
            && self.edges[edge as usize].to == to
        {
            self.edges[edge as usize].to = split;
            at = self.link(at);
        }
        split
    }

    /// Tells a state and its suffixes that they were seen at a node that goes on.
    pub(super) fn see(&mut self, state: u32, node: u32) {
        let mut at = state;
        for _ in 0..LINKS_MAX {
            if at == ROOT {
                break;
            }
            self.states[at as usize].newest = node;
            at = self.link(at);
        }
    }

    /// The state and its suffixes, from the longest on; without the empty one.
    pub(super) fn suffixes(&self, state: u32) -> impl Iterator<Item = u32> {
        let link = |&at: &u32| Some(self.link(at));
        std::iter::successors(Some(state), link)
            .take_while(|&at| at != ROOT && at != NONE)
            .take(LINKS_MAX)
    }

    pub(super) fn next(&self, state: u32, token: u32) -> Option<u32> {
        let edge = *self.found.get(&(state, token))?;
        Some(self.edges[edge as usize].to)
    }

    /// Whether different tokens were seen behind it.
    pub(super) fn is_contested(&self, state: u32) -> bool {
        self.edges_of(state).nth(1).is_some()
    }

    pub(super) fn len(&self, state: u32) -> u32 {
        self.states[state as usize].len
    }

    pub(super) fn link(&self, state: u32) -> u32 {
        self.states[state as usize].link
    }

    pub(super) fn newest(&self, state: u32) -> u32 {
        self.states[state as usize].newest
    }

    #[cfg(test)]
    pub(super) fn n_states(&self) -> usize {
        self.states.len()
    }

    fn edges_of(&self, state: u32) -> impl Iterator<Item = (u32, u32)> {
        let of = |edge: u32| self.edges.get(edge as usize);
        std::iter::successors(of(self.states[state as usize].edge), move |edge| {
            of(edge.before)
        })
        .map(|edge| (edge.token, edge.to))
    }

    fn state(&mut self, len: u32, link: u32, newest: u32) -> u32 {
        let edge = NONE;
        self.states.push(State {
            len,
            link,
            edge,
            newest,
        });
        self.states.len() as u32 - 1
    }

    fn join(&mut self, from: u32, token: u32, to: u32) {
        let edge = self.edges.len() as u32;
        let before = std::mem::replace(&mut self.states[from as usize].edge, edge);
        self.edges.push(Edge { token, to, before });
        self.found.insert((from, token), edge);
    }
}
