//! Where a text speaks of numbers, and which of these places are one number.
//!
//! A place is one number with its sign, currency and unit, or several digits that say something else together: a fraction, a date,
//! a time, a range, a list, a sum that nobody added up, a version, a power. Of the latter no part is a number. Digits inside a word
//! (`H2O`, `GPT-4`), in an index (`x_1`) or in an exponent of a letter (`m^2`) are no place at all. `50%` is 50, `3 million` is
//! 3000000; spelled numbers are not understood. Texts come folded (`fold`).

use super::digits::{self, Decimal, Digits, is_minus, run};
use super::number::Number;
use super::numeral_gap::{is_equation, joins};
use super::numeral_head::{is_negated, takes};
use super::numeral_lines::join_lines;
use super::numeral_tail::{behind_markup, braced, extends, is_factorial, ordinal, scientific};
use super::numeral_words::{
    CODES, FAR, MACROS, POWERS, end_of, is_currency, is_factor, is_month, is_term, is_unspaced, last_word, scale, word,
};

/// A place where a text speaks of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The number; none where it is not one.
    pub number: Option<Number>,
    /// What stands there.
    pub text: &'a str,
    /// Where it begins in the whole text.
    pub start: usize,
    /// Whether a point groups its thousands that others read as the start of decimals: `1.234`.
    pub ambiguous: bool,
    /// Whether an equals sign between this place and the one before says that they are equal.
    equals: bool,
}

/// All places of a text in order.
pub(super) fn places(text: &str, decimal: Decimal) -> Vec<Place<'_>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    let addresses = ["://", "www.", "&#"].iter().any(|sign| text.contains(sign));
    while let Some(offset) = text[at..].bytes().position(|byte| byte.is_ascii_digit()) {
        let digit = at + offset;
        let scan = Scan { text, decimal, from: at, addresses };
        match scan.piece(digit) {
            Ok(piece) => {
                at = piece.end;
                pieces.push(piece);
            }
            Err(end) => at = end,
        }
    }
    let mut places: Vec<Place<'_>> = Vec::with_capacity(pieces.len());
    let (mut start, mut end) = (0, 0);
    for (index, piece) in pieces.iter().enumerate() {
        let gap = text.get(end..piece.start).unwrap_or_default();
        let before = end_of(&text[..start], FAR);
        match places.last_mut() {
            Some(place) if index > 0 && joins(before, gap, &text[piece.end..]) => {
                place.number = None;
                place.text = &text[place.start..piece.end];
            }
            last => {
                let equals = last.is_some() && is_equation(gap);
                places.push(piece.place(text, equals));
            }
        }
        (start, end) = (piece.start, piece.end);
    }
    join_lines(text, &mut places);
    places
}

/// The place that counts: the first, or the last. Of an equation it is the side that is one number (`3 + 4 = 7`, `7 = 3 + 4`).
pub(super) fn deciding<'p, 'a>(places: &'p [Place<'a>], first: bool) -> Option<&'p Place<'a>> {
    if first {
        let mut at = 0;
        while places.get(at)?.number.is_none() && places.get(at + 1).is_some_and(|next| next.equals) {
            at += 1;
        }
        return places.get(at);
    }
    let mut at = places.len().checked_sub(1)?;
    while places[at].number.is_none() && places[at].equals && at > 0 {
        at -= 1;
    }
    places.get(at)
}

/// One run of digits and what belongs to it.
struct Piece {
    start: usize,
    /// Behind its unit.
    end: usize,
    /// Behind what is shown of it: without a unit.
    shown: usize,
    value: Option<Value>,
}

struct Value {
    negative: bool,
    digits: Digits,
    exponent: i64,
}

impl Piece {
    fn place<'a>(&self, text: &'a str, equals: bool) -> Place<'a> {
        let number = self.value.as_ref().map(|Value { negative, digits, exponent }| {
            Number::new(*negative, &text[digits.start..digits.whole], &text[digits.decimals..digits.end], *exponent)
        });
        let ambiguous = self.value.as_ref().is_some_and(|Value { digits, .. }| {
            let points = text[digits.start..digits.whole].matches('.').count();
            digits.separator == "." && points == 1 && digits.decimals == digits.end
        });
        let end = if self.value.is_some() { self.shown } else { self.end };
        Place { number, text: text[self.start..end].trim(), start: self.start, ambiguous, equals }
    }
}

/// What stands before digits.
enum Before {
    /// They are part of a word, an index, an exponent or an address.
    Word,
    /// They are part of something that is not one number and begins here.
    Part(usize),
    /// They may be a number that begins here.
    Number { start: usize, negative: bool },
}

/// What stands behind digits.
enum Behind {
    /// A unit or nothing, up to `end`; the number is to be multiplied by this power of ten and shown up to `shown`.
    Unit { end: usize, shown: usize, power: i64 },
    /// Something that makes more or less of the number, up to here.
    Part(usize),
}

/// Looks around digits.
struct Scan<'a> {
    text: &'a str,
    decimal: Decimal,
    /// Where the last piece or word ended.
    from: usize,
    /// Whether the text holds addresses at all.
    addresses: bool,
}

impl Scan<'_> {
    /// The piece whose first digit stands at `digit`; where to go on, if there is none.
    fn piece(&self, digit: usize) -> Result<Piece, usize> {
        let text = self.text;
        let (start, digits) = match self.mark(digit) {
            Some(start) => (start, Digits::bare(text, digit)),
            None => (digit, Digits::read(text, digit, self.decimal)),
        };
        let (start, negative, part) = match self.before(start) {
            Before::Word => return Err(word_end(text, digit)),
            Before::Part(start) => (start, false, true),
            Before::Number { start, negative } => {
                let head = &text[..start];
                (
                    start,
                    negative,
                    takes(head) || (!negative && is_negated(head)) || is_enclosed(head, &text[digits.end..]),
                )
            }
        };
        Ok(match self.behind(&digits) {
            Behind::Unit { end, shown, power } if !part && !self.is_dated(&digits) => {
                Piece { start, end, shown, value: Some(Value { negative, digits, exponent: power }) }
            }
            Behind::Unit { end, .. } | Behind::Part(end) => Piece { start, end, shown: end, value: None },
        })
    }

    /// Where the sign of decimals without a whole part stands, `.5`.
    fn mark(&self, digit: usize) -> Option<usize> {
        let before = self.text[self.from..digit].strip_suffix(self.decimal.mark())?;
        let previous = self.text[..self.from + before.len()].chars().next_back();
        let alone = match self.decimal {
            Decimal::Point => previous.is_none_or(|c| !(is_term(Some(c)) || c == '.')),
            Decimal::Comma => {
                previous.is_none_or(|c| c.is_whitespace() || matches!(c, '=' | ':' | '(') || is_currency(c))
            }
        };
        alone.then_some(self.from + before.len())
    }

    fn before(&self, start: usize) -> Before {
        let (text, head) = (self.text, &self.text[self.from..start]);
        if self.addresses && is_address(&text[..start]) {
            return Before::Word;
        }
        if head.ends_with("<sup>") || head.ends_with("<sub>") {
            return Before::Part(start);
        }
        // Exponents of letters, and indices; an exponent of digits belongs to their piece.
        let base = head.trim_end_matches(|c: char| matches!(c, '{' | '(' | '+') || is_minus(c));
        if let Some(base) = base.strip_suffix('^') {
            let base = &text[..self.from + base.len()];
            let letter = base.ends_with(char::is_alphabetic) || is_text_unit(base);
            return if letter { Before::Word } else { Before::Part(start) };
        }
        let base = head.strip_suffix('{').unwrap_or(head).strip_suffix('_');
        if base.is_some_and(|base| is_term(text[..self.from + base.len()].chars().next_back())) {
            return Before::Word;
        }
        if head.ends_with(|c: char| c.is_alphabetic() && !is_unspaced(c)) {
            let factor = self.from > 0 && matches!(head.trim_start_matches(' '), "x" | "X");
            return if factor { Before::Part(start) } else { glued(head, start) };
        }
        // `file.5`, but `No.5`.
        if let Some(name) = head.strip_suffix('.').map(last_word).filter(|name| !name.is_empty()) {
            let number = ["no", "nr"].iter().any(|short| name.eq_ignore_ascii_case(short));
            return if number { Before::Number { start, negative: false } } else { Before::Word };
        }
        self.signed(head)
    }

    /// The signs and the currency before digits.
    fn signed(&self, head: &str) -> Before {
        let (rest, behind) = without_sign(head);
        let (rest, currency) = without_currency(rest, behind.is_none());
        let (rest, before) = if currency && behind.is_none() { without_sign(rest) } else { (rest, None) };
        let start = self.from + rest.len();
        let Some(sign) = before.or(behind) else { return self.operated(start) };
        let previous = self.text[..start].chars().next_back();
        // A sign behind the currency stands right before the digits.
        let bare = if before.is_some() { start + sign.len_utf8() } else { self.from + head.len() };
        let unsigned = Before::Number { start: bare, negative: false };
        match previous {
            // `+/-5`, `+-5`.
            Some(sign @ ('+' | '/' | '±')) => Before::Part(start - sign.len_utf8()),
            // `US$-5`, `$$-5$$`.
            Some(c) if (c.is_alphabetic() || is_currency(c)) && currency && before.is_none() => {
                Before::Number { start, negative: is_minus(sign) }
            }
            // `GPT-4`, `covid-19`; `x-3` and `a+3` are expressions.
            Some(letter) if letter.is_alphabetic() && !is_unspaced(letter) => {
                let variable = letter.is_lowercase() && last_word(&self.text[..start]).len() == 1;
                if variable || !matches!(sign, '-' | '\u{2010}'..='\u{2013}') {
                    Before::Part(start)
                } else {
                    Before::Word
                }
            }
            // `10-3`, `(2)-3`, `50%-60%`.
            Some(term)
                if is_term(Some(term)) && !is_unspaced(term) || matches!(term, '%' | '°') || is_currency(term) =>
            {
                unsigned
            }
            _ if start == self.from && start > 0 => unsigned,
            _ => Before::Number { start, negative: is_minus(sign) },
        }
    }

    /// What stands before digits, or their currency, that have no sign: nothing, or what they are a part of.
    fn operated(&self, start: usize) -> Before {
        let spaced = self.text[..start].trim_end_matches(' ');
        let tight = spaced.len() == start;
        let number = Before::Number { start, negative: false };
        let near = end_of(spaced, FAR);
        let macros = || ["\\pm", "\\mp", "\\sqrt"].iter().any(|name| near.trim_end_matches('{').ends_with(name));
        let argument = || match near.trim_end_matches('{') {
            first if first.len() == near.len() => false,
            first if first.ends_with('}') => MACROS.iter().any(|name| first.contains(&format!("\\{name}{{"))),
            first => first.rfind('\\').is_some_and(|at| MACROS.contains(&&first[at + 1..])),
        };
        if macros() || argument() || near.ends_with("sqrt(") {
            let name = near.rfind('\\').map_or(start, |at| spaced.len() - near.len() + at);
            return Before::Part(name.clamp(self.from.min(start), start));
        }
        let Some(last) = spaced.chars().next_back() else { return number };
        let before = &spaced[..spaced.len() - last.len_utf8()];
        let apart = before.trim_end_matches(' ');
        let previous = apart.chars().next_back();
        match last {
            '±' | '√' | '∛' | '∜' => Before::Part(before.len().max(self.from)),
            // `x/2`, `x + 3`; a star may be a mark of Markdown, and a slash that of a folder.
            '/' | '÷' | '\u{2044}' if tight && is_term(before.chars().next_back()) => {
                Before::Part(before.len().max(self.from))
            }
            '+' | '×' | '·' | '⋅' if is_term(previous) => Before::Part(before.len().max(self.from)),
            // `= - 5`: a minus with space behind it is one where nothing stands before it that it could be taken from.
            minus if is_minus(minus) && !tight && previous.is_some_and(|c| matches!(c, '=' | ':' | '(' | '≈')) => {
                Before::Number { start: before.len().max(self.from), negative: true }
            }
            _ => number,
        }
    }

    /// What belongs to digits from behind.
    fn behind(&self, digits: &Digits) -> Behind {
        let text = self.text;
        let mut end = digits.end;
        let money = text[..digits.start].trim_end_matches(' ').ends_with(is_currency);
        if is_factorial(&text[..digits.start], &text[end..]) {
            return Behind::Part(end + 1);
        }
        if let Some((power, length)) = digits::exponent(&text[end..]).or_else(|| scientific(&text[end..])) {
            return self.unit(end + length, power, money);
        }
        let rest = &text[end..];
        let raised =
            rest.strip_prefix("**").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || is_minus(c)));
        let bold = text[..digits.start].ends_with("**");
        if let Some(exponent) = rest.strip_prefix('^').or(raised.filter(|_| !bold)) {
            return self.raised(digits, exponent, money);
        }
        if rest.starts_with("\\%") {
            end += 1;
        }
        self.unit(end, 0, money)
    }

    /// What is raised behind digits: an exponent, or the mark of an ordinal or of degrees.
    fn raised(&self, digits: &Digits, exponent: &str, money: bool) -> Behind {
        let text = self.text;
        let from = text.len() - exponent.len();
        let power = braced(exponent).and_then(|(inside, length)| {
            let (power, used) = digits::integer(inside)?;
            (used == inside.len()).then_some((power, length))
        });
        if let Some(length) = ordinal(exponent) {
            return self.unit(from + length, 0, money);
        }
        let ten = &text[digits.start..digits.end] == "10";
        match power {
            // 10^3 is written 1·10^3.
            Some((power, length)) if ten => self.unit(from + length, power - 1, money),
            Some((_, length)) => Behind::Part(from + length),
            None => {
                let length = braced(exponent).map_or(0, |(_, length)| length);
                Behind::Part(from + length.max(word(exponent).len()))
            }
        }
    }

    /// The unit behind a number that ends at `shown`, and words that multiply it.
    fn unit(&self, shown: usize, mut power: i64, money: bool) -> Behind {
        let text = self.text;
        let (mut end, mut shown) = (shown, shown);
        while let Some(mark) = text[end..].chars().next().filter(|c| matches!(c, '%' | '‰' | '°')) {
            end += mark.len_utf8();
        }
        let letters = word(&text[end..]);
        if !letters.is_empty() && scale(letters).is_none() {
            return self.attached(end, shown, power, money);
        }
        // Scales, one behind the other: `3 hundred thousand`.
        loop {
            let spaces = text[end..].len() - text[end..].trim_start_matches([' ', '-']).len();
            let next = word(&text[end + spaces..]);
            let Some(more) = scale(next).filter(|_| spaces <= 1) else { break };
            // In languages with a decimal comma a billion is a thousand times that of English.
            if self.decimal == Decimal::Comma && more > 6 && more != 7 {
                return Behind::Part(end + spaces + next.len());
            }
            power += more;
            end += spaces + next.len();
            shown = end;
        }
        match extends(&text[end..], money).or_else(|| behind_markup(&text[end..])) {
            Some(length) => Behind::Part(end + length),
            None => Behind::Unit { end, shown, power },
        }
    }

    /// The letters that touch a number: a unit, a variable or a magnitude.
    fn attached(&self, end: usize, shown: usize, power: i64, money: bool) -> Behind {
        let text = self.text;
        let letters = word(&text[end..]);
        let behind = &text[end + letters.len()..];
        let length = run(behind);
        let square = length == 1 && behind.starts_with(['2', '3']) && !behind[1..].starts_with(char::is_alphanumeric);
        let known = POWERS.contains(&letters);
        let clock = matches!(letters, "a" | "p" | "A" | "P") && behind.starts_with(".m");
        // `1990s` are ten years, `5s` are seconds.
        let decade = letters == "s"
            && text[..end].ends_with('0')
            && text[..end].bytes().rev().take_while(u8::is_ascii_digit).count() == 4;
        if decade
            || letters.starts_with('π')
            || is_factor(letters, money)
            || clock
            || (length > 0 && !(known && square))
        {
            let more = behind.find(|c: char| !c.is_alphanumeric()).unwrap_or(behind.len());
            return Behind::Part(end + letters.len() + more);
        }
        if behind.starts_with('^') && !known {
            return Behind::Part(end + letters.len());
        }
        Behind::Unit { end: end + letters.len() + if square { 1 } else { 0 }, shown, power }
    }

    /// Whether the name of a month stands beside digits that could be its day or its year.
    fn is_dated(&self, digits: &Digits) -> bool {
        let plain = &self.text[digits.start..digits.end];
        if plain.len() > 4 || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        let head = &self.text[..digits.start];
        let before = head.trim_end_matches([' ', '.', ',']);
        let before = before.strip_suffix(" of").unwrap_or(before);
        let near = (1..=5).contains(&(head.len() - before.len()));
        let tail = &self.text[digits.end..];
        let tail = ["st", "nd", "rd", "th"].into_iter().find_map(|ending| tail.strip_prefix(ending)).unwrap_or(tail);
        let tail = tail.strip_prefix('.').unwrap_or(tail);
        let tail = tail.strip_prefix(" of").unwrap_or(tail);
        (near && is_month(last_word(before))) || tail.strip_prefix([' ', '-']).is_some_and(|tail| is_month(word(tail)))
    }
}

/// Where a word ends that has a digit at `at`: what hangs together by points, hyphens and the like is one (`GPT-4.5`, `v1.2.3`).
fn word_end(text: &str, at: usize) -> usize {
    let mut rest = text[at..].char_indices().peekable();
    while let Some((offset, c)) = rest.next() {
        let joint = matches!(c, '.' | ',' | '-' | '/' | '_' | '\'' | ':' | '@' | '{' | '}' | '&' | '%' | '?' | '#');
        let goes_on = rest.peek().is_some_and(|(_, next)| next.is_alphanumeric());
        if !(c.is_alphanumeric() && !is_unspaced(c) || joint && goes_on) {
            return at + offset;
        }
    }
    text.len()
}

/// Whether a text ends with a unit in a macro for text: `5\text{ cm}^2`.
fn is_text_unit(base: &str) -> bool {
    let Some((before, unit)) = base.strip_suffix('}').and_then(|open| end_of(open, FAR).rsplit_once('{')) else {
        return false;
    };
    let text = ["\\text", "\\mathrm", "\\mbox", "\\textrm", "\\rm"].iter().any(|name| before.ends_with(name));
    text && unit.ends_with(char::is_alphabetic)
}

/// Whether bars stand around digits and around nothing else in their line: `|-5|` is 5, a row of a table has three.
fn is_enclosed(head: &str, tail: &str) -> bool {
    let left = head.rsplit('\n').next().unwrap_or_default();
    left.ends_with('|') && tail.starts_with('|') && {
        let right = tail.split('\n').next().unwrap_or_default();
        left.matches('|').count() + right.matches('|').count() == 2
    }
}

/// Whether a text ends within the address of a page, or a character reference of HTML.
fn is_address(text: &str) -> bool {
    let near = end_of(text, 4 * FAR);
    let token = near.rsplit(char::is_whitespace).next().unwrap_or_default();
    token.contains("://") || token.starts_with("www.") || token.ends_with("&#")
}

/// Digits that touch the letter at the end of `head`.
fn glued(head: &str, start: usize) -> Before {
    let word = last_word(head);
    if head[..head.len() - word.len()].ends_with('\\') {
        return if MACROS.contains(&word) { Before::Part(start) } else { Before::Number { start, negative: false } };
    }
    if CODES.iter().any(|code| word.eq_ignore_ascii_case(code)) {
        Before::Number { start, negative: false }
    } else {
        Before::Word
    }
}

fn without_sign(head: &str) -> (&str, Option<char>) {
    match head.chars().next_back().filter(|c| *c == '+' || is_minus(*c)) {
        Some(sign) => (&head[..head.len() - sign.len_utf8()], Some(sign)),
        None => (head, None),
    }
}

/// What stands before a currency, and whether there is one; spaces may stand behind it.
fn without_currency(head: &str, spaces: bool) -> (&str, bool) {
    let trimmed = if spaces { head.trim_end_matches(' ') } else { head };
    match trimmed.chars().next_back().filter(|c| is_currency(*c)) {
        Some(sign) => {
            let rest = &trimmed[..trimmed.len() - sign.len_utf8()];
            (rest.strip_suffix('\\').unwrap_or(rest), true)
        }
        None => (head, false),
    }
}
