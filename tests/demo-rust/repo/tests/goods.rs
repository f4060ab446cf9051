use stallboard::goods::{on_offer, read_list};
use stallboard::money::Cents;
use stallboard::season::Season;

const LIST: &str = "\
# name ; price ; per ; season
Carrots ; 2.20 ; kg ;
Asparagus ; 12.5 ; kg ; 4-6

Leek ; 1 ; piece ; 10-3
";

#[test]
fn a_list_is_read() {
    let goods = read_list(LIST).unwrap();
    assert_eq!(goods.len(), 3);
    assert_eq!(goods[0].season, Season::ALWAYS);
    assert_eq!(goods[1].price, Cents(1250));
    assert_eq!(goods[2].per, "piece");
}

#[test]
fn what_is_ripe_is_on_offer_over_the_years_end_too() {
    let goods = read_list(LIST).unwrap();
    let names = |month| {
        let offered = on_offer(&goods, month);
        offered
            .iter()
            .map(|good| good.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(6), ["Carrots", "Asparagus"]);
    assert_eq!(names(7), ["Carrots"]);
    assert_eq!(names(1), ["Carrots", "Leek"]);
}

#[test]
fn a_wrong_line_is_named() {
    let wrong = |text: &str| read_list(text).unwrap_err();
    assert_eq!(
        wrong("\nCarrots ; 2.20 ; kg"),
        "line 2: expected 4 fields, found 3"
    );
    assert_eq!(wrong("Leek ; much ; kg ;"), "line 1: \"much\" is no price");
    assert_eq!(
        wrong("Leek ; 2.205 ; kg ;"),
        "line 1: \"2.205\" is no price"
    );
    assert_eq!(wrong("Leek ; 1 ; kg ; 13"), "line 1: \"13\" is no month");
}

#[test]
fn a_crate_is_cheaper() {
    assert_eq!(Cents(220).times(10, 15), Cents(1870));
    assert_eq!(Cents(5).to_string(), "0.05");
}
