//! What a pod's state means: a pure function.
