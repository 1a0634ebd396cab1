//! Input lines of the engine commands.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for read in karat::cli::fuzzing::lines(data) {
        // Every byte can end at most one line.
        assert!(read.len() <= data.len() + 1, "the stream never ends");
        read.into_iter().filter_map(Result::err).for_each(|error| karat_fuzz::shown(&error));
    }
});
