//! The manual and the other documents agree with the code, and are written in the standard terms of the field.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|known| known == extension) {
            found.push(path);
        }
    }
}

/// The rows of the table of reasons, without their statuses: what it means, and what to look at.
fn documented() -> BTreeMap<String, (String, String)> {
    let text = fs::read_to_string(root().join("src/manual/refusals.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let rows = rows.map(|row| row.trim_end_matches(" |").split(" | ").collect::<Vec<_>>());
    rows.map(|row| {
        let [reason, statuses, meaning, look_at] = row[..] else { panic!("a row has four columns: {row:?}") };
        for status in statuses.split(", ") {
            assert!(
                matches!(status, "400" | "401" | "403" | "408" | "413" | "429" | "500" | "503"),
                "{reason}: {status}"
            );
        }
        (reason.trim_end_matches('`').to_owned(), (meaning.to_owned(), look_at.to_owned()))
    })
    .collect()
}

/// The constants of `Reason` with their documentation: two paragraphs, the second of which begins with "Look at: ".
fn defined() -> BTreeMap<String, (String, String)> {
    let mut found = Vec::new();
    files(&root().join("src"), "rs", &mut found);
    let mut reasons = BTreeMap::new();
    for file in found.iter().filter(|file| file.ends_with("reason.rs") && !file.ends_with("src/reason.rs")) {
        let mut paragraphs = vec![String::new()];
        for line in fs::read_to_string(file).unwrap().lines().map(str::trim) {
            if line == "///" {
                paragraphs.push(String::new());
            } else if let Some(text) = line.strip_prefix("/// ") {
                let paragraph = paragraphs.last_mut().unwrap();
                *paragraph = format!("{paragraph} {text}").trim().to_owned();
            } else if let Some((name, text)) = line.split_once(" = \"") {
                let reason = text.trim_end_matches("\";").to_owned();
                assert_eq!(name, reason.to_uppercase(), "{}", file.display());
                let [meaning, look_at] = &paragraphs[..] else { panic!("{reason} has two paragraphs") };
                let look_at = look_at.strip_prefix("Look at: ").unwrap_or_else(|| panic!("{reason}: {look_at}"));
                let known = reasons.insert(reason, (meaning.clone(), look_at.to_owned()));
                assert_eq!(known, None, "{name} is defined twice");
                paragraphs = vec![String::new()];
            }
        }
    }
    reasons
}

#[test]
fn the_manual_explains_each_reason_as_its_constant_does() {
    let (documented, defined) = (documented(), defined());
    assert!(defined.len() > 130, "{} reasons were found", defined.len());
    for (reason, texts) in &defined {
        assert_eq!(documented.get(reason), Some(texts), "{reason}");
    }
    assert_eq!(documented.len(), defined.len(), "the table has reasons that do not exist");
}
