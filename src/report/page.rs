//! A page of text for a terminal: painted lines that fit its width, and tables whose columns give way.

use super::text::{columns, one_line, visible};

/// How to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to colour.
    pub color: bool,
    /// How many regressions to show.
    pub regressions: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 100, color: false, regressions: 10 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
}

/// The sequences that pages are painted with: the end of a paint, bold, dim, good and bad; behind them what clap has besides.
pub(super) const PAINTS: [&str; 7] =
    ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[32m", "\u{1b}[31m", "\u{1b}[33m", "\u{1b}[4m"];

pub(super) struct Page {
    pub(super) text: String,
    pub(super) style: Style,
}

/// A table column: title, cells, whether numbers (to the right), and in which order columns give way (0 never).
pub(super) struct Column {
    title: &'static str,
    cells: Vec<(Paint, String)>,
    right: bool,
    gives_way: u8,
}

impl Column {
    /// A column of words, to the left.
    pub(super) fn left<T>(title: &'static str, rows: &[T], cell: impl Fn(&T) -> (Paint, String)) -> Self {
        Self { title, cells: rows.iter().map(cell).collect(), right: false, gives_way: 0 }
    }

    /// A column of numbers, to the right; the one with the highest `gives_way` goes first where the page is narrow.
    pub(super) fn right<T>(
        title: &'static str,
        gives_way: u8,
        rows: &[T],
        cell: impl Fn(&T) -> (Paint, String),
    ) -> Self {
        Self { title, cells: rows.iter().map(cell).collect(), right: true, gives_way }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|(_, cell)| columns(cell)).fold(columns(self.title), usize::max)
    }
}

impl Page {
    /// An empty page.
    pub(super) fn new(style: Style) -> Self {
        Self { text: String::new(), style }
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line of painted pieces, cut at the width.
    pub(super) fn line(&mut self, indent: usize, pieces: &[(Paint, &str)]) {
        self.text.push_str(&" ".repeat(indent));
        let mut left = self.style.width.saturating_sub(indent);
        for (paint, piece) in pieces {
            // Not `one_line` at once: blanks at the ends of a piece part it from the next.
            let whole = visible(piece);
            let shown = if columns(&whole) <= left { whole } else { one_line(piece, left) };
            left -= columns(&shown).min(left);
            self.paint(*paint, &shown);
        }
        self.text.push('\n');
    }

    fn paint(&mut self, paint: Paint, text: &str) {
        let [none, bold, dim, good, bad, ..] = PAINTS;
        let begin = match paint {
            Paint::Plain => none,
            Paint::Bold => bold,
            Paint::Dim => dim,
            Paint::Good => good,
            Paint::Bad => bad,
        };
        if begin == none || !self.style.color || text.is_empty() {
            self.text.push_str(text);
        } else {
            self.text.extend([begin, text, none]);
        }
    }

    /// A table that fits the width: names are cut at a third of it, then columns give way. Tells the titles that were left, so
    /// that no legend is written of a column that is not there.
    pub(super) fn table(&mut self, mut table: Vec<Column>) -> Vec<&'static str> {
        // The widest names may take a third of the width each.
        let most = (self.style.width / 3).max(8);
        for column in table.iter_mut().filter(|column| !column.right) {
            column.cells.iter_mut().for_each(|(_, cell)| *cell = one_line(cell, most));
        }
        let total = |table: &[Column]| table.iter().map(|column| column.width() + 2).sum::<usize>().saturating_sub(2);
        while total(&table) > self.style.width {
            let first = table.iter().enumerate().filter(|(_, c)| c.gives_way > 0).max_by_key(|(_, c)| c.gives_way);
            let Some((place, _)) = first else { break };
            table.remove(place);
        }
        // Once, and not row by row: a table may have as many rows as a case has checks.
        let widths: Vec<usize> = table.iter().map(Column::width).collect();
        let titles: Vec<_> = table.iter().map(|column| (Paint::Dim, column.title.to_owned())).collect();
        self.cells(&table, &widths, &titles);
        for row in 0..table.first().map_or(0, |column| column.cells.len()) {
            let cells: Vec<_> = table.iter().map(|column| column.cells[row].clone()).collect();
            self.cells(&table, &widths, &cells);
        }
        table.iter().map(|column| column.title).collect()
    }

    fn cells(&mut self, table: &[Column], widths: &[usize], cells: &[(Paint, String)]) {
        let mut gap = 0;
        for ((column, width), (paint, cell)) in table.iter().zip(widths).zip(cells) {
            let pad = width - columns(cell);
            let before = gap + if column.right { pad } else { 0 };
            self.text.push_str(&" ".repeat(before));
            self.paint(*paint, cell);
            gap = 2 + if column.right { 0 } else { pad };
        }
        self.text.push('\n');
    }
}

/// Breaks text between words.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Widths that are looked for row by row would take an hour here.
    #[test]
    fn a_table_of_a_hundred_thousand_rows_is_made_in_one_go() {
        let rows: Vec<usize> = (0..100_000).collect();
        let names = Column::left("name", &rows, |row| (Paint::Plain, format!("check {row}")));
        let numbers = Column::right("n", 0, &rows, |row| (Paint::Plain, row.to_string()));
        let mut page = Page::new(Style::default());
        page.table(vec![names, numbers]);
        assert_eq!(page.text.lines().count(), 100_001);
        assert!(
            page.text.ends_with("check 99999  99999\n") && page.text.starts_with("name             n\n"),
            "{}",
            &page.text[..99]
        );
    }
}
