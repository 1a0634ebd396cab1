//! Model configurations: whatever `config.json` says is a specification or an error.
#![no_main]

use karat::engine::models::families;
use karat::engine::models::families::Config;
use karat::engine::models::model_folder::ModelFolder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (folder, _) = karat_fuzz::file("config.json", data);
    let config = match Config::read(&ModelFolder::new(folder)) {
        Ok(config) => config,
        Err(error) => return karat_fuzz::shown(&error),
    };
    match families::decoder(&config) {
        Ok(spec) => assert!(spec.check().is_ok()),
        Err(error) => karat_fuzz::shown(&error),
    }
    if let Err(error) = families::encoder(&config) {
        karat_fuzz::shown(&error);
    }
});
