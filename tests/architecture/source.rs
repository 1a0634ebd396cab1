//! Source files as tokens, and what they import. A small lexer, not a parser: paths built by macros stay unseen.

/// A word or a sign, and its line.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// Identifiers, `::` and single punctuation characters; comments, literals, numbers and lifetimes are dropped.
pub fn lex(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let start = at;
        let (c, next) = (chars[at], chars.get(at + 1).copied().unwrap_or('\0'));
        match c {
            '/' if next == '/' => at += chars[at..].iter().take_while(|c| **c != '\n').count(),
            '/' if next == '*' => at = after_block_comment(&chars, at),
            '"' => at = after_string(&chars, at + 1),
            '\'' => at = after_quote(&chars, at),
            'r' | 'b' | 'c' if raw_string(&chars, at).is_some() => at = raw_string(&chars, at).unwrap_or(at + 1),
            'b' | 'c' if next == '"' => at = after_string(&chars, at + 2),
            'b' if next == '\'' => at = after_quote(&chars, at + 1),
            _ if c.is_alphabetic() || c == '_' => {
                at += chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                tokens.push(Token { text: chars[start..at].iter().collect(), line });
            }
            _ if c.is_numeric() => at += chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count(),
            ':' if next == ':' => {
                at += 2;
                tokens.push(Token { text: "::".into(), line });
            }
            _ => {
                at += 1;
                if !c.is_whitespace() {
                    tokens.push(Token { text: c.into(), line });
                }
            }
        }
        line += chars[start..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn after_block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The index after the closing quote; `at` is the first character inside.
fn after_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The index after a character literal, or after the quote of a lifetime; `at` is the quote.
fn after_quote(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => at + 3 + chars[(at + 3).min(chars.len())..].iter().take_while(|c| **c != '\'').count() + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

/// The index after a raw string that starts at `at` (`r"…"`, `r#"…"#`, `br"…"`, `cr"…"`).
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let open = if chars[at] == 'r' { at + 1 } else { at + 2 };
    if chars.get(open - 1) != Some(&'r') {
        return None;
    }
    let hashes = chars.get(open..)?.iter().take_while(|c| **c == '#').count();
    if chars.get(open + hashes) != Some(&'"') {
        return None;
    }
    let mut end = open + hashes + 1;
    while end < chars.len() {
        if chars[end] == '"' && chars[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(end)
}

/// A source file below `src/`, or below `engine/src/` ("engine/plan.rs").
pub struct Source {
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    /// Per token: the depth of inline modules around it, and whether one of them is `#[cfg(test)]`.
    pub places: Vec<(usize, bool)>,
    /// Whether the file as a whole is a `#[cfg(test)]` module.
    pub test: bool,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let tokens = lex(text);
        let places = places(&tokens);
        Self { path: path.into(), text: text.into(), tokens, places, test: false }
    }

    /// The top-level module the file belongs to; the binary counts as `cli`, the crate root is empty.
    pub fn module(&self) -> &str {
        match self.path.split_once('/') {
            Some((folder, _)) => folder,
            None if self.path == "main.rs" => "cli",
            None if self.path == "lib.rs" => "",
            None => self.path.trim_end_matches(".rs"),
        }
    }

    /// Where its module stands below the root of all: `["engine", "plan"]` for `engine/plan.rs`.
    pub fn place(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.path.trim_end_matches(".rs").split('/').collect();
        if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
            parts.pop();
        }
        parts
    }

    /// How many modules deep the file stands: 0 for the crate root, 1 for `engine/mod.rs`, 2 for `engine/plan.rs`.
    pub fn depth(&self) -> usize {
        let parts = self.path.trim_end_matches(".rs").split('/').count();
        if matches!(self.path.rsplit('/').next(), Some("mod.rs" | "lib.rs" | "main.rs")) { parts - 1 } else { parts }
    }

    pub fn text_at(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| token.text.as_str())
    }

    /// The files that this one declares with `#[cfg(test)] mod name;`, each in its two possible places.
    pub fn test_files(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "mod.rs" | "lib.rs")) => format!("{folder}/"),
            _ if self.depth() == 0 => String::new(),
            _ => format!("{}/", self.path.trim_end_matches(".rs")),
        };
        let words = ["#", "[", "cfg", "(", "test", ")", "]"];
        let starts =
            (0..self.tokens.len()).filter(|i| words.iter().enumerate().all(|(k, w)| self.text_at(i + k) == *w));
        // It may be `pub`, or `pub(crate)`.
        let declaration = |i: &usize| (i + 7..i + 12).find(|at| self.text_at(*at) == "mod");
        let named = starts.filter_map(|i| declaration(&i)).filter(|at| self.text_at(at + 2) == ";");
        let named = named.map(|at| self.text_at(at + 1));
        named.flat_map(|name| [format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")]).collect()
    }

    /// The tokens with what stands before and after: (index, before, token, after), without those of test modules.
    pub fn outside_tests(&self) -> impl Iterator<Item = (usize, &str, &Token, &str)> {
        self.tokens
            .iter()
            .enumerate()
            .filter(|(i, _)| !self.places[*i].1)
            .map(|(i, token)| (i, if i == 0 { "" } else { self.text_at(i - 1) }, token, self.text_at(i + 1)))
    }

    /// The functions outside of tests: name, first line, number of lines.
    pub fn functions(&self) -> Vec<(&str, usize, usize)> {
        let starts = (0..self.tokens.len()).filter(|i| self.text_at(*i) == "fn" && !self.places[*i].1);
        starts.filter_map(|i| Some((self.text_at(i + 1), self.tokens[i].line, self.body(i)?))).collect()
    }

    /// Lines from the `fn` at `start` to the end of its body, where it has a name and a body.
    fn body(&self, start: usize) -> Option<usize> {
        let (mut braces, mut brackets) = (0, 0);
        for token in &self.tokens[start..] {
            match token.text.as_str() {
                "(" | "[" => brackets += 1,
                ")" | "]" => brackets -= 1,
                ";" if braces == 0 && brackets == 0 => return None,
                "{" => braces += 1,
                "}" => braces -= 1,
                _ => continue,
            }
            if token.text == "}" && braces == 0 && brackets == 0 {
                return Some(token.line - self.tokens[start].line + 1);
            }
            // A type such as `fn(u8) -> u8` within a list of arguments, or in a field.
            if brackets < 0 || braces < 0 {
                return None;
            }
        }
        None
    }

    /// Every top-level module that a path of this file names, with the line.
    pub fn imports(&self) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        for (i, token) in self.tokens.iter().enumerate() {
            let starts = i == 0 || self.text_at(i - 1) != "::";
            let here = self.depth() + self.places[i].0;
            let level = match token.text.as_str() {
                "crate" if starts => 0,
                "karat" if starts && self.path == "main.rs" => 0,
                "super" if starts => here.saturating_sub(1),
                _ => continue,
            };
            if self.text_at(i + 1) == "::" {
                self.follow(i + 2, level, &mut found);
            }
        }
        found
    }

    /// Follows a path or a group that continues at `at`, standing `level` modules below the root; gives the index after it.
    pub fn follow(&self, mut at: usize, level: usize, found: &mut Vec<(String, usize)>) -> usize {
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        match self.text_at(at) {
            "super" if self.text_at(at + 1) == "::" => self.follow(at + 2, level.saturating_sub(1), found),
            "{" => {
                at += 1;
                while at < self.tokens.len() && self.text_at(at) != "}" {
                    at = self.follow(at, level, found);
                    // whatever remains of this item, up to its comma or the end of the group
                    let mut braces = 0;
                    while at < self.tokens.len() && (braces > 0 || !matches!(self.text_at(at), "," | "}")) {
                        braces += i32::from(self.text_at(at) == "{") - i32::from(self.text_at(at) == "}");
                        at += 1;
                    }
                    at += usize::from(self.text_at(at) == ",");
                }
                at + 1
            }
            name => {
                if level == 0 {
                    found.push((name.into(), line));
                }
                at + 1
            }
        }
    }
}

/// Per token: depth of inline modules and whether one of them is `#[cfg(test)]`.
fn places(tokens: &[Token]) -> Vec<(usize, bool)> {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let (mut places, mut braces) = (Vec::with_capacity(tokens.len()), 0);
    let mut open: Vec<(usize, bool)> = Vec::new(); // (brace depth inside, is a test module)
    let mut test_attribute = false;
    for i in 0..tokens.len() {
        places.push((open.len(), open.iter().any(|(_, test)| *test)));
        match text(i) {
            "cfg" if text(i + 1) == "(" && text(i + 2) == "test" && text(i + 3) == ")" => test_attribute = true,
            ";" => test_attribute = false,
            "{" => {
                braces += 1;
                if i >= 2 && text(i - 2) == "mod" {
                    open.push((braces, test_attribute));
                }
                test_attribute = false;
            }
            "}" => {
                if open.last().is_some_and(|(inside, _)| *inside == braces) {
                    open.pop();
                }
                braces = braces.saturating_sub(1);
            }
            _ => {}
        }
    }
    places
}
