use peers::Entry;

/// The case or path that an entry is about; notes have none.
pub(crate) fn case(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::Time { path, .. } => Some(path),
        Entry::Verdict { case, .. } | Entry::Figure { case, .. } | Entry::Error { case, .. } => Some(case),
        Entry::About { .. } => None,
    }
}

/// Whether an entry is a verdict that is not as wanted, or none where one is wanted.
pub(crate) fn is_wrong(entry: &Entry) -> bool {
    match entry {
        Entry::Verdict { want, got, .. } => !want.is_met_by(*got),
        Entry::Error { .. } => true,
        _ => false,
    }
}

/// The text of a cell: what is not as wanted is bold.
pub(crate) fn text(entry: &Entry) -> String {
    match entry {
        Entry::Verdict { got, .. } if is_wrong(entry) => format!("**{got}**"),
        Entry::Verdict { got, .. } => got.to_string(),
        Entry::Error { error, .. } if error.starts_with("panic") => "**panic**".to_owned(),
        Entry::Error { .. } => "**error**".to_owned(),
        Entry::Figure { value, unit, at_least, .. } => {
            let (value, unit) =
                if unit == "ms" && *value >= 1_000.0 { (value / 1_000.0, "s") } else { (*value, &**unit) };
            let more = if *at_least { "> " } else { "" };
            format!("{more}{} {unit}", number(value)).trim_end().to_owned()
        }
        Entry::Time { ns, floor_ns, .. } => format!("{} ({:.2} ×)", time(*ns), ns / floor_ns),
        Entry::About { notes } => notes.clone(),
    }
}

/// A time, in the unit that suits it.
pub(crate) fn time(ns: f64) -> String {
    if ns < 1_000.0 { format!("{ns:.0} ns") } else { format!("{} µs", number(ns / 1_000.0)) }
}

/// A number with two digits or more, and no needless fraction.
fn number(value: f64) -> String {
    if value.fract() == 0.0 || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Text that does not end a cell.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
