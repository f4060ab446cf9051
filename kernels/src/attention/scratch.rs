//! A worker's memory for one piece and one key/value head.
use super::state::State;
use super::{Attention, CHUNK, HeadShape, MASKED, Piece};
use crate::tile::tiles;

/// A worker's memory for one task.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[tile][D][query]`, scaled.
    pub(super) q: Vec<f32>,
    /// Of the split in hand: `[query][value_dim]`
    pub(super) sums: Vec<f32>,
    /// `[query]`
    pub(super) weight: Vec<f32>,
    /// `[query]`
    pub(super) largest: Vec<f32>,
    /// `[query]`
    pub(super) seen: Vec<usize>,
    /// `[query][CHUNK]`
    pub(super) scores: Vec<f32>,
    /// Of the splits before: `[query]`
    pub(super) totals: Vec<State>,
    /// One state, to be merged.
    pub(super) state: Vec<f32>,
}

impl Scratch {
    /// Takes the queries of a piece's rows; tiles of one height.
    pub(super) fn start(
        &mut self,
        attention: &Attention<'_>,
        piece: &Piece,
        kv_head: usize,
    ) -> usize {
        let HeadShape {
            n_heads,
            n_kv_heads,
            head_dim: d,
        } = attention.shape;
        let group = n_heads / n_kv_heads;
        let (n_tiles, height) = tiles(piece.rows.len() * group);
        let padded = n_tiles * height;
        let scale = 1.0 / (d as f32).sqrt();
        self.q.clear();
        self.q.resize(padded * d, 0.0);
        self.scores.resize(height * CHUNK, 0.0);
        self.seen.clear();
        for (i, &row) in piece.rows.iter().enumerate() {
            let from = row as usize * attention.query_stride + kv_head * group * d;
            let queries = attention.queries[from..][..group * d].chunks_exact(d);
            for (g, q) in queries.enumerate() {
                let query = i * group + g;
                let to = &mut self.q[query / height * height * d + query % height..];
                for (i, x) in q.iter().enumerate() {
                    to[i * height] = x * scale;
                }
                self.seen.push(attention.seen[row as usize] as usize);
            }
        }
        self.seen.resize(padded, 0);
        self.totals.resize(padded, State::default());
        for total in &mut self.totals {
            total.empty(attention.shape.value_dim());
        }
        height
    }

    /// Empties what is kept of the split in hand.
    pub(super) fn start_split(&mut self, value_dim: usize) {
        let padded = self.seen.len();
        self.sums.clear();
        self.sums.resize(padded * value_dim, 0.0);
        self.weight.clear();
        self.weight.resize(padded, 0.0);
        self.largest.clear();
        self.largest.resize(padded, MASKED);
    }
}
