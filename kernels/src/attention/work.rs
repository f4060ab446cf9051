//! One piece and one key/value head, split after split.
use super::ahead::Ahead;
use super::chunk::{steps_of_block, tile_over_chunk};
use super::scratch::Scratch;
use super::state::{Partials, STATE_EXTRA, merge};
use super::{Attention, BLOCK_SIZE, CHUNK, CHUNK_BLOCKS, HeadShape, Piece, SPLIT, SPLIT_BLOCKS};
use crate::executor::Shared;
use crate::simd::Simd;
use crate::tile::with_tile_rows;

/// One piece and one key/value head: writes the means of rows that no other piece
/// has, and the splits of the others.
///
/// # Safety
/// The processor has what `S` stands for; [`check`] has passed; nobody else writes
/// the places of the piece's rows and splits.
#[inline(always)]
pub(super) unsafe fn work<S: Simd>(
    attention: &Attention<'_>,
    piece: &Piece,
    kv_head: usize,
    partials: &Partials<'_>,
    scratch: &mut Scratch,
    states: Shared<f32>,
    out: Shared<f32>,
) {
    let HeadShape {
        n_heads,
        n_kv_heads,
        head_dim: d,
    } = attention.shape;
    let (group, value_dim) = (n_heads / n_kv_heads, attention.shape.value_dim());
    let height = scratch.start(attention, piece, kv_head);
    let farthest = scratch.seen.iter().copied().max().unwrap_or(0);
    for (i, blocks) in piece.blocks.chunks(SPLIT_BLOCKS).enumerate() {
        let first = piece.first + i * SPLIT;
        if first >= farthest {
            break;
        }
        scratch.start_split(value_dim);
        for (c, blocks) in blocks.chunks(CHUNK_BLOCKS).enumerate() {
            let first = first + c * CHUNK;
            let n_blocks = farthest.saturating_sub(first).div_ceil(BLOCK_SIZE);
            let blocks = &blocks[..blocks.len().min(n_blocks)];
            let n_tiles = scratch.seen.len() / height;
            let behind = &piece.blocks[i * SPLIT_BLOCKS + c * CHUNK_BLOCKS + blocks.len()..];
            let next = &behind[..behind.len().min(CHUNK_BLOCKS)];
            let n_steps = n_tiles * blocks.len() * steps_of_block::<S>(height, d);
            let mut ahead = Ahead::new(attention, kv_head, next, n_steps);
            for tile in 0..n_tiles {
                let ahead = &mut ahead;
                // SAFETY: the caller's promises, and a scratch of this height.
                with_tile_rows!(height, Q => unsafe {
                    tile_over_chunk::<S, Q>(attention, kv_head, blocks, first, tile, scratch, ahead)
                });
            }
        }
        for query in 0..piece.rows.len() * group {
            let row = piece.rows[query / group] as usize;
            if scratch.seen[query] <= first {
                continue;
            }
            let state = match partials.is_split(row) {
                true => {
                    let head = kv_head * group + query % group;
                    // SAFETY: a place of this row, head and split.
                    unsafe { states.get().add(partials.place(row, head, first / SPLIT)) }
                }
                false => {
                    scratch.state.resize(value_dim + STATE_EXTRA, 0.0);
                    scratch.state.as_mut_ptr()
                }
            };
            // SAFETY: a state's length is there.
            unsafe {
                let sums = scratch.sums.as_ptr().add(query * value_dim);
                std::ptr::copy_nonoverlapping(sums, state, value_dim);
                state.add(value_dim).write(scratch.weight[query]);
                state.add(value_dim + 1).write(scratch.largest[query]);
                if !partials.is_split(row) {
                    merge::<S>(&mut scratch.totals[query], state);
                }
            }
        }
    }
    for query in 0..piece.rows.len() * group {
        let row = piece.rows[query / group] as usize;
        if !partials.is_split(row) {
            let head = kv_head * group + query % group;
            // SAFETY: places of this row and head, which nobody else writes.
            unsafe {
                let to = out.get().add((row * n_heads + head) * d);
                scratch.totals[query].write_mean(to, d);
            }
        }
    }
}
