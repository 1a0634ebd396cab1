//! Units of which the second is a part of the first: `5 feet 10 inches` is neither 5 nor 10.

use super::numeral_words::{lists, word};

/// Quantities, each with its units from the largest to the smallest.
const QUANTITIES: [&[&str]; 8] = [
    &[
        " y yr yrs year years jahr jahre an ans année années año años anno anni ano anos ",
        " mo mos month months monat monate mois mes meses mese mesi ",
        " w wk wks week weeks woche wochen semaine semaines semana semanas ",
        " d day days tag tage tagen jour jours día días dia dias giorno giorni dag dagen ",
        " h hr hrs hour hours std stunde stunden heure heures hora horas ora ore uur timmar timer ",
        " m min mins minute minutes minuten minuto minutos minuti minuut minuter ",
        " s sec secs second seconds sekunde sekunden seconde secondes segundo segundos ",
        " ms millisecond milliseconds ",
    ],
    &[
        " km kilometer kilometers kilometre kilometres ",
        " m meter meters metre metres ",
        " cm centimeter centimeters centimetre centimetres ",
        " mm millimeter millimeters millimetre millimetres ",
    ],
    &[" mi mile miles ", " yd yds yard yards ", " ft foot feet ", " in inch inches "],
    &[
        " t ton tons tonne tonnes ",
        " kg kgs kilo kilos kilogram kilograms ",
        " g gram grams ",
        " mg milligram milligrams ",
    ],
    &[" st stone ", " lb lbs pound pounds ", " oz ounce ounces "],
    &[" dollar dollars euro euros pound pounds rupee rupees franc francs ", " cent cents pence p paise ct centimes "],
    &[" gallon gallons gal ", " quart quarts qt ", " pint pints pt ", " cup cups ", " oz ounce ounces "],
    &[" l liter liters litre litres ", " ml milliliter milliliters millilitre millilitres "],
];
/// Units behind which the smaller one is often left out: `6 ft 2`, `1 h 30`.
const LEADING: &str = " ft foot feet h hr hrs ";

/// Whether a unit, what stands between and what follows the second number say one quantity together.
pub(super) fn is_compound(unit: &str, between: &str, after: &str) -> bool {
    if unit.is_empty()
        || !matches!(between.trim(), "" | "." | "and" | "," | ", and" | "&" | "und" | "et" | "y" | "e" | "en")
    {
        return false;
    }
    let (unit, smaller) = (unit.to_lowercase(), word(after).to_lowercase());
    if smaller.is_empty() {
        return between.trim().is_empty() && lists(LEADING, &unit);
    }
    QUANTITIES.iter().any(|units| {
        let rank = |unit: &str| units.iter().position(|names| lists(names, unit));
        rank(&unit).zip(rank(&smaller)).is_some_and(|(large, small)| large < small)
    })
}
