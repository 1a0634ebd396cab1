//! What a model is to do.

/// What a model is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To continue texts.
    Generator,
    /// To turn texts into vectors.
    Embedder,
    /// To turn texts into probabilities of labels.
    Classifier,
    /// To show what a model would see: tokenizer and chat template are enough.
    Renderer,
    /// Whatever it does.
    Any,
}
