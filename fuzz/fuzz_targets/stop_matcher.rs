//! Stop strings over random ids, held against decoding everything at once; the input is pairs of bytes, ids after stops.
#![no_main]

use std::sync::LazyLock;

use karat::engine::models::model_folder::ModelFolder;
use karat::engine::tokenizer::{StopMatcher, Tokenizer, check_stops};
use libfuzzer_sys::fuzz_target;

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let open = |name| Tokenizer::from_folder(&ModelFolder::new(karat_fuzz::fixture(name))).expect("a fixture");
    ["qwen2", "bert", "llama"].map(open).into()
});

fuzz_target!(|data: &[u8]| {
    let (stops, ids) = karat_fuzz::two(data);
    let Some((choice, ids)) = ids.split_first() else { return };
    let tokenizer = &TOKENIZERS[usize::from(choice % 3)];
    let skip = choice & 4 == 0;
    let all: Vec<String> = String::from_utf8_lossy(stops).split('|').map(str::to_owned).collect();
    // Others are refused before they get here.
    let stops: Vec<String> = all.into_iter().filter(|stop| check_stops(std::slice::from_ref(stop)).is_ok()).collect();
    let ids: Vec<u32> = ids.chunks_exact(2).take(200).map(|pair| u32::from(pair[0]) | u32::from(pair[1] & 1) << 8).collect();
    let decode = |count: usize| tokenizer.decode(&ids[..count], skip).expect("decodes");

    let mut stream = tokenizer.stream(skip);
    ids.iter().for_each(|id| {
        stream.push(*id);
    });
    assert_eq!(stream.finish(), decode(ids.len()));

    let decode = |count: usize| tokenizer.decode(&ids[..count], true).expect("decodes");
    let mut matcher = StopMatcher::new(tokenizer, &stops);
    for (index, id) in ids.iter().enumerate() {
        let stopped = matcher.push(*id);
        let Some(stopped) = stopped.expect("decodes") else { continue };
        assert!(stops.contains(&stopped.stop) && !stopped.stop.is_empty());
        assert!(stopped.ids <= index + 1);
        assert!(!stops.iter().any(|stop| !stop.is_empty() && stopped.text.contains(stop.as_str())), "an earlier stop");
        // A run of byte tokens may still turn out broken after the stop was met, which changes its text; and half a character may
        // find its other half behind a special token in which the stop was met.
        if choice % 3 != 2 {
            let whole = decode(index + 1);
            let kept = decode(stopped.ids);
            // The same halves may be apart in the text that spells special tokens out, and one in the text that does not.
            assert!(whole.starts_with(&stopped.text) || stopped.text == kept, "{whole:?} {stopped:?}");
            assert!(stopped.text.starts_with(&kept));
        }
        return;
    }
    let whole = decode(ids.len());
    assert!(!stops.iter().any(|stop| !stop.is_empty() && whole.contains(stop.as_str())), "a stop was missed");
});
