//! A build without candle-transformers: all that can be asked of it is an error.

use super::check_built;
use crate::error::{Error, Result};
use crate::models::EncoderSpec;
use crate::models::HeadKind;
use crate::models::families::Config;
use crate::models::model_folder::ModelFolder;
use crate::scheduler::backend::{Backend, EncoderBackend};

/// A decoder of candle-transformers: none, in this build.
pub enum Plan {}

impl Plan {
    /// Never there.
    ///
    /// # Errors
    /// Always.
    pub fn read(_folder: &ModelFolder, _config: &Config) -> Result<Self> {
        Err(absent())
    }

    /// Never there.
    ///
    /// # Errors
    /// Never called.
    pub fn check(&self, _folder: &ModelFolder) -> Result<()> {
        match *self {}
    }

    /// Never there.
    pub fn vocab(&self) -> usize {
        match *self {}
    }

    /// Never there.
    pub fn notes(&self) -> &[String] {
        match *self {}
    }

    /// Never there.
    ///
    /// # Errors
    /// Never called.
    pub fn load(&self, _folder: &ModelFolder) -> Result<Box<dyn Backend>> {
        match *self {}
    }
}

pub(crate) fn encoder(
    _folder: &ModelFolder,
    _config: &Config,
    _spec: &EncoderSpec,
    _head: HeadKind,
) -> Result<Box<dyn EncoderBackend>> {
    Err(absent())
}

pub(crate) fn check_encoder(_folder: &ModelFolder, _config: &Config, _spec: &EncoderSpec) -> Result<()> {
    Err(absent())
}

pub(crate) fn is_only_here(_config: &Config) -> bool {
    false
}

fn absent() -> Error {
    check_built().err().unwrap_or_else(|| Error::internal("failed to find the reference backend"))
}
