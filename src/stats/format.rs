//! How figures are written: in reasons of rules, which are part of records, and in reports.

use super::Interval;

/// What stands in a table where there is no figure.
const NONE: &str = "–";

/// Four decimals.
pub fn fixed(value: f64) -> String {
    format!("{value:.4}")
}

/// At most four decimals.
pub fn short(value: f64) -> String {
    let text = fixed(value);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".into() } else { short.into() }
}

/// A difference with its sign and four decimals; one that these make 0 by its order of magnitude, so that the end of an interval
/// that leaves 0 out does not look like 0.
pub fn signed(value: f64) -> String {
    if value.abs() < 5e-5 && value.abs() > 1e-12 {
        format!("{value:+.0e}")
    } else if value < 0.0 {
        fixed(value)
    } else {
        format!("{:+.4}", value + 0.0)
    }
}

/// An interval of a figure.
pub fn interval(interval: Interval) -> String {
    format!("{}–{}", fixed(interval.low), fixed(interval.high))
}

/// An interval of a difference.
pub fn signed_interval(interval: Interval) -> String {
    format!("{}, {}", signed(interval.low), signed(interval.high))
}

/// A p-value in a table: four decimals, or its order of magnitude.
pub fn p_value(p: f64) -> String {
    if p >= 1e-4 { fixed(p) } else { format!("{p:.0e}") }
}

/// A p-value in a sentence: at most four decimals, or two digits.
pub fn short_p(p: f64) -> String {
    if p >= 1e-4 || p == 0.0 { short(p) } else { format!("{p:.1e}") }
}

/// A percentage with one decimal.
pub fn percent(percent: f64) -> String {
    format!("{percent:.1} %")
}

/// A figure in a table: four decimals, or a dash where there is none.
pub fn figure(value: Option<f64>) -> String {
    or_dash(value, fixed)
}

/// What stands in a table, or a dash where there is nothing.
pub fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.into(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_never_look_like_0_where_they_are_not() {
        assert_eq!((signed(-0.0).as_str(), signed(0.00001).as_str()), ("+0.0000", "+1e-5"));
        assert_eq!((signed(-f64::MIN_POSITIVE).as_str(), signed(-0.25).as_str()), ("-0.0000", "-0.2500"));
        assert_eq!((p_value(0.25).as_str(), p_value(4.43e-6).as_str()), ("0.2500", "4e-6"));
        assert_eq!((short_p(0.25).as_str(), short_p(4.43e-6).as_str(), short_p(0.0).as_str()), ("0.25", "4.4e-6", "0"));
        assert_eq!((short(0.5).as_str(), short(2.0).as_str(), short(-0.00001).as_str()), ("0.5", "2", "0"));
        let shown = Interval { low: -0.125, high: 0.5 };
        assert_eq!((interval(shown), signed_interval(shown)), ("-0.1250–0.5000".into(), "-0.1250, +0.5000".into()));
        assert_eq!((percent(6.04), figure(None), figure(Some(1.0))), ("6.0 %".into(), "–".into(), "1.0000".into()));
    }
}
