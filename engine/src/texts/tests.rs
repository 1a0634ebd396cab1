//! Texts in rows: prompts, windows, passages, pairs, words and texts that are too long.

use super::*;
use proptest::prelude::*;

fn texts(model: &str) -> Texts {
    let folder = ModelFolder::new(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(model));
    let config = families::Config::read(&folder).unwrap();
    Texts::open(&folder, &config, &families::encoder(&config).unwrap()).unwrap()
}

fn embedder() -> Texts {
    texts("tests/fixtures/models/bert-mean")
}

fn input(text: &str, pair: Option<&str>, long: Long) -> TextInput {
    TextInput { text: text.to_owned(), text_pair: pair.map(str::to_owned), long }
}

fn sliding(texts: &Texts, text: &str, pair: Option<&str>) -> (Vec<Encoded>, Windows<usize>) {
    let rows = texts.encode(&input(text, pair, Long::Windows)).unwrap();
    let encoded: Vec<Encoded> = (0..rows.count()).map(|at| rows.row(at, texts).unwrap().into_owned()).collect();
    assert!(encoded.iter().enumerate().all(|(at, row)| row.ids.len() == rows.tokens(at)));
    assert!(encoded.iter().all(|row| row.ids.len() <= texts.limit && row.types.len() == row.ids.len()));
    match rows.reading((0..rows.count()).collect()).unwrap() {
        Reading::Windows(windows) => (encoded, windows),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn windows_cover_a_text_and_whatever_is_no_longer_than_half_of_one(tokens in 1usize..2000, room in 1usize..300) {
        let windows = windows(tokens, room);
        prop_assert_eq!((windows[0].start, windows.last().unwrap().end), (0, tokens));
        prop_assert!(windows.iter().all(|window| window.len() <= room && !window.is_empty()));
        let step = (room / 2).max(1);
        prop_assert!(windows.windows(2).all(|pair| pair[1].start - pair[0].start == step && pair[0].end < tokens));
        let half = (room - step + 1).min(room);
        for start in 0..tokens {
            let end = (start + half).min(tokens);
            prop_assert!(windows.iter().any(|window| window.start <= start && end <= window.end));
        }
    }
}

#[test]
fn a_text_within_the_limit_is_one_row_whatever_becomes_of_long_ones() {
    let texts = embedder();
    // 46 tokens and two special ones.
    let text = vec!["gold"; 46].join(" ");
    for long in [Long::Windows, Long::Cut, Long::Error] {
        match texts.encode(&input(&text, None, long)) {
            Ok(Rows::Whole(row)) => assert_eq!(row.ids.len(), 48),
            _ => panic!("{long:?}"),
        }
    }
    let longer = text + " gold";
    let Ok(Rows::Cut(row, length)) = texts.encode(&input(&longer, None, Long::Cut)) else { panic!() };
    assert_eq!((row.ids.len(), length, length.cut()), (48, Length { tokens: 49, read: 48 }, 1));
    let Err(unread) = texts.encode(&input(&longer, None, Long::Error)) else { panic!() };
    assert_eq!(unread.to_string(), "the text has 49 tokens, the model reads 48");
    let (rows, windows) = sliding(&texts, &longer, None);
    assert_eq!((rows.len(), windows.tokens), (2, 47));
    assert_eq!(rows[0], row, "the first window is what is left of a cut text");
}

#[test]
fn windows_hold_the_tokens_and_characters_of_their_part() {
    let texts = embedder();
    let words: Vec<String> = (0..300).map(|n| format!("gäld{}", n % 3)).collect();
    let text = words.join("  ");
    let (rows, windows) = sliding(&texts, &text, None);
    let whole = texts.tokenizer.encode(&text, false).unwrap();
    assert_eq!(windows.tokens, whole.len());
    for (row, (span, _)) in rows.iter().zip(&windows.windows) {
        assert_eq!(row.ids[1..row.ids.len() - 1], whole[span.tokens.clone()]);
        // What a window shows has its tokens: words that begin or end at its border are there whole or in part.
        let shown = span.of(&text);
        let said = texts.tokenizer.decode(&row.ids, true).unwrap().replace([' ', '#'], "");
        assert_eq!(said, shown.replace(' ', "").replace('ä', "a"));
    }
    assert_eq!(windows.windows.last().unwrap().0.characters.end, text.chars().count());
}

#[test]
fn a_prompt_stands_before_every_window() {
    let mut texts = embedder();
    let long = "silver ".repeat(200);
    let (plain, _) = sliding(&texts, &long, None);
    texts.prompt("gold gold: ".into(), false).unwrap();
    let prompt = texts.tokenizer.encode("gold gold: ", false).unwrap();
    let (rows, windows) = sliding(&texts, &long, None);
    assert!(rows.len() > plain.len(), "less room, more windows");
    assert!(rows.iter().all(|row| row.ids[1..].starts_with(&prompt) && row.skipped == 1 + prompt.len()));
    assert_eq!(windows.tokens, texts.tokenizer.encode(&long, false).unwrap().len());
    assert_eq!(windows.windows[0].0.of(&long).chars().next(), Some('s'));
    texts.prompt("gold ".repeat(60), true).unwrap();
    let Err(unread) = texts.encode(&input(&long, None, Long::Windows)) else { panic!() };
    assert_eq!(unread.to_string(), "failed to read the text in windows: the prompt leaves no room for it");
}

/// sentence-transformers may turn texts into lower case, which changes how many bytes they have.
#[test]
fn characters_are_those_of_the_text_as_it_was_given() {
    let mut texts = embedder();
    texts.lower_case = true;
    texts.prompt("İİ ".into(), true).unwrap();
    let text = "İstanbul ".repeat(100);
    let (_, windows) = sliding(&texts, &text, None);
    let last = &windows.windows.last().unwrap().0;
    assert!(last.of(&text).ends_with("İstanbul"), "{last:?} {}", last.of(&text));
    assert!(windows.windows.iter().all(|(span, _)| span.characters.end <= text.chars().count()));
}

#[test]
fn passages_follow_the_windows() {
    let mut texts = embedder();
    let long = "silver sea ".repeat(100);
    let (_, windows) = sliding(&texts, &long, None);
    texts.passage = Some(10);
    let (_, both) = sliding(&texts, &long, None);
    let spans = |windows: &Windows<usize>| windows.windows.iter().map(|(span, _)| span.clone()).collect::<Vec<_>>();
    let (windows, both) = (spans(&windows), spans(&both));
    let (first, passages) = both.split_at(windows.len());
    assert_eq!(first, windows);
    assert!(passages.iter().all(|span| span.tokens.len() <= 10));
    assert!(passages.windows(2).all(|pair| pair[1].tokens.start == pair[0].tokens.start + 5));
    assert_eq!(passages.last().unwrap().tokens.end, windows.last().unwrap().tokens.end);
    texts.passage = Some(100);
    assert_eq!(spans(&sliding(&texts, &long, None).1), windows, "none that are longer than windows");
}

#[test]
fn the_longer_text_of_a_pair_slides_past_the_other() {
    let texts = embedder();
    let (long, short) = ("silver ".repeat(100), "gold gold");
    let other = texts.tokenizer.encode(short, false).unwrap();
    for (text, pair, part) in [(&*long, short, Part::Text), (short, &long, Part::TextPair)] {
        let (rows, windows) = sliding(&texts, text, Some(pair));
        assert_eq!(windows.part, part);
        for row in &rows {
            let segment = row.ids.iter().zip(&row.types).filter(|(_, kind)| **kind == u32::from(part == Part::Text));
            let ids: Vec<u32> = segment.map(|(id, _)| *id).collect();
            assert!(ids.windows(other.len()).any(|ids| ids == other), "{ids:?}");
        }
        let Ok(Rows::Cut(cut, _)) = texts.encode(&input(text, Some(pair), Long::Cut)) else { panic!() };
        assert_eq!(rows[0], cut);
    }
    assert!(texts.encode(&input(&long, Some(&long), Long::Windows)).is_err(), "only one may be long");
}

#[test]
fn a_text_without_a_space_and_one_of_a_megabyte_have_windows() {
    let texts = embedder();
    let (_, windows) = sliding(&texts, &"金".repeat(100_000), None);
    assert_eq!(windows.windows.last().unwrap().0.characters.end, 100_000);
    let (rows, _) = sliding(&texts, &"The gold of the silver sea. ".repeat(37_000), None);
    assert!(rows.len() > 1000);
}

/// Piece by piece or at once, a text has the same tokens at the same places.
#[test]
fn a_long_text_is_read_as_one_that_is_tokenized_at_once() {
    for (model, word) in [("tests/fixtures/models/bert-mean", "gäld "), ("tests/fixtures/models/xlm-roberta", "gold, ")]
    {
        let texts = texts(model);
        let text = format!("{}silver sea", word.repeat(LONG / word.len() + 10));
        assert!(text.len() > LONG);
        let whole = texts.tokenizer.encode_plain(&text).unwrap();
        let pieces = texts.tokenizer.encode_pieces(&text, 7).unwrap();
        assert!(pieces.plain.ids == whole.ids, "{model}");
        // The first token of a piece may have the space before it, which some post-processors take for one of their own.
        let places = pieces.plain.bytes.iter().zip(&whole.bytes);
        assert!(places.into_iter().all(|(a, b)| a.1 == b.1 && b.0 - a.0 <= 1), "{model}");
        let (row, types) = texts.cut.encode_segments(&text, None).unwrap();
        let Ok(Rows::Cut(cut, length)) = texts.encode(&input(&text, None, Long::Cut)) else { panic!("not cut") };
        assert_eq!((&cut.ids, cut.types), (&row, types));
        let tokens = texts.tokenizer.encode(&text, true).unwrap().len();
        assert_eq!(length, Length { tokens, read: texts.limit });
        assert!(matches!(texts.encode(&input(&text, None, Long::Error)), Err(Unread::TooLong(told)) if told == length));
        let (rows, windows) = sliding(&texts, &text, None);
        assert_eq!((windows.tokens, &rows[0].ids), (whole.ids.len(), &row));
        assert!(windows.windows.last().unwrap().0.of(&text).ends_with("silver sea"));
        let pair = "gold silver";
        let Ok(Rows::Cut(cut, _)) = texts.encode(&input(&text, Some(pair), Long::Cut)) else { panic!("not cut") };
        let right = texts.cut.encode_segments(&text, Some(pair)).unwrap();
        assert_eq!((cut.ids, cut.types), right);
    }
}

/// A tokenizer may have added tokens that the model has no vector for: a text with one fails, and no other.
#[test]
fn a_token_beyond_the_table_fails_its_text() {
    let mut texts = embedder();
    texts.vocab = 5;
    let Err(Unread::Failed(error)) = texts.encode(&input("gold silver", None, Long::Cut)) else { panic!("read") };
    assert!(error.contains("outside the embedding table (5 rows)"), "{error}");
}

/// WordPiece makes one unknown token of a word of more than a hundred characters: nothing of it would be read.
#[test]
fn a_word_that_is_too_long_is_read_in_pieces_or_counted_or_refused() {
    let texts = embedder();
    let word = "goldsilver".repeat(11);
    let text = format!("sea {word} sea");
    let spaced = texts.tokenizer.spaced(&text, &texts.tokenizer.encode(&text, true).unwrap()).unwrap();
    assert!(spaced.is_some(), "{:?}", texts.tokenizer.encode(&text, true));
    let Ok(Rows::Cut(row, length)) = texts.encode(&input(&text, None, Long::Cut)) else { panic!("not cut") };
    let plain = texts.tokenizer.encode_segments(&text, None).unwrap().0;
    assert_eq!((&row.ids, length.read), (&plain, plain.len()), "as transformers has it");
    let (_, read) = sliding(&texts, &text, None);
    assert_eq!(read.tokens + 2, length.tokens);
    assert!(length.cut() >= 12, "{length}");
    assert!(matches!(texts.encode(&input(&text, None, Long::Error)), Err(Unread::TooLong(told)) if told == length));
    let text = format!("sea {} end", "goldsilver".repeat(1000));
    let (rows, windows) = sliding(&texts, &text, None);
    assert!(rows.len() > 20);
    let (first, last) = (windows.windows[0].0.of(&text), windows.windows.last().unwrap().0.of(&text));
    assert!(first.starts_with("sea gold") && last.ends_with("silver end"), "{first} {last}");
    assert!(windows.windows.iter().all(|(span, _)| span.of(&text).len() > 25));
}
