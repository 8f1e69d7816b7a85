use std::{collections::BTreeSet, fs, io, path::Path};

use peers::{Entry, Line};

/// What the programs of one folder printed.
pub(crate) struct Folder {
    pub(crate) lines: Vec<Line>,
    pub(crate) failures: Vec<Failure>,
}

/// A program that was not built, or did not end well.
pub(crate) struct Failure {
    pub(crate) program: String,
    pub(crate) stage: &'static str,
    pub(crate) error: String,
}

impl Folder {
    /// Reads the runs, in the order of their programs. A folder that does not exist is empty.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut folder = Self { lines: Vec::new(), failures: Vec::new() };
        if !path.exists() {
            return Ok(folder);
        }
        let files: Result<Vec<_>, _> = fs::read_dir(path)?.collect();
        let names = files?.into_iter().filter_map(|file| file.file_name().into_string().ok());
        let programs: BTreeSet<_> =
            names.filter_map(|name| Some(name.strip_suffix(".build.status")?.to_owned())).collect();
        for program in programs {
            for stage in ["build", "verdicts", "times"] {
                folder.read_stage(path, &program, stage)?;
            }
        }
        Ok(folder)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.failures.is_empty()
    }

    /// The peers, in the order of their first lines.
    pub(crate) fn peers(&self) -> Vec<&str> {
        distinct(self.lines.iter().map(|line| &*line.peer))
    }

    /// The version and the note of a peer.
    pub(crate) fn about(&self, peer: &str) -> (&str, &str) {
        let mut lines = self.lines.iter().filter(|line| line.peer == peer);
        let version = lines.clone().next().map_or("", |line| &line.version);
        let notes = lines.find_map(|line| match &line.entry {
            Entry::About { notes } => Some(&**notes),
            _ => None,
        });
        (version, notes.unwrap_or_default())
    }

    fn read_stage(&mut self, path: &Path, program: &str, stage: &'static str) -> io::Result<()> {
        let file = |extension: &str| path.join(format!("{program}.{stage}.{extension}"));
        let (out, log, status) = (file("out"), file("log"), file("status"));
        let mut faults = Vec::new();
        if out.exists() {
            for text in fs::read_to_string(out)?.lines() {
                match serde_json::from_str(text) {
                    Ok(line) => self.lines.push(line),
                    Err(_) => faults.push(format!("not a line of the format: {text}")),
                }
            }
        }
        let status = if status.exists() { fs::read_to_string(status)? } else { "not run".to_owned() };
        match status.trim() {
            "0" => {}
            // Stages after the build are not run if it fails, which is a failure of the build.
            "not run" if stage != "build" && self.failures.iter().any(|failure| failure.program == program) => {}
            "124" => faults.push("stopped by the time limit".to_owned()),
            "not run" => faults.push("not run".to_owned()),
            status => faults.push(first_error(&fs::read_to_string(log)?).unwrap_or(format!("exit status {status}"))),
        }
        let program = program.to_owned();
        self.failures.extend(faults.into_iter().map(|error| Failure { program: program.clone(), stage, error }));
        Ok(())
    }
}

/// The first line of an error of the compiler, or the message of a panic.
fn first_error(log: &str) -> Option<String> {
    let mut lines = log.lines();
    let error = lines.find(|line| line.starts_with("error") || line.contains("panicked at"))?;
    let message = if error.starts_with("error") { error } else { lines.next().unwrap_or(error) };
    Some(message.trim().to_owned())
}

/// Each value once, in the order of first occurrence.
pub(crate) fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}
