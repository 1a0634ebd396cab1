//! A decimal number and whether two of them are equal, or nearly.
//!
//! Values are kept as decimal digits: `5.00` equals `5`, long integers lose nothing to floating point, and the edge of a
//! tolerance is where its decimals say. An exponent is a number beside the digits, so that `1e999999` costs no more than `1`.

use std::cmp::Ordering;

/// A decimal number in its one canonical form: no leading and no trailing zero digits, zero without sign and exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    digits: String,
    /// Power of ten of the last digit.
    exponent: i64,
}

impl Number {
    /// The number `whole.decimals · 10^exponent`; of both parts the digits count.
    pub fn new(negative: bool, whole: &str, decimals: &str, exponent: i64) -> Self {
        let is_digit = char::is_ascii_digit;
        let digits: String = whole.chars().chain(decimals.chars()).filter(is_digit).collect();
        let places = decimals.chars().filter(is_digit).count() as i64;
        Self::canonical(negative, &digits, exponent.saturating_sub(places))
    }

    fn canonical(negative: bool, digits: &str, exponent: i64) -> Self {
        let trimmed = digits.trim_end_matches('0');
        let removed = (digits.len() - trimmed.len()) as i64;
        let trimmed = trimmed.trim_start_matches('0').to_owned();
        if trimmed.is_empty() {
            return Self { negative: false, digits: trimmed, exponent: 0 };
        }
        Self { negative, digits: trimmed, exponent: exponent.saturating_add(removed) }
    }

    /// The shortest decimals that a float is written with: of `0.2` those that the suite has.
    pub fn of(float: f64) -> Self {
        let text = float.abs().to_string();
        let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
        Self::new(float < 0.0, whole, decimals, 0)
    }

    /// Whether the two differ by no more than `tolerance`, in decimals.
    pub fn is_within(&self, tolerance: &Self, other: &Self) -> bool {
        let sum = |left: &Self, right: &Self| sign(vec![left.clone(), right.negated(), tolerance.negated()]);
        sum(self, other) != Ordering::Greater && sum(other, self) != Ordering::Greater
    }

    fn negated(&self) -> Self {
        Self { negative: !self.negative && !self.digits.is_empty(), ..self.clone() }
    }

    /// Power of ten just above the first digit.
    fn order(&self) -> i64 {
        self.exponent.saturating_add(self.digits.len() as i64)
    }

    /// The sum of two numbers whose digits overlap or nearly do.
    fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let length = (self.order().max(other.order()) - exponent) as usize + 1;
        let (left, right) = (self.spread(exponent, length), other.spread(exponent, length));
        let same = self.negative == other.negative;
        let (larger, smaller, negative) = match left.cmp(&right) {
            Ordering::Less => (&right, &left, other.negative),
            _ => (&left, &right, self.negative),
        };
        let mut digits = vec![b'0'; length];
        let mut carry = 0i8;
        for at in (0..length).rev() {
            let (one, two) = (larger[at] as i8, smaller[at] as i8);
            let sum = if same { one + two + carry } else { one - two + carry };
            digits[at] = b'0' + sum.rem_euclid(10) as u8;
            carry = sum.div_euclid(10);
        }
        Self::canonical(negative, std::str::from_utf8(&digits).unwrap_or_default(), exponent)
    }

    /// The values of the digits, from the highest of `length` places down to that of `exponent`.
    fn spread(&self, exponent: i64, length: usize) -> Vec<u8> {
        let mut places = vec![0; length];
        let end = length - (self.exponent - exponent) as usize;
        for (place, digit) in places[end - self.digits.len()..end].iter_mut().zip(self.digits.bytes()) {
            *place = digit - b'0';
        }
        places
    }
}

/// How the sum of up to three numbers compares with zero. Only numbers whose digits overlap are ever added, so that it costs
/// what their digits cost, whatever their exponents.
fn sign(mut terms: Vec<Number>) -> Ordering {
    loop {
        terms.retain(|term| !term.digits.is_empty());
        terms.sort_by_key(|term| std::cmp::Reverse(term.order()));
        let (top, next) = match terms.as_slice() {
            [] => return Ordering::Equal,
            [top] => return of(top),
            [top, next, ..] => (top, next),
        };
        // The others together are smaller than one unit of the last digit of the largest.
        if top.exponent > next.order().saturating_add(1) {
            return of(top);
        }
        let sum = top.plus(next);
        terms.splice(..2, [sum]);
    }
}

fn of(number: &Number) -> Ordering {
    if number.negative { Ordering::Less } else { Ordering::Greater }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `-12.5e3`, as the tests write it.
    fn number(text: &str) -> Number {
        let (value, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
        Number::new(whole.starts_with('-'), whole, decimals, exponent.parse().unwrap())
    }

    fn within(left: &str, right: &str, tolerance: &str) -> bool {
        number(left).is_within(&number(tolerance), &number(right))
    }

    #[test]
    fn one_form_for_one_value() {
        assert_eq!(number("5.00"), number("5"));
        assert_eq!(number("1e3"), number("1000"));
        assert_eq!(number("-0"), number("0"));
        assert_eq!(number("0.25"), number("2.5e-1"));
        assert_ne!(number("-3"), number("3"));
        assert_ne!(number("1e400"), number("1e401"));
        assert_ne!(number("12345678901234567890123"), number("12345678901234567890124"));
        assert_eq!(Number::of(0.2), number("0.2"));
        assert_eq!(Number::of(1e-9), number("1e-9"));
    }

    #[test]
    fn the_edge_of_a_tolerance_is_decimal() {
        // In floats 0.3 - 0.1 is more than 0.2, and 1.1 - 1 more than 0.1.
        for (left, right, tolerance, wanted) in [
            ("0.3", "0.1", "0.2", true),
            ("0.1", "0.3", "0.2", true),
            ("1.1", "1", "0.1", true),
            ("1.1000000000000000001", "1", "0.1", false),
            ("-1", "1", "2", true),
            ("-1", "1", "1.999", false),
            ("3.1415926", "3.14", "0.01", true),
            ("1e30", "999999999999999999999999999999", "1", true),
            ("1e30", "999999999999999999999999999998", "1", false),
            ("1e999999", "1", "0.5", false),
            ("1e999999", "1e999999", "0", true),
            ("1e-999999", "0", "1e-999998", true),
            ("1e-999998", "0", "1e-999999", false),
            ("1e999999999", "-1e999999999", "1e999999999", false),
            ("1e999999999", "0", "1e999999999", true),
            ("0", "0", "0", true),
        ] {
            assert_eq!(within(left, right, tolerance), wanted, "{left} {right} {tolerance}");
        }
    }

    proptest! {
        #[test]
        fn tolerance_is_that_of_integers(left in -10_000i64..10_000, right in -10_000i64..10_000, tolerance in 0i64..20_000, places in 0i64..4) {
            let scaled = |value: i64| Number::new(value < 0, &value.to_string(), "", -places);
            let wanted = (left - right).abs() <= tolerance;
            prop_assert_eq!(scaled(left).is_within(&scaled(tolerance), &scaled(right)), wanted);
        }

        #[test]
        fn far_exponents_cost_nothing(digits in "[0-9]{1,30}", one in -1_000_000_000i64..1_000_000_000, two in -1_000_000_000i64..1_000_000_000) {
            let (left, right) = (Number::new(false, &digits, "", one), Number::new(true, "7", "", two));
            left.is_within(&Number::of(0.5), &right);
            prop_assert!(left.is_within(&Number::of(0.0), &left));
        }
    }
}
