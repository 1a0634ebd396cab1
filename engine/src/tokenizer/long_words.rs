//! Words that a WordPiece model does not read: of more characters than `max_input_chars_per_word` they become its unknown token,
//! whatever they say.

use std::borrow::Cow;
use std::ops::Range;

use tokenizers::{Model as _, ModelWrapper};

use super::{Plain, Tokenizer};
use crate::error::Result;

/// A text with spaces in it that were not there.
pub struct Spaced<'a> {
    /// The text with them.
    pub text: Cow<'a, str>,
    /// Where they stand, in bytes of [`Spaced::text`].
    spaces: Vec<usize>,
}

impl<'a> Spaced<'a> {
    /// A text without such spaces.
    pub fn without(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), spaces: Vec::new() }
    }

    /// The byte of the text without the spaces, by that of the text with them.
    pub fn original(&self, byte: usize) -> usize {
        byte - self.spaces.partition_point(|space| *space < byte)
    }
}

/// Normalizers may make several characters of one, such as the parts of a Korean syllable: so much shorter are the pieces of a word.
const SPARE: usize = 4;

impl Tokenizer {
    /// The text with spaces in its words that are too long to be read, so that they are; nothing where there are none. `ids` are
    /// those of the text.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn spaced(&self, text: &str, ids: &[u32]) -> Result<Option<Spaced<'static>>> {
        let ModelWrapper::WordPiece(model) = self.inner.get_model() else { return Ok(None) };
        let (longest, unknown) = (model.max_input_chars_per_word, model.token_to_id(&model.unk_token));
        let may_be_unread =
            |unknown: &u32| text.split_whitespace().any(|word| word.len() > longest) && ids.contains(unknown);
        let Some(unknown) = unknown.filter(may_be_unread) else { return Ok(None) };
        let Plain { ids, bytes } = self.encode_plain(text)?;
        let is_unread = |(start, end): (usize, usize)| {
            text.get(start..end).is_some_and(|word| word.len() > longest && word.chars().count() > longest)
        };
        let found = ids.iter().zip(bytes).filter(|(id, place)| **id == unknown && is_unread(*place));
        let words: Vec<Range<usize>> = found.map(|(_, (start, end))| start..end).collect();
        Ok((!words.is_empty()).then(|| spaced(text, &words, (longest / SPARE).max(1))))
    }
}

/// A text whose words at these places are cut into pieces of so many characters.
fn spaced(text: &str, words: &[Range<usize>], piece: usize) -> Spaced<'static> {
    let (mut spaced, mut spaces, mut at) = (String::with_capacity(text.len() + text.len() / piece), Vec::new(), 0);
    for word in words {
        spaced.push_str(&text[at..word.start]);
        for (number, character) in text[word.clone()].chars().enumerate() {
            if number > 0 && number % piece == 0 {
                spaces.push(spaced.len());
                spaced.push(' ');
            }
            spaced.push(character);
        }
        at = word.end;
    }
    spaced.push_str(&text[at..]);
    Spaced { text: Cow::Owned(spaced), spaces }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_stand_in_long_words_alone() {
        let text = "aü bcdefgh i";
        let word = 4..11;
        let spaced = spaced(text, std::slice::from_ref(&word), 3);
        assert_eq!(spaced.text, "aü bcd efg h i");
        assert_eq!(spaced.spaces, [7, 11]);
        for (byte, character) in spaced.text.char_indices().filter(|(byte, _)| !spaced.spaces.contains(byte)) {
            assert!(text[spaced.original(byte)..].starts_with(character), "{byte}");
        }
        assert_eq!(spaced.original(spaced.text.len()), text.len());
    }
}
