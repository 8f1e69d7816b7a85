//! The table of a run.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::{self, Write},
};

/// The results of one round of one route.
#[derive(Clone, Copy)]
struct Round {
    /// Requests a second.
    rate: f64,
    /// The 99th percentile of the latency, in milliseconds.
    p99: f64,
    /// Processor time of the server for each request, in microseconds.
    time: f64,
}

/// Server, route, and kind of credential.
type Row<'a> = (&'a str, &'a str, &'a str);

/// The Markdown table of results: one line for each round of each route, with the name of the server, the route, the kind of
/// credential, requests a second, the 99th percentile of the latency in µs, and processor time of the server in µs. The rounds
/// of a route are in the order in which they were measured, and are compared with those of the bare route.
pub(crate) fn table(text: &str) -> Result<String, Box<dyn Error>> {
    let (mut rows, mut rounds) = (Vec::new(), BTreeMap::<Row<'_>, Vec<Round>>::new());
    for line in text.lines() {
        let [server, route, credential, rate, p99, time] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("not a result: {line}").into());
        };
        let row = (server, route, credential);
        if !rounds.contains_key(&row) {
            rows.push(row);
        }
        let round = Round { rate: rate.parse()?, p99: p99.parse::<f64>()? / 1000.0, time: time.parse()? };
        rounds.entry(row).or_default().push(round);
    }

    let mut table = String::new();
    writeln!(
        table,
        "| server | route | credential | requests a second | ÷ bare | p99, ms | ÷ bare | processor, µs | − bare |"
    )?;
    writeln!(table, "|---|---|---|---|---|---|---|---|---|")?;
    for row @ (server, route, credential) in rows {
        let bare = rounds.get(&(server, "bare", credential)).ok_or("a server without its bare route")?;
        let of = &rounds[&row];
        if of.len() != bare.len() {
            return Err(format!("{server} {route} was not measured in each round").into());
        }
        let column = |value: fn(&Round) -> f64| Spread::of(of.iter().map(value));
        let ratio = |value: fn(&Round) -> f64| Spread::of(of.iter().zip(bare).map(|(a, b)| value(a) / value(b)));
        let above = Spread::of(of.iter().zip(bare).map(|(a, b)| a.time - b.time));
        write!(table, "| {server} | `/{route}` | {credential} | {:.0} ", column(|round| round.rate))?;
        write!(table, "| {:.2} | {:.2} ", ratio(|round| round.rate), column(|round| round.p99))?;
        write!(table, "| {:.2} | {:.1} ", ratio(|round| round.p99), column(|round| round.time))?;
        writeln!(table, "| {above:.1} |")?;
    }
    Ok(table)
}

/// A median, with the range.
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        Self { least: values[0], median: values[values.len() / 2], most: values[values.len() - 1] }
    }
}

/// With the number of decimals of the format.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or_default();
        let Self { least, median, most } = self;
        write!(f, "{median:.decimals$} ({least:.decimals$} to {most:.decimals$})")
    }
}
