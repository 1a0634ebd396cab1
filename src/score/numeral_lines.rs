//! Lists with a number in each line: of these no line is the answer.
//!
//! A line of its own is an answer where anything else stands before it: a sentence, a heading, a calculation, a rule, a blank line behind
//! prose. So `12\n30\n\n42` behind a sentence is 42, and `12\n30\n42` is none.

use super::numerals::Place;

/// What may stand before and behind the number of a line: marks of lists, tables, Markdown and LaTeX.
const LEFT: [char; 12] = [' ', '\t', '-', '*', '•', '·', '–', '_', '`', '|', '$', '('];
const RIGHT: [char; 13] = [' ', '\t', '.', ',', ';', '*', '_', '`', '|', '$', ')', '\r', '%'];
/// Longest unit behind the number of a line, in bytes.
const UNIT: usize = 16;

/// Makes one place of the places of lines that hold nothing else.
pub(super) fn join_lines<'a>(text: &'a str, places: &mut Vec<Place<'a>>) {
    if places.len() < 2 || !text.contains('\n') {
        return;
    }
    let lines = lines(text, places);
    let bare_only = lines.iter().all(|line| !matches!(line, Line::Other));
    let (mut runs, mut run): (Vec<Vec<Bare<'_>>>, Vec<Bare<'_>>) = (Vec::new(), Vec::new());
    for line in lines {
        match line {
            Line::Bare(bare) if run.last().is_none_or(|last| last.unit == bare.unit) => run.push(bare),
            Line::Bare(bare) => runs.push(std::mem::replace(&mut run, vec![bare])),
            // In a text of nothing else a blank line parts no prose from its answer.
            Line::Blank if bare_only => {}
            Line::Blank | Line::Other => runs.push(std::mem::take(&mut run)),
        }
    }
    runs.push(run);
    for run in runs.iter().rev().filter(|run| run.len() > 1) {
        let first = &places[run[0].place];
        let number = |bare: &Bare<'_>| places[bare.place].number.as_ref();
        // The same number line after line is one number.
        if first.number.is_some() && run.iter().all(|bare| number(bare) == first.number.as_ref()) {
            continue;
        }
        let (from, to) = (run[0].first, run[run.len() - 1].place);
        let (start, end) = (places[from].start, places[to].start + places[to].text.len());
        places[from].number = None;
        places[from].text = &text[start..end];
        places.drain(from + 1..=to);
    }
}

enum Line<'a> {
    Blank,
    Bare(Bare<'a>),
    Other,
}

struct Bare<'a> {
    /// The place of its number, and of what counts the lines before it, if anything does.
    place: usize,
    first: usize,
    unit: &'a str,
}

fn lines<'a>(text: &'a str, places: &[Place<'a>]) -> Vec<Line<'a>> {
    let (mut lines, mut at, mut next) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        let first = next;
        while places.get(next).is_some_and(|place| place.start < at + line.len()) {
            next += 1;
        }
        lines.push(if first < next {
            bare(line, at, &places[first..next])
                .map_or(Line::Other, |unit| Line::Bare(Bare { place: next - 1, first, unit }))
        } else if line.trim().is_empty() {
            Line::Blank
        } else {
            Line::Other
        });
        at += line.len();
    }
    lines
}

/// The unit of a line that holds one number, its place in a list before it perhaps, and nothing else.
fn bare<'a>(line: &'a str, at: usize, places: &[Place<'_>]) -> Option<&'a str> {
    let (counted, place) = match places {
        [place] => (0, place),
        [count, place] => {
            let end = (count.start + count.text.len()).checked_sub(at)?;
            let counts =
                count.text.bytes().all(|byte| byte.is_ascii_digit()) && line.get(..end)?.trim_start() == count.text;
            (end + line.get(end..)?.strip_prefix(['.', ')']).filter(|_| counts).map(|_| 1)?, place)
        }
        _ => return None,
    };
    let (start, end) = (place.start.checked_sub(at)?, place.start.checked_sub(at)? + place.text.len());
    let unit = line.get(end..)?.trim_end().trim_matches(RIGHT);
    let left = line.get(counted..start)?.trim_matches(LEFT).is_empty();
    let right = unit.len() <= UNIT && unit.chars().all(char::is_alphabetic);
    (left && right).then_some(unit)
}
