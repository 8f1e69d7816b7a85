use std::fmt;

use serde::{Deserialize, Serialize};

/// One line of the output of a program: JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Line {
    /// The table that it is part of.
    pub table: String,
    /// The crate, and what distinguishes it from other rows of the same crate.
    pub peer: String,
    /// The version of the crate.
    pub version: String,
    /// What was found out.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a line states.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// The median time of one request, and of what it cannot be faster than, measured in turn.
    Time { path: String, ns: f64, floor: String, floor_ns: f64 },
    /// The status of a response, and the one that is wanted.
    Verdict { case: String, want: Want, got: u16 },
    /// A number. With `at_least`, the measurement was stopped at the value.
    Figure { case: String, value: f64, unit: String, at_least: bool },
    /// A case, path or figure without a result, for this reason.
    Error { case: String, error: String },
    /// What the reader has to know about the peer, such as its cryptography library.
    About { notes: String },
}

/// The wanted class of a status.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Want {
    #[serde(rename = "2xx")]
    Admitted,
    #[serde(rename = "4xx")]
    Refused,
    #[serde(rename = "5xx")]
    Failed,
}

impl Want {
    /// Whether a status is in the class.
    pub fn is_met_by(self, status: u16) -> bool {
        match self {
            Self::Admitted => (200..300).contains(&status),
            Self::Refused => (400..500).contains(&status),
            Self::Failed => (500..600).contains(&status),
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admitted => "2xx",
            Self::Refused => "4xx",
            Self::Failed => "5xx",
        })
    }
}

/// Prints the lines of one peer to the standard output.
#[derive(Clone, Debug)]
pub struct Lines {
    peer: String,
    version: String,
}

impl Lines {
    /// The lines of a peer. See [`pinned`] for its version.
    pub fn new(peer: &str, version: &str) -> Self {
        Self { peer: peer.to_owned(), version: version.to_owned() }
    }

    /// Prints a note.
    pub fn about(&self, table: &str, notes: &str) {
        self.print(table, Entry::About { notes: notes.to_owned() });
    }

    /// Prints the status of a response, or why there is none.
    pub fn verdict(&self, table: &str, case: &str, want: Want, got: Result<u16, String>) {
        match got {
            Ok(got) => self.print(table, Entry::Verdict { case: case.to_owned(), want, got }),
            Err(error) => self.error(table, case, &error),
        }
    }

    /// Prints a number.
    pub fn figure(&self, table: &str, case: &str, value: f64, unit: &str) {
        self.print(table, Entry::Figure { case: case.to_owned(), value, unit: unit.to_owned(), at_least: false });
    }

    /// Prints a number at which the measurement was stopped.
    pub fn at_least(&self, table: &str, case: &str, value: f64, unit: &str) {
        self.print(table, Entry::Figure { case: case.to_owned(), value, unit: unit.to_owned(), at_least: true });
    }

    /// Prints the nanoseconds of an operation, and those of its floor.
    pub fn time(&self, path: &str, ns: f64, floor: &str, floor_ns: f64) {
        self.print("time", Entry::Time { path: path.to_owned(), ns, floor: floor.to_owned(), floor_ns });
    }

    /// Prints that a case, path or figure has no result.
    pub fn error(&self, table: &str, case: &str, error: &str) {
        self.print(table, Entry::Error { case: case.to_owned(), error: error.to_owned() });
    }

    fn print(&self, table: &str, entry: Entry) {
        let (table, peer, version) = (table.to_owned(), self.peer.clone(), self.version.clone());
        let line = Line { table, peer, version, entry };
        println!("{}", serde_json::to_string(&line).expect("a line has nothing that JSON lacks"));
    }
}

/// The version that a manifest requires exactly: `name = "=1.2.3"`, or a table with `version = "=1.2.3"` on one line.
///
/// # Panics
///
/// If the manifest has no such line, so that no wrong version is printed.
pub fn pinned(name: &str, manifest: &str) -> String {
    let line = manifest.lines().find(|line| line.split('=').next().is_some_and(|key| key.trim() == name));
    let version = line.and_then(|line| line.split_once("\"=")?.1.split('"').next());
    version.unwrap_or_else(|| panic!("the manifest requires no exact version of {name}")).to_owned()
}
