//! The manual and the other documents agree with the code, and are written in the standard terms of the field.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
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
                matches!(
                    status,
                    "400"
                        | "401"
                        | "403"
                        | "404"
                        | "405"
                        | "408"
                        | "409"
                        | "413"
                        | "415"
                        | "422"
                        | "429"
                        | "500"
                        | "503"
                ),
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

/// The error codes in the table of statuses.
fn documented_codes() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("src/manual/refusals.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let rows = rows.filter(|row| row.starts_with(|c: char| c.is_ascii_digit()));
    let cells = rows.map(|row| row.split(" | ").nth(1).unwrap());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The error codes that refusals have, and the source without its documentation.
fn used_codes() -> (BTreeSet<String>, String) {
    let mut found = Vec::new();
    files(&root().join("src"), "rs", &mut found);
    let (mut codes, mut source) = (BTreeSet::new(), String::new());
    for file in found {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        if file.ends_with("refusal/kind.rs") || file.ends_with("api_key/routes/error.rs") {
            let words = code.split('"').skip(1).step_by(2);
            let words = words.filter(|word| word.chars().all(|c| matches!(c, 'a'..='z' | '_')));
            codes.extend(words.map(str::to_owned));
        }
        for before in ["with_code(\"", "ChallengeError::new(\""] {
            codes.extend(code.split(before).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
        source.push_str(&code);
    }
    (codes, source)
}

#[test]
fn the_manual_has_each_error_code() {
    let (documented, (used, source)) = (documented_codes(), used_codes());
    assert!(used.len() > 20, "{used:?}");
    let missing: Vec<_> = used.difference(&documented).collect();
    assert!(missing.is_empty(), "{missing:?} are not in the table");
    for code in &documented {
        assert!(source.contains(&format!("\"{code}\"")), "{code} does not exist");
    }
}

/// What documentation does not say, because a reader has to translate it; CONTRIBUTING.md has the replacements.
const PHRASES: &[&str] = &[
    "anew",
    "answered with",
    "as it stands",
    "as they stand",
    "asked about",
    "at hand",
    "bad key",
    "counts no more",
    "from the first key to",
    "good key",
    "in the hand of",
    "looked at",
    "of your own",
    "passed over",
    "remembered",
    "remembers",
    "so long may",
    "so many",
    "tells",
    "ten lines",
    "the way of a request",
    "told",
    "two commands",
    "what always holds",
    "what it is not",
    "whoever",
];

/// What a first line does not begin with: it is a noun phrase or a verb.
const OPENINGS: &[&str] = &[
    "At", "By", "For", "From", "How", "In", "Of", "On", "To", "What", "When", "Where", "Whether", "Which", "Who",
    "Whose", "Why", "With",
];

/// Text between code blocks, with the file and line at which each paragraph begins.
fn paragraphs(file: &Path) -> Vec<(String, String, bool)> {
    let text = fs::read_to_string(file).unwrap();
    let is_code = file.extension().is_some_and(|extension| extension == "rs");
    let mut found: Vec<(String, String, bool)> = Vec::new();
    let (mut in_block, mut is_first, mut is_open) = (false, true, false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let line = match (is_code, line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))) {
            // A code block that is included.
            (true, None) if line.starts_with("#![doc") => continue,
            (true, None) => {
                (is_first, is_open, in_block) = (true, false, false);
                continue;
            }
            (true, Some(line)) => line.trim(),
            (false, _) => line.trim(),
        };
        if line.starts_with("```") {
            in_block = !in_block;
            is_open = false;
        } else if line.is_empty() || in_block {
            is_open = false;
        } else if is_open {
            let (_, paragraph, _) = found.last_mut().unwrap();
            *paragraph = format!("{paragraph} {line}");
        } else {
            found.push((format!("{}:{}", file.display(), number + 1), line.to_owned(), is_first && is_code));
            (is_first, is_open) = (false, true);
        }
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root().join("src"), "rs", &mut found);
    for satellite in fs::read_dir(root().join("crates")).unwrap() {
        let satellite = satellite.unwrap().path();
        files(&satellite.join("src"), "rs", &mut found);
        files(&satellite, "md", &mut found);
    }
    for folder in ["examples", "interop"] {
        files(&root().join(folder), "rs", &mut found);
        files(&root().join(folder), "md", &mut found);
    }
    let names = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benches/README.md"];
    found.extend(names.iter().map(|name| root().join(name)));
    found
}

#[test]
fn the_documentation_uses_none_of_the_phrases_that_have_a_plain_replacement() {
    let mut hits = Vec::new();
    let paragraphs = documents().into_iter().flat_map(|file| paragraphs(&file));
    // The table of the phrases.
    for (place, text, _) in paragraphs.filter(|(_, text, _)| !text.starts_with("| Instead of |")) {
        let words = text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), " ");
        let words = format!(" {} ", words.split_whitespace().collect::<Vec<_>>().join(" "));
        let phrases = PHRASES.iter().filter(|phrase| words.contains(&format!(" {phrase} ")));
        hits.extend(phrases.map(|phrase| format!("{place}: {phrase:?}")));
    }
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn a_first_line_is_a_noun_phrase_or_a_verb() {
    let mut hits = Vec::new();
    for (place, text, is_first) in documents().iter().flat_map(|file| paragraphs(file)) {
        let opening = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        if is_first && OPENINGS.contains(&opening) {
            hits.push(format!("{place}: {text}"));
        }
    }
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}
