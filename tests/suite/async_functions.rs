//! The public async functions of a crate, for tests that compile an assertion for each of them.

use std::{fs, path::Path};

/// Asserts that the text of a test calls each public async function below a folder, and returns their number.
pub fn assert_all_are_in(test: &str, source: impl AsRef<Path>) -> usize {
    let mut names = Vec::new();
    collect(source.as_ref(), &mut names);
    let missing: Vec<_> = names.iter().filter(|name| !test.contains(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "add `assert_send` for the futures of these functions: {missing:?}");
    names.len()
}

/// Collects the names of public async functions, except in examples of the documentation.
fn collect(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            collect(&entry.path(), names);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(entry.path()).unwrap();
            let functions = text.lines().filter_map(|line| line.trim_start().strip_prefix("pub async fn "));
            names.extend(functions.filter_map(|rest| rest.split(['(', '<']).next()).map(Into::into));
        }
    }
}
