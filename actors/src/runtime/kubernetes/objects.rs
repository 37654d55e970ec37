//! What is applied.
