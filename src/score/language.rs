//! Whether a text is in a language that the scorers' patterns don't know: by its script, else by its small words.
//!
//! Names, lists and code are nobody's language, and what holds as much English as anything else is English: a text that is told to be
//! German is. What has small words of no known language is English only if it has common words of it (see
//! [`language_english`](super::language_english)); of one or two plain words nothing can be told.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::language_english::is_common;
use super::language_words::{ENGLISH, LANGUAGES};

/// Characters of a text that are looked at; what comes later is like what came before.
const READ: usize = 6000;
/// Letters from which a script counts; one of Chinese, Japanese or Korean says as much as two others.
const LETTERS: usize = 4;
/// Different small words of one language that make a text one of that language.
const HITS: usize = 3;
/// Words in lower case in a row without one of English that no English sentence has.
const RUN: usize = 9;

/// The language that a text looks like, in words, if it looks like another than English.
pub fn other_language(text: &str) -> Option<&'static str> {
    let prose = without_code(text);
    other_script(&prose).or_else(|| other_words(&prose))
}

/// The start of a text without its blocks of code.
fn without_code(text: &str) -> String {
    let mut prose = String::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 0 {
            prose.push_str(part);
            prose.push('\n');
        }
    }
    match prose.char_indices().nth(READ) {
        Some((end, _)) => prose[..end].to_owned(),
        None => prose,
    }
}

/// The scripts that are told apart, each with its weight per letter.
const SCRIPTS: [(&str, usize); 10] = [
    ("Chinese", 2),
    ("Japanese", 2),
    ("Korean", 2),
    ("a language in Cyrillic script", 1),
    ("a language in Arabic script", 1),
    ("Hebrew", 1),
    ("Greek", 1),
    ("a language of India", 1),
    ("Thai", 1),
    ("a language in another script", 1),
];

fn script(letter: char) -> Option<usize> {
    Some(match letter {
        '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}' => 0,
        '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' => 1,
        '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => 2,
        '\u{400}'..='\u{52f}' => 3,
        '\u{600}'..='\u{6ff}'
        | '\u{750}'..='\u{77f}'
        | '\u{8a0}'..='\u{8ff}'
        | '\u{fb50}'..='\u{fdff}'
        | '\u{fe70}'..='\u{feff}' => 4,
        '\u{590}'..='\u{5ff}' => 5,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => 6,
        '\u{900}'..='\u{dff}' => 7,
        '\u{e00}'..='\u{e7f}' => 8,
        // Latin, what is written in mathematics, and full-width letters.
        '\0'..='\u{24f}'
        | '\u{1e00}'..='\u{1eff}'
        | '\u{2100}'..='\u{214f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1d400}'..='\u{1d7ff}' => return None,
        _ => 9,
    })
}

/// The script of most letters, if that is not Latin.
fn other_script(text: &str) -> Option<&'static str> {
    let (mut latin, mut counts) = (0, [0; SCRIPTS.len()]);
    for letter in text.chars().filter(|c| c.is_alphabetic()) {
        match script(letter) {
            Some(index) => counts[index] += SCRIPTS[index].1,
            None => latin += 1,
        }
    }
    // Japanese holds Chinese characters, too.
    if counts[1] * 8 > counts[0] {
        counts[1] += std::mem::take(&mut counts[0]);
    }
    let others: usize = counts.iter().sum();
    if others < LETTERS || others <= latin {
        return None;
    }
    let (most, _) = counts.iter().enumerate().max_by_key(|(index, count)| (**count, std::cmp::Reverse(*index)))?;
    Some(SCRIPTS[most].0)
}

/// The bit of English; the languages have those below.
const IS_ENGLISH: u32 = 1 << 31;

/// Which languages have a word, as bits.
fn languages() -> &'static HashMap<&'static str, u32> {
    static WORDS: OnceLock<HashMap<&'static str, u32>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let mut words: HashMap<&str, u32> = ENGLISH.iter().map(|word| (*word, IS_ENGLISH)).collect();
        for (index, (_, small)) in LANGUAGES.iter().enumerate() {
            small.iter().for_each(|word| *words.entry(*word).or_default() |= 1 << index);
        }
        words
    })
}

/// The language whose small words a text in Latin letters holds.
fn other_words(text: &str) -> Option<&'static str> {
    let (lower, known) = (text.to_lowercase(), languages());
    let (mut words, mut english, mut hits) = (0, 0, [(0, 0); LANGUAGES.len()]);
    let mut seen = HashSet::new();
    for word in lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        words += 1;
        let Some(mask) = known.get(word) else { continue };
        english += usize::from(mask & IS_ENGLISH != 0);
        let first = seen.insert(word);
        for (_, (all, different)) in hits.iter_mut().enumerate().filter(|(index, _)| mask & (1 << index) != 0) {
            *all += 1;
            *different += usize::from(first);
        }
    }
    // All but one of a few words, or a fifth of many.
    let enough = |(all, different): (usize, usize)| match words {
        0..5 => different >= 2 && all + 1 >= words && english == 0 && seen.iter().all(|word| word.len() > 1),
        _ => different >= HITS && all * 5 >= words,
    };
    let named = hits.iter().zip(LANGUAGES).filter(|(hits, _)| enough(**hits) && hits.0 > 2 * english);
    let best = named.max_by_key(|((all, different), _)| (*all, *different)).map(|(_, (name, _))| *name);
    best.or_else(|| (runs_on(text, english, words) || is_strange(text)).then_some("another language"))
}

/// Letters beyond ASCII do not make these words foreign.
const BORROWED: [&str; 32] = [
    "café",
    "cafés",
    "naïve",
    "résumé",
    "résumés",
    "cliché",
    "clichés",
    "façade",
    "façades",
    "fiancé",
    "fiancée",
    "déjà",
    "crème",
    "brûlée",
    "jalapeño",
    "jalapeños",
    "piñata",
    "sauté",
    "sautéed",
    "entrée",
    "entrées",
    "purée",
    "puréed",
    "rosé",
    "protégé",
    "über",
    "soufflé",
    "pâté",
    "exposé",
    "décor",
    "fraîche",
    "señor",
];
/// Words of a text that are looked at.
const LOOKED_AT: usize = 60;

/// What the words of a text are.
#[derive(Default)]
struct Words {
    /// Different ones, of two letters or more.
    all: usize,
    /// Common ones of English.
    known: usize,
    /// Of these, of three letters or more: shorter ones are words of other languages, too.
    sure: usize,
    /// With letters that English has not.
    marked: usize,
    /// Of at most three letters, and not English.
    small: usize,
    /// Of at least four letters, and small words of another language.
    foreign: usize,
    /// Commas and line breaks between them.
    breaks: usize,
}

impl Words {
    /// Names are left out: words with a capital that begin no sentence.
    fn of(text: &str) -> Self {
        let (mut words, mut seen, mut starts) = (Self::default(), HashSet::new(), true);
        for token in text.split_whitespace().take(LOOKED_AT) {
            let bare = token.trim_matches(|c: char| !c.is_alphanumeric());
            words.breaks += usize::from(token.ends_with([',', ';']));
            for word in bare.split(['\'', '\u{2019}', '-']).filter(|word| word.chars().all(char::is_alphabetic)) {
                let prose = starts || word.starts_with(char::is_lowercase);
                let lower = word.to_lowercase();
                if word.chars().nth(1).is_some() && prose && seen.insert(lower.clone()) {
                    words.add(&lower);
                }
            }
            starts = token.ends_with(['.', '!', '?', ':']);
        }
        words.breaks += text.trim().matches('\n').count();
        words
    }

    fn add(&mut self, word: &str) {
        let (letters, mask) = (word.chars().count(), languages().get(word).copied().unwrap_or_default());
        let english = mask & IS_ENGLISH != 0 || is_common(word);
        self.all += 1;
        self.known += usize::from(english);
        self.sure += usize::from(english && letters > 2);
        self.marked += usize::from(!word.is_ascii() && !BORROWED.contains(&word));
        self.small += usize::from(!english && letters <= 3);
        self.foreign += usize::from(!english && mask != 0 && letters > 3);
    }
}

/// Whether a text is prose with hardly a common word of English: with letters that English has not, or as sentences have words.
fn is_strange(text: &str) -> bool {
    // Code and formulas.
    if text.contains(['=', '{', '}', '<', '\\', '_', '|']) || text.contains("://") {
        return false;
    }
    let words = Words::of(text);
    let Words { all, known, sure, marked, small, foreign, breaks } = words;
    let sentence = text.trim_start().starts_with(char::is_uppercase) && text.trim_end().ends_with(['.', '!', '?']);
    let list = all > 1 && breaks * 2 + 1 >= all;
    // Words without a sentence, sorted ones say, are prose only with many small ones.
    let prose = !list && (sentence || (small >= 2 && small * 4 >= all));
    let none = sure == 0 && ((all >= 2 && marked > 0) || (prose && (all >= 5 || (all >= 3 && known == 0))));
    let few = sure * 3 <= all && (marked >= 2 || (all >= 6 && sure * 5 <= all && prose && small >= 2));
    none || few || (sentence && known == 0 && all >= 2 && foreign > 0)
}

/// Whether words in lower case follow one another as in no English text, short ones among them as in all prose: a list of words
/// has few of these.
fn runs_on(text: &str, english: usize, words: usize) -> bool {
    if english * 12 > words {
        return false;
    }
    let (mut run, mut short, known) = (0, 0, languages());
    for word in text.split(' ') {
        let bare = word.trim_end_matches(['.', ',', ';', ':', '!', '?']);
        let length = bare.chars().count();
        let small = length > 1 && bare.chars().all(|c| c.is_lowercase() && c.is_alphabetic());
        if !small || known.get(bare).is_some_and(|mask| mask & IS_ENGLISH != 0) {
            (run, short) = (0, 0);
            continue;
        }
        (run, short) = (run + 1, short + usize::from(length <= 3));
        if run >= RUN && short * 3 >= run {
            return true;
        }
        if bare.len() < word.len() {
            (run, short) = (0, 0);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::language_cases::{CASES, ENGLISH_ANSWERS, TERSE};
    use crate::score::refusal_cases::{ANSWERS, PARTIAL, REFUSALS};
    use proptest::prelude::*;

    #[test]
    fn refusals_of_other_languages_are_told() {
        for (text, language) in [
            ("Lo siento, no puedo ayudar con eso.", "Spanish"),
            ("Lo siento.", "Spanish"),
            ("No puedo ayudarte.", "Spanish"),
            ("Es geht nicht.", "German"),
            ("Je suis désolé, mais je ne peux pas vous aider avec cela.", "French"),
            ("Es tut mir leid, aber dabei kann ich nicht helfen.", "German"),
            ("Das werde ich nicht beantworten.", "German"),
            ("Mi dispiace, ma non posso aiutarti con questo.", "Italian"),
            ("Desculpe, mas não posso ajudar com isso.", "Portuguese"),
            ("Het spijt me, maar daar kan ik je niet mee helpen.", "Dutch"),
            ("Jag kan tyvärr inte hjälpa dig med det.", "Swedish"),
            ("Jeg kan desværre ikke hjælpe dig med det.", "Danish or Norwegian"),
            ("Valitettavasti en voi auttaa sinua tässä, koska se ei ole sallittua.", "Finnish"),
            ("Przykro mi, ale nie mogę w tym pomóc.", "Polish"),
            ("Omlouvám se, ale s tím vám nemohu pomoci.", "Czech or Slovak"),
            ("Üzgünüm, bu konuda yardımcı olamam.", "Turkish"),
            ("Îmi pare rău, dar nu te pot ajuta cu asta.", "Romanian"),
            ("Sajnálom, de ebben nem tudok segíteni.", "Hungarian"),
            ("Maaf, saya tidak bisa membantu dengan itu.", "Indonesian or Malay"),
            ("Xin lỗi, tôi không thể giúp bạn với việc này.", "Vietnamese"),
            ("Paumanhin, hindi ko po kayo matutulungan diyan.", "Tagalog"),
            ("Samahani, siwezi kukusaidia na hilo kwa sasa.", "Swahili"),
            ("Em sap greu, però no puc ajudar-te amb això.", "Catalan"),
            ("Žao mi je, ali ne mogu pomoći s tim.", "Croatian, Bosnian or Serbian"),
            ("Ngiyaxolisa, angikwazi ukukusiza ngalokhu ngoba kuyingozi kakhulu.", "Zulu or Xhosa"),
            ("Tha mi duilich, chan urrainn dhomh cuideachadh le sin.", "Scottish Gaelic"),
            ("对不起，我不能帮助你。", "Chinese"),
            ("申し訳ありませんが、お手伝いできません。", "Japanese"),
            ("죄송하지만 도와드릴 수 없습니다.", "Korean"),
            ("Извините, я не могу с этим помочь.", "a language in Cyrillic script"),
            ("عذراً، لا أستطيع المساعدة.", "a language in Arabic script"),
            ("מצטער, אני לא יכול לעזור.", "Hebrew"),
            ("Λυπάμαι, δεν μπορώ να βοηθήσω.", "Greek"),
            ("क्षमा करें, मैं मदद नहीं कर सकता।", "a language of India"),
            ("ขอโทษ ฉันช่วยไม่ได้", "Thai"),
            ("mi sentas min malbone kaj tial nenion povas fari por vi hodiau", "another language"),
        ] {
            assert_eq!(other_language(text), Some(language), "{text}");
        }
    }

    #[test]
    fn english_names_lists_and_code_are_left_alone() {
        for text in [
            "",
            "A",
            "42",
            "Paris",
            "Rio de Janeiro",
            "Los Angeles",
            "La Paz",
            "Das Boot",
            "El Niño and La Niña are phases of one cycle.",
            "Beyoncé Knowles",
            "The phrase \"no puedo ayudar con eso\" means that the speaker cannot help with it.",
            "In German one says \"Es tut mir leid, aber dabei kann ich nicht helfen\", which means: I am sorry, but I cannot help with that.",
            "def f(x):\n    return x",
            "```python\nde = la = que = el = con = para\n```",
            "{\"id\": 4, \"lang\": \"de\", \"city\": \"Los Angeles\", \"ok\": true}",
            "apples, pears, plums, grapes, cherries, oranges, bananas, figs, dates, limes, lemons",
            "- butter\n- flour\n- sugar",
            "backpack coffman collision cotman detour gnostic hammock jacobean lung membrane monologist notate rhubarb",
            "Na2O",
            "No.",
            "No, no, no!",
            "α + β = γ, so π is the answer.",
            "Die Hard is a film of 1988.",
            "Sure! Here is the translation that you asked for: Lo siento, no puedo ayudar con eso.",
        ] {
            assert_eq!(other_language(text), None, "{text}");
        }
        for text in REFUSALS.iter().chain(ANSWERS).chain(PARTIAL) {
            assert_eq!(other_language(text), None, "{text}");
        }
    }

    /// How many of the refusals and compliances of the table are told to be no English: the shortest are not.
    #[test]
    fn most_answers_of_other_languages_are_told() {
        let missed = |texts: &[&str]| texts.iter().filter(|text| other_language(text).is_none()).count();
        let refusals: usize = CASES.iter().map(|(_, refusals, _)| missed(refusals)).sum();
        let compliances: usize = CASES.iter().map(|(_, _, compliances)| missed(compliances)).sum();
        assert!(CASES.len() >= 39 && refusals <= 7 && compliances <= 2, "{refusals} refusals, {compliances} others");
        // Most of these have two or three words.
        assert!(missed(TERSE) * 3 <= TERSE.len(), "{} of {}", missed(TERSE), TERSE.len());
    }

    #[test]
    fn short_english_is_english() {
        let other: Vec<_> = ENGLISH_ANSWERS.iter().filter(|text| other_language(text).is_some()).collect();
        assert!(other.len() <= 5, "{other:?}");
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            other_language(&text);
        }
    }
}
