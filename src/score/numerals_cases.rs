//! What `numerals` reads in texts that models write: one number, or none.

use proptest::prelude::*;

use super::digits::Decimal;
use super::fold::fold;
use super::number::Number;
use super::numerals::{deciding, places};
use super::numerals_answers::ANSWERS;

fn read(text: &str, decimal: Decimal) -> Option<Number> {
    let text = fold(text);
    deciding(&places(&text, decimal), false).and_then(|place| place.number.clone())
}

fn last(text: &str) -> Option<Number> {
    read(text, Decimal::Point)
}

/// A plain decimal.
fn number(text: &str) -> Number {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    Number::new(text.starts_with('-'), whole, decimals, 0)
}

#[test]
fn one_number() {
    for (text, value) in [
        ("1,234", "1234"),
        ("$5.00", "5"),
        ("#### 42", "42"),
        ("So it is 42.", "42"),
        ("**1,234,567.50**", "1234567.5"),
        ("1e3", "1000"),
        ("2.5E-1 m", "0.25"),
        ("-3", "-3"),
        ("\u{2212}3", "-3"),
        ("\u{2013}3", "-3"),
        ("-$3.10", "-3.1"),
        ("$-3.10", "-3.1"),
        ("US$-18", "-18"),
        ("$$-18$$", "-18"),
        ("$$\u{2212}18$$", "-18"),
        ("$$+18$$", "18"),
        ("x = - 5", "-5"),
        ("the answer \u{2013} 5", "5"),
        ("- 5", "5"),
        ("(5)", "5"),
        ("(-5)", "-5"),
        ("€ 7", "7"),
        ("EUR7", "7"),
        ("\\$5", "5"),
        ("x=.5", "0.5"),
        ("\\boxed{18}", "18"),
        ("$$18$$", "18"),
        ("\\boxed{x=5\\text{ cm}}", "5"),
        ("50%", "50"),
        ("50\\%", "50"),
        ("-0", "0"),
        ("000", "0"),
        ("3rd", "3"),
        ("5^{th}", "5"),
        ("90^\\circ", "90"),
        ("No. 5", "5"),
        ("No.5", "5"),
        ("#5", "5"),
        ("1,234km", "1234"),
        ("US$18", "18"),
        ("25 m^2", "25"),
        ("25 m²", "25"),
        ("25m2", "25"),
        ("5 km/h", "5"),
        ("9.8 m/s^2", "9.8"),
        ("12 - 3 = 9", "9"),
        ("12-3=9", "9"),
        ("9 = 12 - 3", "9"),
        ("1/2 = 0.5", "0.5"),
        ("<<48/2=24>>24", "24"),
        ("10^3", "1000"),
        ("10³", "1000"),
        ("10**-2", "0.01"),
        ("1.5×10^3", "1500"),
        ("1.5 x 10³", "1500"),
        ("1.5 \\times 10^{-3}", "0.0015"),
        ("2^10 = 1024", "1024"),
        ("3 million", "3000000"),
        ("$1.5 billion", "1500000000"),
        ("2 hundred thousand", "200000"),
        ("５００", "500"),
        ("①", "1"),
        ("٤٢", "42"),
        ("答案是42。", "42"),
        ("x₁ = 5", "5"),
        ("log_2(8) = 3", "3"),
        ("GPT-4.5 and covid-19: 3", "3"),
        ("42 kg of CO2", "42"),
        ("42, says https://example.org/2024/05", "42"),
        ("1. 42", "42"),
        ("Question 3: 42", "42"),
        ("1) 42", "42"),
        ("answer\u{2014}42\u{2014}is", "42"),
        ("1.000", "1"),
        ("12,34,567", "1234567"),
        ("1 234 567", "1234567"),
        ("1'234.5", "1234.5"),
        ("1{,}234", "1234"),
        ("1,\\!234", "1234"),
        ("1\\,234", "1234"),
        ("1_000_000", "1000000"),
        ("12345678901234567890123", "12345678901234567890123"),
    ] {
        assert_eq!(last(text), Some(number(value)), "{text:?}");
    }
}

#[test]
fn no_part_of_anything_else_is_a_number() {
    for text in [
        // Fractions and what is irrational.
        "1/2",
        "\\frac{1}{2}",
        "\\frac12",
        "\\dfrac{a}{2}",
        "½",
        "2½",
        "2 1/2",
        "2 and a half",
        "x/2",
        "1/x",
        "3π",
        "3\\pi",
        "√2",
        "\\sqrt{2}",
        "2\\sqrt{3}",
        "sqrt(2)",
        "0.\\overline{3}",
        // Dates, times, versions, addresses, telephones.
        "2024-01-05",
        "05/01/2024",
        "5.1.2024",
        "January 5, 2024",
        "5 January 2024",
        "the 5th of May",
        "July 1969",
        "2024年3月5日",
        "3:45",
        "12:30:05",
        "1.2.3",
        "192.168.0.1",
        "+1-555-123-4567",
        "555-1234",
        "2h30m",
        "5 feet 10 inches",
        "5'10\"",
        "2 hours and 30 minutes",
        "24/7",
        // Ranges, ratios, lists, coordinates.
        "it ends 5-10",
        "5\u{2013}10",
        "5 - 10",
        "5 to 10",
        "between 5 and 10",
        "5 km - 10 km",
        "$5-$10",
        "5%-10%",
        "3:4",
        "7 out of 9",
        "A: 1, 2, 3",
        "1; 2",
        "1, 2, and 3",
        "1,\n2,\n3",
        "3 or 4",
        "x = 2 or x = 3",
        "(1, 2)",
        "51.5°N, 0.1°W",
        "±5",
        "5 ± 2",
        "+/-5",
        "5..10",
        "1, 2, ..., 10",
        // Sums and products that nobody worked out.
        "12 - 3",
        "3 + 4i",
        "x + 3",
        "x-3",
        "2x + 3",
        "2x^2",
        "2^10",
        "2³",
        "3 × 4",
        "3 x 4",
        "3x4",
        "2(3)",
        "= 9-3",
        "2 × 10^3 × 5",
        // Grouped in no known way.
        "10,200,3000",
        "1,2345",
        "1,23",
        "2,1.50",
        "1 234 56",
        "0,123",
        "1.234.567",
        "1.234,56",
        "101_2",
        "0x1F",
        "1e9999999999",
        "5万",
        // Words.
        "",
        "none",
        "H2O",
        "GPT4",
        "GPT-4",
        "covid-19",
        "v1.2.3",
        "x^2",
        "x_1",
        "&#39;",
        "file.5",
    ] {
        assert_eq!(last(text), None, "{text:?}");
    }
}

/// Answers of the forms that models write, each with its number, or none.
#[test]
fn answers_of_models() {
    let mut wrong = Vec::new();
    for (text, value) in ANSWERS {
        let found = last(text);
        if found != value.map(number) {
            wrong.push(format!("{text:?}: {found:?}, not {value:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ANSWERS.len() > 200);
}

#[test]
fn marks_do_not_part_a_number_from_its_word() {
    for text in [
        "5\\text{ million}",
        "**5** million",
        "$5$ million",
        "`5` million",
        "\\boxed{5} million",
        "5 \\text{ dozen}",
        "5\\text{k}",
        "**10** pm",
        "$10$ pm",
        "10\\text{ pm}",
        "<b>5</b> million",
        "2<sup>10</sup>",
        "10〜11",
    ] {
        assert_eq!(last(text), None, "{text}");
    }
    for text in ["**5** apples", "$5$ km", "\\boxed{5}", "5\\text{ cm}", "`5` is right", "<b>5</b> days", "5 * 1"] {
        let right = if text == "5 * 1" { None } else { Some(number("5")) };
        assert_eq!(last(text).filter(|_| right.is_some()), right, "{text}");
    }
}

#[test]
fn a_minus_before_what_opens_a_number_is_not_dropped() {
    for text in [
        "The answer is -\\boxed{5}",
        "-**5**",
        "**-**5",
        "-\\text{5}",
        "-\\mathbf{5}",
        "-(5)",
        "-{5}",
        "-EUR 5",
        "-USD5",
        "$- 5$",
        "It is \u{2212} 5",
        "It is minus 5 degrees",
        "Negative 5",
        "x = -\\(5\\)",
    ] {
        assert_eq!(last(text), None, "{text}");
    }
    // What is no sign.
    for text in ["- **5**", "- 5", "the answer - 5", "covid **5**", "(5)", "**5**", "EUR 5", "5", "sub-**5**"] {
        assert_eq!(last(text), Some(number("5")), "{text}");
    }
}

#[test]
fn decimal_commas() {
    for (text, value) in [
        ("1.234,56", "1234.56"),
        ("1 234,5", "1234.5"),
        ("1.234", "1234"),
        ("0,5", "0.5"),
        ("3{,}14", "3.14"),
        ("1'234,5", "1234.5"),
        ("-1,5 %", "-1.5"),
    ] {
        assert_eq!(read(text, Decimal::Comma), Some(number(value)), "{text:?}");
    }
    for text in ["1.5", "1,234.56", "1.23.456", "1,2,3"] {
        assert_eq!(read(text, Decimal::Comma), None, "{text:?}");
    }
}

fn grouped(digits: &str, separator: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push_str(separator);
        }
        text.push(digit);
    }
    text
}

proptest! {
    #[test]
    fn formatted_numbers_are_read_back(value in any::<u64>(), cents in 0u8..100, negative in any::<bool>()) {
        let sign = if negative { "-" } else { "" };
        let wanted = number(&format!("{sign}{value}.{cents:02}"));
        for separator in ["", ",", " ", "\u{a0}", "\u{2009}", "\u{202f}", "'", "\u{2019}", "{,}", "\\,", "_"] {
            let digits = grouped(&value.to_string(), separator);
            for text in [format!("{sign}{digits}.{cents:02}"), format!("The answer is {sign}${digits}.{cents:02}0."), format!("\\boxed{{{sign}{digits}.{cents:02}\\%}}\n")] {
                prop_assert_eq!(last(&text), Some(wanted.clone()), "{}", text);
            }
        }
        for separator in ["", ".", " ", "\u{a0}", "'"] {
            let text = format!("Es sind {sign}{},{cents:02} Euro.", grouped(&value.to_string(), separator));
            prop_assert_eq!(read(&text, Decimal::Comma), Some(wanted.clone()), "{}", text);
        }
    }

    #[test]
    fn pairs_are_no_number(one in 0u32..10_000, two in 0u32..10_000, between in "[-/:;+*×–÷^]| ?- ?| to | or | and |, | x |\\.\\.") {
        let text = format!("{one}{between}{two}");
        let found = last(&text);
        // 10^3 is one, and so is 1:2 nothing.
        prop_assert!(found.is_none() || (one == 10 && between == "^"), "{}", text);
    }

    #[test]
    fn floats_are_read_back(value in -1e15f64..1e15) {
        prop_assert_eq!(last(&value.to_string()), Some(Number::of(value)));
    }

    #[test]
    fn never_panics(text in any::<String>(), odd in "[-+0-9.,:/^_{}()|\\\\$%€£½²₂π√±−–×·÷⁄°‰ eExX\n'A-C年]{0,40}") {
        for decimal in [Decimal::Point, Decimal::Comma] {
            read(&text, decimal);
            read(&odd, decimal);
        }
    }
}

/// Long texts of one character or one pattern cost time in proportion to their length.
#[test]
fn long_texts_are_read_in_time() {
    let begin = std::time::Instant::now();
    for pattern in [
        "1", "1,", "1 ", "1.", "{1", "\\frac{", "x1", "1^{", "(1", "$", " ", "-", "1e", "1 and ", "\u{a0}1", "²",
        "a1.", "1\n",
    ] {
        last(&pattern.repeat(30_000 / pattern.len()));
    }
    // Two seconds unoptimised; what reads every part again for each takes minutes.
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}
