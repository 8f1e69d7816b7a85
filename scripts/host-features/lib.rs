//! Nothing: the features are in `Cargo.toml`.
