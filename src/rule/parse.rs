//! Text to [`Expression`]: words, then a parser that goes down the grammar.

use super::expression::{Change, Expression, Sign, Term, Window};
use super::metric::Figure;
use super::{OUTCOME_RATES, Operational};
use crate::error::{Error, Result, nearest};

/// Expressions nest no deeper: each level is a level of the parser's own stack.
const DEEPEST: usize = 64;

/// A word or a sign, and the column at which it starts (from 1, in characters).
#[derive(Clone, Copy, Debug)]
struct Word<'a> {
    text: &'a str,
    column: usize,
}

struct Parser<'a> {
    text: &'a str,
    words: Vec<Word<'a>>,
    at: usize,
    depth: usize,
}

pub(super) fn expression(text: &str) -> Result<Expression> {
    let mut parser = Parser { text, words: words(text), at: 0, depth: 0 };
    let found = parser.any()?;
    match parser.peek() {
        None => Ok(found),
        Some(_) => Err(parser.expected("`and`, `or` or the end")),
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let part_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '%' | '+');
    let mut words = Vec::new();
    let mut chars = text.char_indices().enumerate().peekable();
    while let Some((column, (start, c))) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        let mut end = start + c.len_utf8();
        let more = |next: char| match c {
            '>' | '<' => next == '=',
            _ if part_of_word(c) => part_of_word(next),
            _ => false,
        };
        while let Some((_, (at, next))) = chars.next_if(|(_, (_, next))| more(*next)) {
            end = at + next.len_utf8();
            // Nothing stands behind a percent sign, nor behind the second part of a sign.
            if matches!(c, '>' | '<') || next == '%' {
                break;
            }
        }
        words.push(Word { text: &text[start..end], column: column + 1 });
    }
    words
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Word<'a>> {
        self.words.get(self.at).copied()
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text.eq_ignore_ascii_case(text));
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> Error {
        let (found, column) = match self.peek() {
            Some(word) => (format!("`{}`", word.text), word.column),
            None => ("the end".to_owned(), self.text.chars().count() + 1),
        };
        let message = format!("the expression has {found} at column {column} where {what} was expected");
        Error::input(message)
            .with_hint("write it like `danger.toxicity.fail_rate > 0.5% over 10m or golden.close.mean drop > 0.1`")
    }

    fn any(&mut self) -> Result<Expression> {
        self.list("or", Self::all, Expression::Or)
    }

    fn all(&mut self) -> Result<Expression> {
        self.list("and", Self::one, Expression::And)
    }

    fn list(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expression>,
        joined: fn(Vec<Expression>) -> Expression,
    ) -> Result<Expression> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.take(word) {
            parts.push(part(self)?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => joined(parts),
        })
    }

    fn one(&mut self) -> Result<Expression> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Error::input(format!("the expression nests deeper than {DEEPEST} levels")));
        }
        let found = if self.take("not") {
            Expression::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let found = self.any()?;
            if !self.take(")") {
                return Err(self.expected("`)`"));
            }
            found
        } else {
            Expression::Term(self.term()?)
        };
        self.depth -= 1;
        Ok(found)
    }

    fn term(&mut self) -> Result<Term> {
        let (figure, failing) = self.figure()?;
        let change = match (self.take("drop"), self.take("rise")) {
            (true, _) => Some(Change::Drop),
            (_, true) => Some(Change::Rise),
            _ => None,
        };
        let signs = [(">=", Sign::AtLeast), ("<=", Sign::AtMost), (">", Sign::Above), ("<", Sign::Below)];
        let Some((_, sign)) = signs.into_iter().find(|(text, _)| self.take(text)) else {
            return Err(self.expected("`>`, `>=`, `<`, `<=`, `drop` or `rise`"));
        };
        let limit = self.number()?;
        let window = if self.take("over") { Some(self.window()?) } else { None };
        if let (Some(_), true) = (window, change.is_some() || matches!(figure, Figure::Operational(_))) {
            let message = format!("the expression asks for `{figure}` over a time, which is not possible here");
            return Err(Error::input(message)
                .with_hint("windows are of scores of one run: no `drop`, no `rise`, no `performance`"));
        }
        Ok(Term { figure, failing, change, sign, limit, window })
    }

    /// The figure as gates spell it, and whether its failing share is meant.
    fn figure(&mut self) -> Result<(Figure, bool)> {
        let Some(word) = self.peek().filter(|word| word.text.starts_with(|c: char| c.is_alphanumeric())) else {
            return Err(self.expected("a metric"));
        };
        let name = word.text;
        let reserved = ["and", "or", "not", "drop", "rise", "over"];
        if reserved.contains(&name) || name.contains(['%', '+']) || !name.contains('.') {
            return Err(self.expected("a metric"));
        }
        self.at += 1;
        if let Some(figure) = Operational::parse(name)? {
            return Ok((Figure::Operational(figure), false));
        }
        if name.rsplit_once('.').is_some_and(|(_, last)| OUTCOME_RATES.contains(&last)) {
            return Ok((Figure::parse(name)?, false));
        }
        let statistics = [("fail_rate", true), ("rate", true), ("pass_rate", false), ("mean", false)];
        let Some((path, statistic)) = name.rsplit_once('.').filter(|(path, _)| path.contains('.')) else {
            let message =
                format!("the expression is wrong at column {}: the metric `{name}` has no statistic", word.column);
            return Err(Error::input(message).with_hint(format!("write {name}.fail_rate, .pass_rate or .mean")));
        };
        match statistics.into_iter().find(|(known, _)| *known == statistic) {
            Some((_, true)) => Ok((Figure::parse(&format!("{path}.pass_rate"))?, true)),
            Some((_, false)) => Ok((Figure::parse(name)?, false)),
            None => {
                let message =
                    format!("the expression is wrong at column {}: there is no statistic `{statistic}`", word.column);
                Err(Error::input(message).with_hint(nearest(statistic, statistics.map(|(known, _)| known))))
            }
        }
    }

    /// A number, as a share where `%` stands behind it.
    fn number(&mut self) -> Result<f64> {
        let text = self.peek().map_or("", |word| word.text);
        let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
        let plain = digits.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
        let number = digits.parse::<f64>().ok().filter(|number| plain && number.is_finite());
        let Some(number) = number else { return Err(self.expected("a number")) };
        self.at += 1;
        Ok(number / scale)
    }

    fn window(&mut self) -> Result<Window> {
        let text = self.peek().map_or("", |word| word.text);
        let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
        let split = text.char_indices().next_back().and_then(|(at, unit)| {
            let (_, seconds) = units.into_iter().find(|(name, _)| *name == unit)?;
            text[..at].parse::<u64>().ok()?.checked_mul(seconds)
        });
        let Some(seconds) = split.filter(|seconds| *seconds > 0) else {
            return Err(self.expected("a time like `30s`, `10m`, `2h` or `1d`"));
        };
        self.at += 1;
        let mut at_least = 1;
        if self.take("at") {
            if !self.take("least") {
                return Err(self.expected("`least`"));
            }
            let count = self.peek().and_then(|word| word.text.parse::<u64>().ok()).filter(|count| *count > 0);
            let Some(count) = count else { return Err(self.expected("a number of cases")) };
            self.at += 1;
            if !self.take("cases") && !self.take("case") {
                return Err(self.expected("`cases`"));
            }
            at_least = count;
        }
        Ok(Window { seconds, at_least })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
        let error = expression(text).unwrap_err();
        format!("{}; {}", error.message(), error.hint().unwrap_or("-"))
    }

    #[test]
    fn rollback_rules() {
        let text = "danger.toxicity.rate > 0.005 over 10m or golden.similarity.mean drop > 0.10";
        let parsed = expression(text).unwrap();
        let shown = "danger.toxicity.fail_rate > 0.005 over 10m or golden.similarity.mean drop > 0.1";
        assert_eq!(parsed.to_string(), shown);
        let [one, two] = parsed.terms()[..] else { panic!("{parsed:?}") };
        assert_eq!((one.figure.to_string().as_str(), one.failing), ("danger.toxicity.pass_rate", true));
        assert_eq!(one.window, Some(Window { seconds: 600, at_least: 1 }));
        assert_eq!((two.change, two.limit), (Some(Change::Drop), 0.1));
        for (text, shown) in [
            ("a.b.mean>=5%and not(c.d.pass_rate<1)", "a.b.mean >= 0.05 and not c.d.pass_rate < 1"),
            ("NOT NOT a.b.mean > -1", "not not a.b.mean > -1"),
            ("a.b.mean > 1 and (c.d.mean > 1 or e.f.mean > 1)", "a.b.mean > 1 and (c.d.mean > 1 or e.f.mean > 1)"),
            (
                "performance.total.p95 > 2.5 or performance.cost rise > 1",
                "performance.total.p95 > 2.5 or performance.cost rise > 1",
            ),
            ("a.b.fail_rate > 1 over 90s at least 20 cases", "a.b.fail_rate > 1 over 90s at least 20 cases"),
        ] {
            assert_eq!(expression(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn errors_name_the_column() {
        let starts = |text, expected: &str| assert!(error(text).starts_with(expected), "{text}: {}", error(text));
        starts("", "the expression has the end at column 1 where a metric was expected");
        starts("a.b.mean > x", "the expression has `x` at column 12 where a number was expected");
        starts("a.b.mean > 1 andd", "the expression has `andd` at column 14 where `and`, `or` or the end was expected");
        starts("a.b.mean 1", "the expression has `1` at column 10 where `>`");
        starts("(a.b.mean > 1", "the expression has the end at column 14 where `)` was expected");
        starts("ä.b.mean > 1 over 10x", "the expression has `10x` at column 19 where a time like");
        starts("a.b.mean > 1 over 0m", "the expression has `0m` at column 19");
        starts("a.b.mean > nan", "the expression has `nan` at column 12");
        starts("a.b.mean drop > 1 over 1m", "the expression asks for `a.b.mean` over a time");
        assert_eq!(
            error("a.b.maen > 1"),
            "the expression is wrong at column 1: there is no statistic `maen`; did you mean `mean`?"
        );
        assert!(error("a.b > 1").ends_with("write a.b.fail_rate, .pass_rate or .mean"));
        assert!(error(&"(".repeat(100_000)).contains("nests deeper"));
    }

    fn term() -> impl Strategy<Value = Expression> {
        let metric =
            prop_oneof!["[a-d]{1,3}\\.[e-h]{1,3}\\.(mean|pass_rate)", Just("performance.total.p95".to_owned())];
        let change = prop_oneof![Just(None), Just(Some(Change::Drop)), Just(Some(Change::Rise))];
        let sign = prop_oneof![Just(Sign::Above), Just(Sign::AtLeast), Just(Sign::Below), Just(Sign::AtMost)];
        let window = proptest::option::of((1..100_000u64, 1..50u64));
        (metric, any::<bool>(), change, sign, -1e6..1e6f64, window).prop_map(
            |(metric, failing, change, sign, limit, window)| {
                let failing = failing && metric.ends_with(".pass_rate");
                let figure = Figure::parse(&metric).expect("a figure");
                let window = window.filter(|_| change.is_none() && !metric.starts_with("performance"));
                let window = window.map(|(seconds, at_least)| Window { seconds, at_least });
                Expression::Term(Term { figure, failing, change, sign, limit, window })
            },
        )
    }

    fn tree() -> impl Strategy<Value = Expression> {
        term().prop_recursive(4, 24, 3, |inner| {
            let some = proptest::collection::vec(inner.clone(), 2..4);
            prop_oneof![
                some.clone().prop_map(Expression::Or),
                some.prop_map(Expression::And),
                inner.prop_map(|part| Expression::Not(Box::new(part))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tree in tree()) {
            prop_assert_eq!(expression(&tree.to_string()).unwrap(), tree);
        }

        #[test]
        fn nonsense_is_refused_without_panic(text in "\\PC{0,60}") {
            let _ = expression(&text);
        }
    }
}
