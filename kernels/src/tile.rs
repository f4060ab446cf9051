//! How rows are cut into tiles of a height that the kernels are compiled for.

/// Tile heights, ascending: twelve rows' sums, twelve dot products and a few
/// weights fill the 32 registers.
const TILE_ROWS: [usize; 7] = [1, 2, 3, 4, 6, 8, TILE_ROWS_MAX];

/// The highest tile.
pub(crate) const TILE_ROWS_MAX: usize = 12;

/// Evaluates `$body` with the constant `$rows`, which is the tile height `$height`.
macro_rules! with_tile_rows {
    ($height:expr, $rows:ident => $body:expr) => {
        crate::tile::with_tile_rows!(@ 1 2 3 4 6 8 12; $height, $rows => $body)
    };
    (@ $($literal:literal)*; $height:expr, $rows:ident => $body:expr) => {
        match $height {
            $($literal => {
                const $rows: usize = $literal;
                $body
            })*
            height => unreachable!("no tile has {height} rows"),
        }
    };
}
pub(crate) use with_tile_rows;

/// How many tiles of which height `rows` rows make: as few as there can be, and
/// then as low as there are.
pub(crate) fn tiles(rows: usize) -> (usize, usize) {
    let even = rows.div_ceil(rows.div_ceil(TILE_ROWS_MAX));
    let height = *TILE_ROWS
        .iter()
        .find(|&&h| h >= even)
        .expect("the highest fits");
    (rows.div_ceil(height), height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_few_tiles_of_one_height() {
        assert_eq!(tiles(1), (1, 1));
        assert_eq!(tiles(5), (1, 6));
        assert_eq!(tiles(8), (1, 8));
        assert_eq!(tiles(13), (2, 8));
        assert_eq!(tiles(512), (43, 12));
    }

    #[test]
    fn there_is_a_constant_for_every_height() {
        for height in TILE_ROWS {
            assert_eq!(with_tile_rows!(height, ROWS => ROWS), height);
        }
    }
}
