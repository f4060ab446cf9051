//! What the kernels rely on, asserted at the door.
use super::{Attention, BLOCK_SIZE, HeadShape, SPLIT};

/// Asserts that shapes fit, and that the pieces cover each split that a row sees
/// once: what the kernels rely on.
pub(super) fn check(attention: &Attention<'_>, out_len: usize) {
    let HeadShape {
        n_heads,
        n_kv_heads,
        head_dim,
    } = attention.shape;
    assert!(
        head_dim > 0 && n_kv_heads > 0 && n_heads > 0 && n_heads.is_multiple_of(n_kv_heads),
        "{n_heads} heads of {head_dim} over {n_kv_heads}"
    );
    let n_rows = attention.seen.len();
    let width = n_heads * head_dim;
    let len = n_rows.checked_mul(width);
    assert_eq!(Some(out_len), len, "the output of {n_rows} rows");
    let queries = n_rows.saturating_sub(1).checked_mul(attention.query_stride);
    let queries = queries.and_then(|len| len.checked_add(width));
    assert!(
        n_rows == 0 || queries.is_some_and(|len| attention.queries.len() >= len),
        "the queries of {n_rows} rows"
    );
    let block = n_kv_heads * BLOCK_SIZE;
    let n_keys = attention.keys.len() / (block * head_dim);
    let n_blocks = n_keys.min(attention.values.len() / (block * attention.shape.value_dim()));
    // Splits of each row that a piece covers.
    let mut covered: Vec<Vec<bool>> = attention
        .seen
        .iter()
        .map(|&seen| vec![false; (seen as usize).div_ceil(SPLIT)])
        .collect();
    for piece in attention.pieces {
        assert!(!piece.rows.is_empty(), "a piece without rows");
        assert!(
            piece.blocks.iter().all(|&b| (b as usize) < n_blocks),
            "a piece's blocks"
        );
        assert!(
            piece.first.is_multiple_of(SPLIT),
            "a piece from {} on",
            piece.first
        );
        let end = piece.first + piece.blocks.len() * BLOCK_SIZE;
        for &row in &piece.rows {
            let row = row as usize;
            assert!(row < n_rows, "row {row} of {n_rows}");
            let seen = attention.seen[row] as usize;
            let splits = piece.first / SPLIT..end.min(seen).div_ceil(SPLIT);
            for (split, covered) in covered[row].iter_mut().enumerate() {
                if splits.contains(&split) {
                    let whole = end >= seen.min((split + 1) * SPLIT);
                    assert!(whole, "row {row}: a split that a piece has in part");
                    let before = std::mem::replace(covered, true);
                    assert!(!before, "row {row}: a split that two pieces have");
                }
            }
        }
    }
    let all = covered
        .iter()
        .all(|row| !row.is_empty() && row.iter().all(|&split| split));
    assert!(all, "a row that pieces do not cover");
}
