//! Modules import from the floors below their own, and each module is on a floor.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each module under `src`, from the lowest floor up. A module imports from the floors below its own only: not from its
/// neighbours, and there are no exceptions.
const FLOORS: &[&[&str]] = &[
    &["digest", "eventual", "log", "metrics", "notice", "reason", "striped", "time", "url"],
    &["error", "outage", "warnings"],
    &["answer", "json", "scope"],
    &["request"],
    &["environment", "scheme"],
    &["refusal"],
    &["caller", "drain"],
    &["trail"],
    &["cache", "gate", "replay", "revocation"],
    &["auth", "body"],
    &["authorize", "axum", "certificate", "fetch", "rate_limit", "stream"],
    &["api_key", "audit", "decision_point", "metadata"],
    &["jwt"],
    &["dpop", "introspection", "signature"],
    &["mcp"],
    &["layer", "testing"],
    &["manual"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules of the crate that a text names after `crate::`, also in braces.
fn imports(text: &str, modules: &BTreeSet<&str>) -> BTreeSet<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let mut depth = 0;
        let mut word = String::new();
        let mut is_first = true;
        for c in rest.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                c if c.is_alphanumeric() || c == '_' => {
                    word.push(c);
                    continue;
                }
                _ => {}
            }
            if is_first && depth <= 1 && modules.contains(word.as_str()) {
                found.insert(word.clone());
            }
            // What follows `module::` is a name within it.
            is_first = depth == 1 && matches!(c, ',' | '{') || c.is_whitespace() && is_first;
            word.clear();
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn imports_point_down() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let modules: BTreeSet<&str> = FLOORS.iter().flat_map(|floor| floor.iter().copied()).collect();
    let (mut paths, mut wrong, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    files(&source, &mut paths);
    for path in paths {
        let relative = path.strip_prefix(&source).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let own = floor(module)
            .unwrap_or_else(|| panic!("{module} is missing from FLOORS and from the table in ARCHITECTURE.md"));
        seen.insert(module.to_owned());
        let mut text = fs::read_to_string(&path).unwrap();
        let depth = relative.components().count();
        if depth == 1 || depth == 2 && relative.ends_with("mod.rs") {
            // Here, `super` is the crate.
            text = text.replace("super::", "crate::");
        }
        for other in imports(&text, &modules) {
            let theirs = floor(&other).unwrap();
            if other != module && theirs >= own {
                wrong.push(format!("{} (floor {own}) imports {other} (floor {theirs})", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let gone: Vec<_> = modules.iter().filter(|module| !seen.contains(**module)).collect();
    assert!(gone.is_empty(), "on a floor, but not in src: {gone:?}");
}

#[test]
fn the_test_reads_imports_in_braces_and_paths() {
    let modules = ["cache", "time", "layer", "error"].into();
    let text = "use crate::{\n    cache::{Cache, time},\n    error::E,\n    Top,\n};\nfn f() { crate::layer::x() }";
    let found: Vec<_> = imports(text, &modules).into_iter().collect();
    assert_eq!(found, ["cache", "error", "layer"]);
    assert!(imports("// crate::cache", &modules).is_empty());
}

/// What admits a caller, and what attaches the challenges of a layer, has one call each.
#[test]
fn principals_and_challenges_have_one_exit() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    files(&source, &mut paths);
    let callers = |call: &str| {
        let is_call = |line: &&str| !line.trim_start().starts_with("//") && line.contains(call);
        let calls = paths.iter().flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let count = text.lines().filter(is_call).count();
            let relative = path.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
            std::iter::repeat_n(relative, count)
        });
        let mut calls: Vec<_> = calls.collect();
        calls.sort();
        calls
    };
    assert_eq!(callers("Principal::admit("), ["auth/authentication.rs"]);
    assert_eq!(
        callers("rejection.challenged("),
        ["auth/authentication.rs", "caller/extension.rs", "certificate/layer.rs"]
    );
}
