//! Judges the patch. The agent never sees this file.
use stallboard::board::board;
use stallboard::goods::read_list;
use stallboard::text::{column, row};

const LIST: &str = "\
Carrots; 2.20; kg;
Käferbohnen; 8.90; kg;
Crème fraîche; 1.80; cup;
Leek; 1; piece;
";

#[test]
fn the_issues_example() {
    let lines = [
        "                             one   crate",
        "Carrots           kg        2.20   18.70",
        "Käferbohnen       kg        8.90   75.65",
        "Crème fraîche     cup       1.80   15.30",
        "Leek              piece     1.00    8.50",
    ];
    let goods = read_list(LIST).unwrap();
    assert_eq!(board(&goods, 5), lines.join("\n") + "\n");
}

#[test]
fn a_long_name_is_cut_where_a_character_ends() {
    let goods = read_list("Steirische Käferbohnen; 8.90; kg;").unwrap();
    let line = board(&goods, 5).lines().nth(1).unwrap().to_owned();
    assert_eq!(line, "Steirische Käfe~  kg        8.90   75.65");
    assert_eq!(column("éééé", 3), "éé~");
}

#[test]
fn a_name_that_just_fits_is_whole() {
    assert_eq!(column("Äpfel", 5), "Äpfel");
    assert_eq!(column("Äpfel", 6), "Äpfel ");
    assert_eq!(column("Grüne Süßkirsche", 16), "Grüne Süßkirsche");
}

#[test]
fn letters_of_three_and_four_bytes_count_as_one() {
    assert_eq!(column("大根", 4), "大根  ");
    assert_eq!(column("🌶 hot", 4), "🌶 h~");
}

#[test]
fn the_units_column_too() {
    assert_eq!(row(&[("a", 2), ("Stück", 6), ("1", 1)]), "a   Stück   1");
}

#[test]
fn plain_names_are_as_before() {
    assert_eq!(column("jerusalem artichokes", 12), "jerusalem a~");
    assert_eq!(column("", 3), "   ");
}
