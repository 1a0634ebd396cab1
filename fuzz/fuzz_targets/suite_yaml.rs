//! Suite files from arbitrary bytes, through loading and the linter; after a NUL, options of `--set`, one a line.
#![no_main]

use karat::suite::{Linted, Overrides, Purpose, Suite, lint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (suite, options) = karat_fuzz::two(data);
    // What a device would answer is not the suite's business.
    if suite.windows(5).any(|part| part == b"/dev/" || part == b"/proc") {
        return;
    }
    let options = String::from_utf8_lossy(options);
    let set = options.lines().filter_map(|line| Overrides::parse_set(line).ok()).collect();
    let overrides = Overrides { set, ..Overrides::default() };
    let (_, path) = karat_fuzz::file("suite.yaml", suite);
    let loaded = Suite::load(&path, &overrides, Purpose::Look);
    let findings = lint(&Linted { path: &path, overrides: &overrides, purpose: Purpose::Look, renderer: None });
    match loaded {
        Ok(_) => {}
        Err(error) => {
            karat_fuzz::shown(&error);
            assert!(karat::suite::has_errors(&findings), "load refuses what lint passes: {}", error.chain());
        }
    }
});
