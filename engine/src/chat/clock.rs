//! The clock that templates see: a fixed date and time, formatted as Python's `strftime` does in the C locale.
//!
//! Nothing here reads the system's clock: a plan fixes the time, so that a rendering of today is the rendering of
//! tomorrow. `%z` and `%Z` are empty as for Python's naive `datetime.now()`.

use std::fmt::Write;

use jiff::civil::{DateTime, Weekday};

use crate::error::{Error, Result};

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The date and time that `strftime_now` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock(DateTime);

impl Default for Clock {
    /// 2026-01-01 00:00:00, the clock of a plan that names none.
    fn default() -> Self {
        Self(DateTime::constant(2026, 1, 1, 0, 0, 0, 0))
    }
}

impl Clock {
    /// A clock from RFC 3339 text, `2026-01-01T00:00:00Z`. The wall time is taken as written, whatever the offset.
    ///
    /// # Errors
    /// Text that is not a date and time with an offset.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::input(format!("`{text}` is not a time")).with_hint("write RFC 3339, such as 2026-01-01T00:00:00Z")
        };
        let pieces = jiff::fmt::temporal::Pieces::parse(text).map_err(|error| wrong().caused_by(error))?;
        match (pieces.time(), pieces.offset()) {
            (Some(time), Some(_)) => Ok(Self(DateTime::from_parts(pieces.date(), time))),
            _ => Err(wrong()),
        }
    }

    /// Formats as Python's `datetime.strftime` does on Linux in the C locale: every directive of C99 plus `%f`, glibc's
    /// `%e %k %l %P %s` and its flags `-`, `_`, `0`, `^`, `#`. Unknown directives stay as they are.
    pub fn strftime(&self, format: &str) -> String {
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let start = chars.as_str();
            let (mut flag, mut upper) = (None, false);
            let mut directive = chars.next();
            while let Some(f @ ('-' | '_' | '0' | '^' | '#')) = directive {
                if f == '^' || f == '#' {
                    upper = true
                } else {
                    flag = Some(f)
                }
                directive = chars.next();
            }
            let expanded = directive.and_then(|directive| self.expand(directive, flag));
            match expanded {
                Some(text) if upper => out.push_str(&text.to_uppercase()),
                Some(text) => out.push_str(&text),
                None => {
                    out.push('%');
                    out.push_str(&start[..start.len() - chars.as_str().len()]);
                }
            }
        }
        out
    }

    fn expand(&self, directive: char, flag: Option<char>) -> Option<String> {
        let t = &self.0;
        let (weekday, day_of_year) = (t.weekday(), i64::from(t.day_of_year()));
        let from_sunday = i64::from(weekday.to_sunday_zero_offset());
        let from_monday = i64::from(weekday.to_monday_zero_offset());
        let hour12 = i64::from((t.hour() + 11) % 12 + 1);
        let day_name = DAYS.get(from_sunday as usize).copied().unwrap_or_default();
        let month_name = MONTHS.get(t.month() as usize - 1).copied().unwrap_or_default();
        let number = |value: i64, width: usize, pad: char| {
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = match flag.unwrap_or(pad) {
                '-' => write!(text, "{value}"),
                '_' => write!(text, "{value:>width$}"),
                _ => write!(text, "{value:0>width$}"),
            };
            Some(text)
        };
        let iso = t.date().iso_week_date();
        match directive {
            'a' => Some(day_name[..3].into()),
            'A' => Some(day_name.into()),
            'b' | 'h' => Some(month_name[..3].into()),
            'B' => Some(month_name.into()),
            'c' => Some(self.strftime("%a %b %e %H:%M:%S %Y")),
            'C' => number(i64::from(t.year()) / 100, 2, '0'),
            'd' => number(t.day().into(), 2, '0'),
            'D' | 'x' => Some(self.strftime("%m/%d/%y")),
            'e' => number(t.day().into(), 2, '_'),
            'f' => Some(format!("{:06}", t.subsec_nanosecond() / 1000)),
            'F' => Some(self.strftime("%Y-%m-%d")),
            'g' => number(i64::from(iso.year()).rem_euclid(100), 2, '0'),
            'G' => number(iso.year().into(), 4, '0'),
            'H' => number(t.hour().into(), 2, '0'),
            'I' => number(hour12, 2, '0'),
            'j' => number(day_of_year, 3, '0'),
            'k' => number(t.hour().into(), 2, '_'),
            'l' => number(hour12, 2, '_'),
            'm' => number(t.month().into(), 2, '0'),
            'M' => number(t.minute().into(), 2, '0'),
            'n' => Some("\n".into()),
            'p' => Some(if t.hour() < 12 { "AM" } else { "PM" }.into()),
            'P' => Some(if t.hour() < 12 { "am" } else { "pm" }.into()),
            'r' => Some(self.strftime("%I:%M:%S %p")),
            'R' => Some(self.strftime("%H:%M")),
            's' => t.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_second().to_string()),
            'S' => number(t.second().into(), 2, '0'),
            't' => Some("\t".into()),
            'T' | 'X' => Some(self.strftime("%H:%M:%S")),
            'u' => Some((if weekday == Weekday::Sunday { 7 } else { from_sunday }).to_string()),
            'U' => number((day_of_year + 6 - from_sunday) / 7, 2, '0'),
            'V' => number(iso.week().into(), 2, '0'),
            'w' => Some(from_sunday.to_string()),
            'W' => number((day_of_year + 6 - from_monday) / 7, 2, '0'),
            'y' => number(i64::from(t.year()).rem_euclid(100), 2, '0'),
            // Python does not pad the year on Linux before 3.13 and does since; years of four digits agree.
            'Y' => number(t.year().into(), 4, '0'),
            'z' | 'Z' => Some(String::new()),
            '%' => Some("%".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc3339_only() {
        let clock = Clock::parse("2024-07-26T13:05:09.25+02:00").expect("a clock");
        assert_eq!(clock.strftime("%Y-%m-%d %H:%M:%S.%f"), "2024-07-26 13:05:09.250000");
        assert_eq!(Clock::parse("2026-01-01T00:00:00Z").expect("a clock"), Clock::default());
        for wrong in ["", "yesterday", "2024-07-26", "2024-07-26T00:00:00", "2024-13-01T00:00:00Z"] {
            assert!(Clock::parse(wrong).expect_err(wrong).hint().is_some());
        }
    }

    #[test]
    fn formats_as_python_does() {
        // Expected by CPython 3.11 on Linux for datetime(2024, 7, 6, 0, 5, 9, 42).
        let clock = Clock(DateTime::constant(2024, 7, 6, 0, 5, 9, 42_000));
        let table = [
            ("%d %b %Y", "06 Jul 2024"),
            ("%-d %B %y|%_d|%e|%^a|%#b", "6 July 24| 6| 6|SAT|JUL"),
            ("%A %w %u %j %U %W %V %G %g", "Saturday 6 6 188 26 27 27 2024 24"),
            ("%I:%M:%S %p %P %k %l %-I", "12:05:09 AM am  0 12 12"),
            (
                "%c|%x|%X|%D|%F|%R|%r|%T",
                "Sat Jul  6 00:05:09 2024|07/06/24|00:05:09|07/06/24|2024-07-06|00:05|12:05:09 AM|00:05:09",
            ),
            ("%f %% %z%Z %C %h %n%t", "000042 %  20 Jul \n\t"),
            ("%Q %", "%Q %"),
            ("日 %m", "日 07"),
        ];
        for (format, expected) in table {
            assert_eq!(clock.strftime(format), expected, "{format}");
        }
        let sunday = Clock(DateTime::constant(2023, 1, 1, 23, 0, 0, 0));
        assert_eq!(sunday.strftime("%u %w %U %W %V %G %j %I%p"), "7 0 01 00 52 2022 001 11PM");
    }
}
