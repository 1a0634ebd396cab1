//! Conditions of gates from arbitrary text: what is understood is written so that it is understood again.
#![no_main]

use karat::rule::Expression;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(expression) = Expression::parse(text) {
        let again = Expression::parse(&expression.to_string()).expect("read what was written");
        assert_eq!(again, expression, "{text}");
    }
});
