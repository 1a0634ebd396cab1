//! Where the next tokens of an answer may come from: the recorded answer of the same case, else what followed the same tokens
//! before (prompt look-up).
//!
//! A draft is a guess. The model computes the rows of guessed tokens together with the row before them, and takes them only as
//! long as they are what it chooses itself (Leviathan et al. 2023, with a draft that costs nothing), so that it changes
//! speed only.

/// Tokens that must be equal where the answer is found again in the record or in itself.
const GRAM: usize = 3;

/// The guesses for one answer.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    recorded: Vec<u32>,
    /// The recorded token that comes next, while the answer follows the record.
    next: Option<usize>,
}

impl Draft {
    /// Guesses from a recorded answer, which may be empty.
    pub fn new(recorded: Vec<u32>) -> Self {
        Self { next: (!recorded.is_empty()).then_some(0), recorded }
    }

    /// Forgets everything from the first token on that a vocabulary of `vocab` does not have.
    pub fn cut(&mut self, vocab: usize) {
        let known = self.recorded.iter().take_while(|id| (**id as usize) < vocab).count();
        self.recorded.truncate(known);
    }

    /// Takes note of the last token of an answer.
    pub fn saw(&mut self, answer: &[u32]) {
        let Some(last) = answer.last() else { return };
        self.next = match self.next {
            Some(next) if self.recorded.get(next) == Some(last) => Some(next + 1),
            _ => self.found_again(answer),
        };
    }

    /// Where the record goes on after its last tokens equal those of the answer; of several places the one nearest to the
    /// answer's length.
    fn found_again(&self, answer: &[u32]) -> Option<usize> {
        let gram = &answer[answer.len().checked_sub(GRAM)?..];
        let places = self.recorded.windows(GRAM).enumerate().filter(|(_, window)| *window == gram);
        places.map(|(at, _)| at + GRAM).min_by_key(|next| next.abs_diff(answer.len()))
    }

    /// Recorded tokens that may come next, at most `most`.
    pub fn recorded(&self, most: usize) -> &[u32] {
        let rest = self.next.and_then(|next| self.recorded.get(next..)).unwrap_or_default();
        &rest[..most.min(rest.len())]
    }
}

/// What followed the last tokens where they stood before, at most `most` tokens; the last such place counts.
pub fn look_up(tokens: &[u32], most: usize) -> &[u32] {
    let Some(start) = tokens.len().checked_sub(GRAM).filter(|_| most > 0) else { return &[] };
    let gram = &tokens[start..];
    match tokens[..tokens.len() - 1].windows(GRAM).rposition(|window| window == gram) {
        Some(at) => &tokens[at + GRAM..tokens.len().min(at + GRAM + most)],
        None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_record_and_finds_it_again() {
        let mut draft = Draft::new(vec![1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((draft.recorded(3), draft.recorded(100).len()), (&[1, 2, 3][..], 7));
        let mut answer = vec![1];
        draft.saw(&answer);
        assert_eq!(draft.recorded(2), [2, 3]);
        for token in [9, 9, 3, 4] {
            answer.push(token);
            draft.saw(&answer);
            assert!(draft.recorded(9).is_empty());
        }
        answer.push(5);
        draft.saw(&answer);
        assert_eq!(draft.recorded(9), [6, 7]);
        answer.extend([6, 7]);
        draft.saw(&answer[..7]);
        assert_eq!(draft.recorded(9), [7]);
        draft.saw(&answer);
        assert!(draft.recorded(9).is_empty(), "the record is at its end");
    }

    #[test]
    fn of_several_places_the_nearest_counts() {
        let mut draft = Draft::new(vec![1, 2, 3, 8, 1, 2, 3, 9]);
        draft.saw(&[0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(draft.recorded(1), [9]);
        draft.saw(&[0, 1, 2, 3]);
        assert_eq!(draft.recorded(1), [8]);
        assert!(Draft::new(Vec::new()).recorded(5).is_empty());
        let mut foreign = Draft::new(vec![1, 900, 2]);
        foreign.cut(320);
        assert_eq!(foreign.recorded(9), [1]);
    }

    #[test]
    fn looks_up_what_followed() {
        assert_eq!(look_up(&[1, 2, 3, 4, 5, 1, 2, 3], 2), [4, 5]);
        assert_eq!(look_up(&[1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], 9), [5, 1, 2, 3]);
        assert_eq!(look_up(&[7, 7, 7, 7], 4), [7]);
        assert!(look_up(&[1, 2, 3], 4).is_empty() && look_up(&[1], 4).is_empty());
    }
}
