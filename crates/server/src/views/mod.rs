//! What is shown of the layers.
