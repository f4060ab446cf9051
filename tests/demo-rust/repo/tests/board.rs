use stallboard::board::board;
use stallboard::goods::read_list;
use stallboard::text::{column, row};

#[test]
fn a_board_has_its_prices_in_columns() {
    let goods = read_list("Carrots; 2.20; kg;\nAsparagus; 12.50; kg; 4-6").unwrap();
    let lines = [
        "                             one   crate",
        "Carrots           kg        2.20   18.70",
        "Asparagus         kg       12.50  106.25",
    ];
    assert_eq!(board(&goods, 5), lines.join("\n") + "\n");
}

#[test]
fn a_stall_with_nothing_ripe_is_closed() {
    let goods = read_list("Asparagus; 12.50; kg; 4-6").unwrap();
    assert_eq!(board(&goods, 11), "Closed this month.\n");
}

#[test]
fn a_column_is_filled_up_or_cut() {
    assert_eq!(column("leek", 6), "leek  ");
    assert_eq!(column("leek", 4), "leek");
    assert_eq!(column("jerusalem artichokes", 12), "jerusalem a~");
}

#[test]
fn a_row_ends_without_spaces() {
    assert_eq!(row(&[("a", 3), ("b", 3)]), "a    b");
}
