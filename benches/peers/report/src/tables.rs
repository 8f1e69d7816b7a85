use std::fmt::Write;

use peers::{Entry, Line};

use crate::{
    cell::{self, case, escaped, is_wrong},
    runs::{Folder, distinct},
};

/// All tables of a folder: that of its name first, the times last, and then what failed.
pub(crate) fn all(name: &str, folder: &Folder) -> String {
    let mut text = times(name, folder);
    let tables = distinct(folder.lines.iter().map(|line| &*line.table).filter(|table| *table != "time"));
    for table in tables {
        let lines: Vec<_> = folder.lines.iter().filter(|line| line.table == table).collect();
        let (cases, peers) = (cases(&lines), distinct(lines.iter().map(|line| &*line.peer)));
        if cases.is_empty() {
            continue;
        }
        let mut title = table.to_owned();
        title[..1].make_ascii_uppercase();
        let _ = write!(text, "\n### {title}\n\nWhat is not as wanted is bold.\n\n");
        text += &if cases.len() > peers.len() { by_case(&lines, &cases) } else { by_peer(&lines, &cases) };
    }
    text + &errors(folder)
}

/// Rows are peers, columns paths; the number of wrong verdicts beside the times.
fn times(name: &str, folder: &Folder) -> String {
    let lines: Vec<_> = folder.lines.iter().filter(|line| line.table == "time").collect();
    let paths = cases(&lines);
    if paths.is_empty() {
        return String::new();
    }
    let mut text = "\n### Times\n\nMedians of whole requests in one process, and the ratio to the floor, which is measured in turn \
                    with them.\n\n"
        .to_owned();
    let _ = writeln!(text, "| crate | verdicts not as wanted | {} | notes |", paths.join(" | "));
    let _ = writeln!(text, "|---|---|{}---|", "---|".repeat(paths.len()));
    let mut peers = folder.peers();
    let key = |peer: &str| lines.iter().find(|line| line.peer == peer).map_or(f64::INFINITY, |line| ratio(&line.entry));
    peers.sort_by(|a, b| key(a).total_cmp(&key(b)));
    for peer in peers {
        let cells: Vec<_> = paths.iter().map(|path| find(&lines, peer, path)).collect();
        let (version, notes) = folder.about(peer);
        let _ = writeln!(
            text,
            "| {peer} {version} | {} | {} | {} |",
            wrong(name, folder, peer),
            cells.join(" | "),
            escaped(notes)
        );
    }
    // A program without lines has no peer's name, but is not left out.
    for failure in folder.failures.iter().filter(|failure| failure.stage == "build") {
        let _ = writeln!(
            text,
            "| {} |  | {}did not build: {} |",
            failure.program,
            " | ".repeat(paths.len()),
            escaped(&failure.error)
        );
    }
    text + &floors(&lines, &paths)
}

/// The names and the range of the floors.
fn floors(lines: &[&Line], paths: &[&str]) -> String {
    let mut text = String::new();
    for path in paths {
        let of_path = lines.iter().filter_map(|line| match &line.entry {
            Entry::Time { path: other, floor, floor_ns, .. } if other == path => Some((floor, *floor_ns)),
            _ => None,
        });
        let (mut name, mut least, mut most) = ("", f64::INFINITY, 0.0_f64);
        for (floor, ns) in of_path {
            (name, least, most) = (floor, least.min(ns), most.max(ns));
        }
        if !name.is_empty() {
            let _ = writeln!(
                text,
                "- The floor of *{path}* is {name}: {} to {} in these runs.",
                cell::time(least),
                cell::time(most)
            );
        }
    }
    format!("\n{text}")
}

/// Rows are cases, columns peers, with what is wanted, and the sum of what is not as wanted.
fn by_case(lines: &[&Line], cases: &[&str]) -> String {
    let peers = distinct(lines.iter().filter(|line| case(&line.entry).is_some()).map(|line| &*line.peer));
    let mut text = format!("| case | want | {} |\n|---|---|{}\n", peers.join(" | "), "---|".repeat(peers.len()));
    for row in cases {
        let want = lines.iter().find_map(|line| match &line.entry {
            Entry::Verdict { case, want, .. } if case == row => Some(want.to_string()),
            _ => None,
        });
        let cells: Vec<_> = peers.iter().map(|peer| find(lines, peer, row)).collect();
        let _ = writeln!(text, "| {} | {} | {} |", escaped(row), want.unwrap_or_default(), cells.join(" | "));
    }
    let sums: Vec<_> = peers
        .iter()
        .map(|peer| lines.iter().filter(|line| line.peer == *peer && is_wrong(&line.entry)).count().to_string())
        .collect();
    text + &format!("| *not as wanted* |  | {} |\n", sums.join(" | "))
}

/// Rows are peers, columns cases.
fn by_peer(lines: &[&Line], cases: &[&str]) -> String {
    let peers = distinct(lines.iter().filter(|line| case(&line.entry).is_some()).map(|line| &*line.peer));
    let heads: Vec<_> = cases.iter().map(|case| escaped(case)).collect();
    let mut text = format!("| crate | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(cases.len()));
    for peer in peers {
        let cells: Vec<_> = cases.iter().map(|case| find(lines, peer, case)).collect();
        let _ = writeln!(text, "| {peer} | {} |", cells.join(" | "));
    }
    text
}

/// What failed, and the messages of all errors, each once for each peer.
fn errors(folder: &Folder) -> String {
    let mut items = Vec::new();
    for failure in &folder.failures {
        items.push(format!("- {}, {}: {}", failure.program, failure.stage, failure.error));
    }
    for peer in folder.peers() {
        let lines = folder.lines.iter().filter(|line| line.peer == peer);
        for error in distinct(lines.clone().filter_map(|line| match &line.entry {
            Entry::Error { error, .. } => Some(&**error),
            _ => None,
        })) {
            let cases: Vec<_> = lines
                .clone()
                .filter(|line| matches!(&line.entry, Entry::Error { error: other, .. } if other == error))
                .filter_map(|line| case(&line.entry))
                .collect();
            items.push(format!("- {peer}, {}: {error}", cases.join("; ")));
        }
    }
    if items.is_empty() { String::new() } else { format!("\n### Errors\n\n{}\n", items.join("\n")) }
}

fn cases<'a>(lines: &[&'a Line]) -> Vec<&'a str> {
    distinct(lines.iter().filter_map(|line| case(&line.entry)))
}

fn find(lines: &[&Line], peer: &str, row: &str) -> String {
    let line = lines.iter().find(|line| line.peer == peer && case(&line.entry) == Some(row));
    line.map_or_else(|| "–".to_owned(), |line| cell::text(&line.entry))
}

/// The number of wrong verdicts of a peer in the table of the folder. A second configuration, which is named after a comma, and
/// has only times, decides as the first.
pub(crate) fn wrong(name: &str, folder: &Folder, peer: &str) -> String {
    let of = |peer: &str| {
        let verdicts = folder.lines.iter().filter(|line| line.table == name && line.peer == peer);
        let verdicts: Vec<_> = verdicts.filter(|line| case(&line.entry).is_some()).collect();
        let wrong = verdicts.iter().filter(|line| is_wrong(&line.entry)).count();
        (!verdicts.is_empty()).then(|| format!("{wrong} of {}", verdicts.len()))
    };
    of(peer).or_else(|| of(peer.split(',').next()?)).unwrap_or_else(|| "–".to_owned())
}

fn ratio(entry: &Entry) -> f64 {
    match entry {
        Entry::Time { ns, floor_ns, .. } => ns / floor_ns,
        _ => f64::INFINITY,
    }
}
