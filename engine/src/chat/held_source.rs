//! Where a template's source gets the filters and calls of [`crate::chat::held`]. Lines stay what they are; comments, raw blocks, strings
//! and plain text are not touched. What cannot be parsed is left to minijinja, which says so.

use std::ops::Range;

use super::syntax::{code_end, raw_end};

/// Looks at an operand of `~` or `+`.
pub(super) const OPERAND: &str = "karat_operand";
/// Looks at the left operand of `*`.
pub(super) const LEFT_FACTOR: &str = "karat_left_factor";
/// The same where it is a product itself.
pub(super) const PRODUCT_FACTOR: &str = "karat_product_factor";
/// Looks at the right operand of `*`.
pub(super) const RIGHT_FACTOR: &str = "karat_right_factor";
/// Looks at an operand of a comparison or of `in`.
pub(super) const COMPARED: &str = "karat_compared";
/// Looks at texts that are indexed, and at keys.
pub(super) const SEEN: &str = "karat_seen";
/// Takes the place of a slice.
pub(super) const SLICE: &str = "karat_slice";
/// Looks at what a namespace gets.
pub(super) const KEPT: &str = "karat_kept";
/// Counts the passes of loops.
pub(super) const TICK: &str = "karat_tick";

/// How deep brackets stand in each other.
const BRACKETS: usize = 60;
/// Tokens in one tag, brackets and what is between them: the parser goes down a level for a sign before a sign and one operator behind
/// another, on a stack that is small.
const TOKENS: usize = 2000;
/// Branches of all conditions: `elif` stands within the one before.
const BRANCHES: usize = 400;

/// Words that end no operand.
const WORDS: [&str; 17] = [
    "if",
    "elif",
    "else",
    "in",
    "not",
    "and",
    "or",
    "is",
    "for",
    "set",
    "with",
    "call",
    "do",
    "print",
    "filter",
    "recursive",
    "return",
];

/// The source with the filters and calls that hold a rendering to its bounds.
///
/// # Errors
/// Brackets that stand too deep in each other, a tag that is too long, too many branches.
pub fn bounded(source: &str) -> Result<String, String> {
    let mut inserts = Inserts(Vec::new());
    let (mut at, mut plain) = (0, 0);
    let (mut loops, mut branches) = (Vec::new(), 0);
    while let Some(open) = source[at..].find('{').map(|i| at + i) {
        plain += open - at;
        let rest = &source[open..];
        at = if rest.starts_with("{#") {
            rest.find("#}").map_or(source.len(), |end| open + end + 2)
        } else if rest.starts_with("{{") {
            let end = code_end(source, open + 2, "}}");
            inserts.code(source, code(source, open, end, "}}"))?;
            end
        } else if rest.starts_with("{%") {
            let end = code_end(source, open + 2, "%}");
            let inside = code(source, open, end, "%}");
            let name = source[inside.0..inside.1].split_whitespace().next().unwrap_or_default();
            if name == "raw" {
                let end = raw_end(source, end);
                plain += end - open;
                at = end;
                continue;
            }
            inserts.code(source, inside)?;
            branches += usize::from(name == "elif");
            if branches > BRANCHES {
                return Err(format!("it has more than {BRANCHES} times `elif`"));
            }
            if name == "set" {
                inserts.kept(source, inside);
            }
            if name == "for" && source[..end].ends_with("%}") {
                let mark = source[..end - 2].chars().next_back().filter(|mark| "-+".contains(*mark));
                loops.push((end, mark));
            }
            end
        } else {
            plain += 1;
            open + 1
        };
    }
    plain += source.len() - at.min(source.len());
    for (end, mark) in loops {
        let mark = mark.map(String::from).unwrap_or_default();
        inserts.put(end, format!("{{% do {TICK}({plain}) {mark}%}}"));
    }
    Ok(inserts.made(source))
}

/// Where code begins and ends between its marks.
fn code(source: &str, open: usize, end: usize, close: &str) -> (usize, usize) {
    let inside = &source[open + 2..end];
    let inside = inside.strip_suffix(close).unwrap_or(inside);
    let begin = open + 2 + usize::from(inside.starts_with(['-', '+']));
    let stop = open + 2 + inside.len() - usize::from(inside.ends_with(['-', '+']));
    (begin, stop.max(begin))
}

/// What to put where, in the place of so many bytes.
struct Inserts(Vec<(usize, usize, String)>);

impl Inserts {
    fn made(mut self, source: &str) -> String {
        self.0.sort_by_key(|(at, _, _)| *at);
        let (mut out, mut last) = (String::with_capacity(source.len() + 64 * self.0.len()), 0);
        for (at, bytes, text) in self.0 {
            out.push_str(&source[last..at]);
            out.push_str(&text);
            last = at + bytes;
        }
        out.push_str(&source[last..]);
        out
    }

    fn put(&mut self, at: usize, text: impl Into<String>) {
        self.0.push((at, 0, text.into()));
    }

    fn filter(&mut self, at: usize, name: &str) {
        self.put(at, format!("|{name}"));
    }

    /// Looks through code for operators with an operand on both sides, for slices and for indices.
    fn code(&mut self, source: &str, (begin, end): (usize, usize)) -> Result<(), String> {
        // The first `in` of a loop is no operator.
        let looped = source[begin..end].split_whitespace().next() == Some("for");
        let mut scan = Scan { looped, ..Scan::new(source, end) };
        let (mut at, mut tokens) = (begin, 0usize);
        while at < end {
            let next = token_end(source, at, end);
            if !source.as_bytes()[at].is_ascii_whitespace() {
                tokens += 1;
                if tokens > TOKENS {
                    return Err(format!("a tag has more than {TOKENS} names, numbers and signs"));
                }
                self.token(&mut scan, at..next)?;
            }
            at = next;
        }
        Ok(())
    }

    fn token(&mut self, scan: &mut Scan<'_>, token: Range<usize>) -> Result<(), String> {
        let (source, at) = (scan.source, token.start);
        let before = std::mem::take(&mut scan.before);
        match source.as_bytes()[at] {
            byte @ (b'(' | b'[' | b'{') => return scan.open(byte, at),
            b')' | b']' | b'}' => {
                let inside = scan.operand.take();
                let bracket = scan.brackets.pop();
                let begin = bracket.as_ref().map_or(Some(at), |bracket| match bracket.of {
                    Some(of) => of.begin,
                    None => Some(bracket.at),
                });
                if let Some(bracket) = bracket {
                    self.looked_up(source, &bracket, (at, inside));
                }
                scan.operand = Some(Operand { begin, end: token.end });
            }
            b'.' => scan.before = scan.operand.take().map_or(Before::Other, Before::Dot),
            b'|' => (scan.before, scan.operand) = (Before::Bar, None),
            b':' => {
                let key = scan.operand.take();
                match scan.brackets.last_mut() {
                    Some(Bracket { byte: b'{', .. }) => self.seen(source, key),
                    Some(bracket) => bracket.colons.push(at),
                    None => {}
                }
            }
            byte if is_operand(byte) && !WORDS.contains(&&source[token.clone()]) => {
                let begin = match before {
                    Before::Dot(holder) => holder.begin,
                    Before::Bar => None,
                    Before::Other => Some(at),
                };
                scan.operand = Some(Operand { begin, end: token.end });
            }
            _ => self.operator(scan, token),
        }
        Ok(())
    }

    /// A word or a sign that is no operand.
    fn operator(&mut self, scan: &mut Scan<'_>, token: Range<usize>) {
        let text = &scan.source[token.clone()];
        let compares = matches!(text, "==" | "!=" | "<" | "<=" | ">" | ">=")
            || (text == "in" && !(scan.brackets.is_empty() && std::mem::take(&mut scan.looped)));
        if compares || matches!(text, "~" | "+" | "*") {
            if let Some(left) = scan.operand.take().map(|left| left.end)
                && let Some(right) = operand_end(scan.source, token.end, scan.end)
            {
                let [before, after] = match text {
                    _ if compares => [COMPARED, COMPARED],
                    "*" if scan.product == Some(left) => [PRODUCT_FACTOR, RIGHT_FACTOR],
                    "*" => [LEFT_FACTOR, RIGHT_FACTOR],
                    _ => [OPERAND, OPERAND],
                };
                self.filter(left, before);
                self.filter(right, after);
                scan.product = (text == "*").then_some(right);
            }
        } else if text != "not" {
            // `a not in b` has its operand before `not`.
            scan.operand = None;
        }
    }

    /// A bracket that closes at `at`: a slice becomes a call, what is searched from one end is looked at, and so is the key in it.
    fn looked_up(&mut self, source: &str, bracket: &Bracket, (at, inside): (usize, Option<Operand>)) {
        let (b'[', Some(Operand { begin: Some(begin), end })) = (bracket.byte, bracket.of) else { return };
        if bracket.colons.is_empty() {
            if !is_near(source[bracket.at + 1..at].trim()) {
                self.seen(source, inside);
                self.put(begin, "(");
                self.put(end, format!("|{SEEN})"));
            }
            return;
        }
        self.put(begin, "(");
        self.0.push((bracket.at, 1, format!("|{SLICE}(")));
        let mut part = bracket.at + 1;
        for (place, mark) in bracket.colons.iter().map(|colon| (*colon, ",")).chain([(at, "))")]) {
            let bound = if source[part..place].trim().is_empty() { "none" } else { "" };
            self.0.push((place, 1, format!("{bound}{mark}")));
            part = place + 1;
        }
    }

    /// Looks at a key.
    fn seen(&mut self, source: &str, key: Option<Operand>) {
        let near = |key: &Operand| key.begin.is_some_and(|begin| is_near(&source[begin..key.end]));
        if let Some(key) = key.filter(|key| !near(key)) {
            self.filter(key.end, SEEN);
        }
    }

    /// `{% set name.attribute = value %}`: what a namespace gets is looked at.
    fn kept(&mut self, source: &str, (begin, end): (usize, usize)) {
        let bytes = source.as_bytes();
        let mut at = begin;
        while at < end {
            let next = token_end(source, at, end);
            if &source[at..next] == "=" {
                let target = source[begin..at].trim().strip_prefix("set").unwrap_or_default().trim();
                if let Some((holder, _)) = target.rsplit_once('.').filter(|_| !target.contains(',')) {
                    self.put(next, " (");
                    self.put(end, format!(")|{KEPT}({})", holder.trim()));
                }
                return;
            }
            if bytes[at] == b'|' {
                return;
            }
            at = next;
        }
    }
}

/// What is known of the code of a tag up to a token.
struct Scan<'a> {
    source: &'a str,
    /// Where the tag ends.
    end: usize,
    /// The last operand.
    operand: Option<Operand>,
    /// Where the right operand of the last product ends.
    product: Option<usize>,
    brackets: Vec<Bracket>,
    before: Before,
    /// The next `in` is that of a loop.
    looped: bool,
}

/// What stands right before a token.
#[derive(Default)]
enum Before {
    /// A dot: the token goes on with this operand.
    Dot(Operand),
    /// A bar: the token is the name of a filter.
    Bar,
    #[default]
    Other,
}

impl<'a> Scan<'a> {
    fn new(source: &'a str, end: usize) -> Self {
        let (operand, product, brackets) = (None, None, Vec::new());
        Self { source, end, operand, product, brackets, before: Before::Other, looped: false }
    }

    fn open(&mut self, byte: u8, at: usize) -> Result<(), String> {
        let of = self.operand.take().filter(|_| byte != b'{');
        self.brackets.push(Bracket { byte, at, of, colons: Vec::new() });
        if self.brackets.len() > BRACKETS {
            return Err(format!("brackets stand more than {BRACKETS} deep in each other"));
        }
        Ok(())
    }
}

/// A name, a literal or a bracket with what is looked up or called in it.
#[derive(Clone, Copy)]
struct Operand {
    /// Where it begins; none where it belongs to something that is not known here.
    begin: Option<usize>,
    /// Where it ends.
    end: usize,
}

/// An open bracket.
struct Bracket {
    byte: u8,
    at: usize,
    /// What it is put behind: what is called or looked into.
    of: Option<Operand>,
    /// Where it holds colons.
    colons: Vec<usize>,
}

/// Whether a key is a literal that is found at once: a text, or a small number from the start.
fn is_near(key: &str) -> bool {
    let quoted = key.starts_with(['"', '\'']) && token_end(key, 0, key.len()) == key.len();
    quoted || (key.len() <= 3 && !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_operand(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'"' || byte == b'\'' || byte >= 0x80
}

/// Where the token ends that begins at `at`.
fn token_end(source: &str, at: usize, end: usize) -> usize {
    let bytes = &source.as_bytes()[..end];
    match bytes[at] {
        quote @ (b'"' | b'\'') => {
            let mut next = at + 1;
            while next < end && bytes[next] != quote {
                next += if bytes[next] == b'\\' { 2 } else { 1 };
            }
            (next + 1).min(end)
        }
        byte if byte.is_ascii_digit() => {
            let part = |next: usize| {
                let byte = bytes[next];
                let fraction = byte == b'.' && bytes.get(next + 1).is_some_and(u8::is_ascii_digit);
                let sign = matches!(byte, b'+' | b'-')
                    && matches!(bytes[next - 1], b'e' | b'E')
                    && !bytes[at..next].starts_with(b"0x");
                byte.is_ascii_alphanumeric() || byte == b'_' || fraction || sign
            };
            (at + 1..end).find(|next| !part(*next)).unwrap_or(end)
        }
        byte if is_operand(byte) => {
            let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
            (at + 1..end).find(|next| !part(bytes[*next])).unwrap_or(end)
        }
        byte => {
            let two = bytes.get(at + 1).is_some_and(|next| match byte {
                b'*' | b'/' => *next == byte,
                b'=' | b'!' | b'<' | b'>' => *next == b'=',
                _ => false,
            });
            at + 1 + usize::from(two)
        }
    }
}

/// Where the operand ends that begins behind an operator: a literal, a name or a bracket, with what is looked up or called in it, and its
/// filters.
fn operand_end(source: &str, from: usize, end: usize) -> Option<usize> {
    let bytes = &source.as_bytes()[..end];
    let blank = |at: usize| (at..end).find(|at| !bytes[*at].is_ascii_whitespace());
    let mut at = blank(from)?;
    while matches!(bytes[at], b'-' | b'+') {
        at = blank(at + 1)?;
    }
    let mut done = match bytes[at] {
        b'(' | b'[' | b'{' => bracket_end(source, at, end)?,
        byte if is_operand(byte) => token_end(source, at, end),
        _ => return None,
    };
    while let Some(next) = blank(done) {
        done = match bytes[next] {
            b'(' | b'[' => bracket_end(source, next, end)?,
            // What an operator gets is what filters make of its operand.
            b'.' | b'|' => token_end(source, blank(next + 1)?, end),
            _ => break,
        };
    }
    Some(done)
}

/// Behind the bracket that closes the one at `at`.
fn bracket_end(source: &str, mut at: usize, end: usize) -> Option<usize> {
    let mut depth = 0usize;
    while at < end {
        match source.as_bytes()[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at = token_end(source, at, end);
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(source: &str) -> String {
        let made = bounded(source).unwrap();
        let names = [
            (OPERAND, "o"),
            (LEFT_FACTOR, "l"),
            (PRODUCT_FACTOR, "p"),
            (RIGHT_FACTOR, "r"),
            (COMPARED, "c"),
            (SEEN, "s"),
            (SLICE, "sl"),
            (KEPT, "k"),
            (TICK, "t"),
        ];
        names.into_iter().fold(made, |made, (name, letter)| made.replace(name, letter))
    }

    #[test]
    fn operands_are_looked_at_and_nothing_else_changes() {
        for (source, right) in [
            ("a {{ b }} + c ~ d", "a {{ b }} + c ~ d"),
            ("{{ a ~ b.c[1](x + 1)|f }}", "{{ a|o ~ b.c[1](x|o + 1|o)|f|o }}"),
            ("{{ 'a' * 2 * n }}", "{{ 'a'|l * 2|r|p * n|r }}"),
            ("{{ (a+b)*-c }}", "{{ (a|o+b|o)|l*-c|r }}"),
            ("{{ f(*args, **more) }}", "{{ f(*args, **more) }}"),
            ("{{ a ** b }}", "{{ a ** b }}"),
            ("{{ x if y else +1 }}{{ 1e+5 }}", "{{ x if y else +1 }}{{ 1e+5 }}"),
            ("{%+ if a +%}b{% endif %}", "{%+ if a +%}b{% endif %}"),
            (
                "{{ '~' }}{# a ~ b #}{% raw %}{{ a ~ b }}{% endraw %}",
                "{{ '~' }}{# a ~ b #}{% raw %}{{ a ~ b }}{% endraw %}",
            ),
            ("{% set ns.x = ns.y + 1, 2 -%}", "{% set ns.x = ( ns.y|o + 1|o, 2 )|k(ns)-%}"),
            ("{% set x = y %}{% set a.b %}c{% endset %}", "{% set x = y %}{% set a.b %}c{% endset %}"),
            ("{%- for x in y -%}\nab{% endfor %}", "{%- for x in y -%}{% do t(3) -%}\nab{% endfor %}"),
            ("{{ a ~", "{{ a ~"),
            ("{{ é ~ 'ü' }}", "{{ é|o ~ 'ü'|o }}"),
            ("{% if a == b.c and not d[0] < 'x' %}", "{% if a|c == b.c|c and not d[0]|c < 'x'|c %}"),
            (
                "{% for a in b if a.c in d and a not in e %}",
                "{% for a in b if a.c|c in d|c and a|c not in e|c %}{% do t(0) %}",
            ),
            (
                "{{ a in b|f }}{{ a is in b }}{{ a is not none }}",
                "{{ a|c in b|f|c }}{{ a is in b }}{{ a is not none }}",
            ),
            ("{{ a == b|f(1)|g and 'a' * n|int }}", "{{ a|c == b|f(1)|g|c and 'a'|l * n|int|r }}"),
            ("{{ f(a=1, b==2) }}", "{{ f(a=1, b|c==2|c) }}"),
            ("{{ a.b(1)[1:] }}{{ a[:-1][::2] }}", "{{ (a.b(1)|sl(1,none)) }}{{ ((a|sl(none,-1))|sl(none,none,2)) }}"),
            ("{{ -a[1:] ~ b[:c[2:]] }}", "{{ -(a|sl(1,none))|o ~ (b|sl(none,(c|sl(2,none))))|o }}"),
            ("{{ a[x + 1 : y * 2] }}", "{{ (a|sl(x|o + 1|o , y|l * 2|r)) }}"),
            ("{{ a[0]['b'][i].c[-1] }}", "{{ ((a[0]['b']|s)[i|s].c|s)[-1] }}"),
            ("{{ {a: 1, 'b': [c[1:]]} }}{{ [a][b] }}", "{{ {a|s: 1, 'b': [(c|sl(1,none))]} }}{{ ([a]|s)[b|s] }}"),
            ("{{ a|f(b[1:]) }}{{ 'x'[1:] == y }}", "{{ a|f((b|sl(1,none))) }}{{ ('x'|sl(1,none))|c == y|c }}"),
        ] {
            assert_eq!(short(source), right);
        }
        assert!(bounded(&format!("{{{{ {} }}}}", "[".repeat(100))).is_err());
    }
}
