//! Words and signs that decide whether digits are one number: flat tables, and nothing that looks around.

/// Letters that may touch a number and are no part of a word: currency codes written without a space.
pub(super) const CODES: [&str; 13] =
    ["usd", "eur", "gbp", "jpy", "cny", "inr", "chf", "cad", "aud", "rmb", "rs", "us", "r"];
/// LaTeX whose arguments say together what none says alone.
pub(super) const MACROS: [&str; 10] =
    ["frac", "dfrac", "tfrac", "cfrac", "sfrac", "binom", "dbinom", "tbinom", "sqrt", "overline"];
/// Units that are written with a power of their own, like `m2`; not `ft`, because `6ft2` is also a height.
pub(super) const POWERS: [&str; 11] = ["m", "mm", "cm", "dm", "km", "in", "yd", "mi", "s", "sec", "nm"];
/// Words that multiply, as powers of ten.
const SCALES: [(&str, i64); 21] = [
    ("hundred", 2),
    ("hundreds", 2),
    ("thousand", 3),
    ("thousands", 3),
    ("lakh", 5),
    ("lakhs", 5),
    ("lac", 5),
    ("lacs", 5),
    ("million", 6),
    ("millions", 6),
    ("crore", 7),
    ("crores", 7),
    ("billion", 9),
    ("billions", 9),
    ("trillion", 12),
    ("trillions", 12),
    ("quadrillion", 15),
    ("quadrillions", 15),
    ("quintillion", 18),
    ("quintillions", 18),
    ("sextillion", 21),
];
/// Words and letters that multiply, too, and are not understood: of other languages, or of more than one meaning.
const MAGNITUDES: &str = " k kk bn bln mn mln mld mrd mio tn trn tsd tys cr mil mille mila dozens \
    tausend millionen milliarde milliarden billionen trillionen milliard milliards \
    millón millones millardo millardos billón billones milione milioni miliardo miliardi bilione \
    milhão milhões bilhão bilhões bilião biliões trilhão trilhões duizend miljoen miljard biljoen \
    tusen tusind miljon miljoner miljarder millioner milliarder \
    tysiąc tysiące tysięcy milion miliony milionów miliard miliarda miliardy miliardów tisíc tisíce milionu milionů \
    mii milioane miliarde ezer millió milliárd tuhat tuhatta miljoona miljoonaa miljardi miljardia \
    bin milyon milyar ribu rb juta jt miliar nghìn ngàn triệu tỷ tỉ hiljada tisuća milijun milijarda \
    тыс тысяча тысячи тысяч млн миллион миллиона миллионов млрд миллиард миллиарда миллиардов трлн \
    тисяч тисячі мільйон мільйони мільйонів мільярд мільярдів \
    χιλιάδες εκατομμύρια δισεκατομμύρια ألف آلاف مليون ملايين مليار אלף אלפים מיליון מיליארד \
    हज़ार हजार लाख करोड़ करोड ";
/// What multiplies in scripts without spaces, and the hours and months of their times.
const UNSPACED_SCALES: [&str; 26] = [
    "万",
    "萬",
    "亿",
    "億",
    "兆",
    "千",
    "百",
    "十",
    "만",
    "천",
    "백",
    "십",
    "억",
    "조",
    "พัน",
    "หมื่น",
    "แสน",
    "ล้าน",
    "点",
    "點",
    "时",
    "時",
    "月",
    "半",
    "시",
    "월",
];
/// Functions whose argument is not their value. The first few are also written without parentheses.
const FUNCTIONS: &str = " sqrt cbrt log ln lg sin cos tan cot csc arcsin arccos arctan sinh cosh tanh \
    asin acos atan sec exp abs floor ceil ceiling round max min gcd lcm gcf hcf fact factorial mod det pow phi gamma \
    binom choose comb perm sum prod lim sgn arg var cov sigma int root ncr npr ";
/// Functions that are also written without parentheses.
const BARE_FUNCTIONS: &str = " sqrt cbrt log ln lg sin cos tan cot csc arcsin arccos arctan sinh cosh tanh ";
/// LaTeX that multiplies or goes on, where it stands behind digits.
const FACTORS: &str = " pi sqrt frac dfrac tfrac cfrac ln log lg sin cos tan cot sec csc exp arcsin arccos arctan binom sum prod \
    int infty alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau \
    upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega vec hat ";
/// What of something is another number: `square root of 2`, `half of 10`.
const PARTS_OF: &str = " half third thirds quarter quarters fourth fourths fifth fifths sixth sixths eighth eighths tenth tenths \
    hundredth hundredths square cube root logarithm log ln factorial reciprocal inverse negative opposite double \
    triple twice percent multiple multiples powers ";
/// Words before a number that multiply it.
const MULTIPLIERS: &str = " twice double triple quadruple thrice ";
/// Fractions as words: `5 tenths`. In the singular they count: `5 third graders`.
const FRACTIONS: &str = " halves thirds quarters fourths fifths sixths sevenths eighths ninths tenths hundredths thousandths \
    millionths ";
/// Single letters that are variables or constants where they touch a number, and not units.
const VARIABLES: &str = "abefijknoqruvwxyz";
/// What may stand behind a number with spaces between and makes another of it.
pub(super) const TAILS: [&str; 28] = [
    " and a half",
    " and one half",
    " and a quarter",
    " and one quarter",
    " and a third",
    " and three quarters",
    " squared",
    " cubed",
    " factorial",
    "-squared",
    "-cubed",
    " or more",
    " or less",
    " or fewer",
    " or greater",
    " or higher",
    " or lower",
    " or above",
    " or below",
    " o'clock",
    " o\u{2019}clock",
    " in the morning",
    " in the afternoon",
    " in the evening",
    " at night",
    " uhr",
    " score and",
    " to infinity",
];
/// What stands before the hour of a time.
pub(super) const HOURS: [&str; 4] = ["half past", "quarter past", "quarter to", "half-past"];
/// Signs and macros that compare: what stands beside them is a bound.
pub(super) const COMPARISONS: [&str; 11] = ["≤", "≥", "≠", "≦", "≧", "\\leq", "\\geq", "\\neq", "\\lt", "\\gt", "\\ne"];
/// The months, for the dates that hold their names.
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Whether a list of words between spaces has one.
pub(super) fn lists(words: &str, word: &str) -> bool {
    !word.is_empty()
        && words
            .match_indices(word)
            .any(|(at, _)| words[..at].ends_with(' ') && words[at + word.len()..].starts_with(' '))
}

/// The power of ten that an English word multiplies by.
pub(super) fn scale(word: &str) -> Option<i64> {
    SCALES.iter().find(|(scale, _)| word.eq_ignore_ascii_case(scale)).map(|(_, power)| *power)
}

/// Whether a word multiplies in a way that is not understood.
pub(super) fn is_magnitude(word: &str) -> bool {
    let first = word.chars().next();
    first.is_some_and(char::is_alphabetic) && lists(MAGNITUDES, &word.to_lowercase())
}

/// Whether letters that touch a number make another of it: `5k`, `$5M`, `2pi`, `3x`, `5pm`.
pub(super) fn is_factor(letters: &str, money: bool) -> bool {
    let mut all = letters.chars();
    if let (Some(only), None) = (all.next(), all.next()) {
        return VARIABLES.contains(only)
            || matches!(only, 'K' | 'M' | 'B' | 'T' | 'G' | 'k')
            || (money && only == 'm')
            || matches!(only, 'α'..='ω' if only != 'μ');
    }
    is_clock(letters) || is_magnitude(letters) || letters.eq_ignore_ascii_case("pi") || is_bare_function(letters)
}

/// The length of what multiplies digits in a script without spaces, or makes a time of them; `시간` and `時間` are hours as such.
pub(super) fn unspaced_scale(text: &str) -> Option<usize> {
    if ["시간", "時間", "时间"].iter().any(|hours| text.starts_with(hours)) {
        return None;
    }
    UNSPACED_SCALES.iter().find(|scale| text.starts_with(**scale)).map(|scale| scale.len())
}

/// Whether a word says which half of the day it is.
pub(super) fn is_clock(word: &str) -> bool {
    ["am", "pm"].iter().any(|clock| word.eq_ignore_ascii_case(clock))
}

/// Whether a name is that of a function.
pub(super) fn is_function(name: &str) -> bool {
    lists(FUNCTIONS, name) || lists(FUNCTIONS, &name.to_ascii_lowercase())
}

/// Whether a name is that of a function that needs no parentheses.
pub(super) fn is_bare_function(name: &str) -> bool {
    lists(BARE_FUNCTIONS, name)
}

/// Whether a macro of LaTeX behind digits makes more of them.
pub(super) fn is_latex_factor(name: &str) -> bool {
    lists(FACTORS, name)
}

/// Whether that which is `of` a number is another.
pub(super) fn is_part_of(word: &str) -> bool {
    lists(PARTS_OF, &word.to_ascii_lowercase())
}

/// Whether a word before a number multiplies it.
pub(super) fn is_multiplier(word: &str) -> bool {
    lists(MULTIPLIERS, &word.to_ascii_lowercase())
}

/// Whether a word is a fraction.
pub(super) fn is_fraction(word: &str) -> bool {
    lists(FRACTIONS, &word.to_ascii_lowercase())
}

/// Letters of scripts without spaces between words: a number beside them is a word of its own.
pub(super) fn is_unspaced(character: char) -> bool {
    matches!(character, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

pub(super) fn is_currency(character: char) -> bool {
    matches!(character, '$' | '¢'..='¥' | '֏' | '؋' | '৲' | '৳' | '฿' | '\u{20a0}'..='\u{20cf}')
}

/// Whether a character ends a term: what stands behind it, without a space, belongs to it.
pub(super) fn is_term(character: Option<char>) -> bool {
    character.is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | ']' | '}'))
}

/// Whether a word is a month, in full or short, with its capital.
pub(super) fn is_month(word: &str) -> bool {
    let short = |month: &str| word.len() >= 3 && word.len() <= 4 && month.starts_with(&word.to_ascii_lowercase());
    let full = |month: &str| word.eq_ignore_ascii_case(month);
    word.starts_with(|c: char| c.is_ascii_uppercase()) && MONTHS.iter().any(|month| full(month) || short(month))
}

/// The letters that a text begins with, of scripts that write spaces between words.
pub(super) fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphabetic() || is_unspaced(c)).unwrap_or(text.len());
    &text[..end]
}

/// How far a brace, a macro or an address may reach, in bytes.
pub(super) const FAR: usize = 80;

/// The letters that a text ends with; none where they are more than any word has.
pub(super) fn last_word(text: &str) -> &str {
    let near = end_of(text, FAR);
    match near.char_indices().rev().find(|(_, c)| !c.is_alphabetic() || is_unspaced(*c)) {
        Some((at, c)) => &near[at + c.len_utf8()..],
        None => near,
    }
}

/// The last bytes of a text, from a boundary of characters on.
pub(super) fn end_of(text: &str, bytes: usize) -> &str {
    let mut at = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(at) {
        at += 1;
    }
    &text[at..]
}
