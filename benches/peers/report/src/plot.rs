use std::{error::Error, path::Path};

use peers::Entry;
use plotters::prelude::*;

use crate::{
    cell,
    runs::{Folder, distinct},
    tables::wrong,
};

/// Draws the times of paths that end with `first use` as bars, one group for each peer, with its number of wrong verdicts.
pub(crate) fn draw(path: &Path, folder: &Folder) -> Result<(), Box<dyn Error>> {
    let times = folder.lines.iter().filter_map(|line| match &line.entry {
        Entry::Time { path, ns, .. } if path.ends_with(SUFFIX) => Some((&*line.peer, &**path, *ns)),
        _ => None,
    });
    let times = times.collect::<Vec<_>>();
    let paths = distinct(times.iter().map(|time| time.1));
    let mut peers = distinct(times.iter().map(|time| time.0));
    let first = |peer: &str| times.iter().find(|time| time.0 == peer).map_or(0.0, |time| time.2);
    peers.sort_by(|a, b| first(a).total_cmp(&first(b)));
    let most = times.iter().map(|time| time.2).fold(1.0, f64::max);

    let group = BAR * paths.len() as i32 + GAP;
    let height = TOP + group * peers.len() as i32 + GAP;
    let root = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let style = |size: i32| ("sans-serif", size).into_font();
    root.draw(&Text::new("Whole request with a token that is presented for the first time", (GAP, GAP), style(18)))?;
    for (index, name) in paths.iter().enumerate() {
        let x = LEFT + 150 * index as i32;
        root.draw(&Rectangle::new([(x, 42), (x + 12, 54)], COLORS[index % COLORS.len()].filled()))?;
        root.draw(&Text::new(name.trim_end_matches(SUFFIX).to_owned(), (x + 18, 41), style(14)))?;
    }
    for (row, peer) in peers.iter().enumerate() {
        let top = TOP + group * row as i32;
        root.draw(&Text::new((*peer).to_owned(), (GAP, top), style(14)))?;
        let verdicts = format!("verdicts not as wanted: {}", wrong("tokens", folder, peer));
        root.draw(&Text::new(verdicts, (GAP, top + 17), style(12)))?;
        for (index, name) in paths.iter().enumerate() {
            let y = top + BAR * index as i32;
            let time = times.iter().find(|time| time.0 == *peer && time.1 == *name).map(|time| time.2);
            let end = LEFT + (time.unwrap_or(0.0) / most * f64::from(WIDTH - LEFT - 90)) as i32;
            root.draw(&Rectangle::new([(LEFT, y), (end, y + BAR - 2)], COLORS[index % COLORS.len()].filled()))?;
            let text = time.map_or_else(|| "not accepted".to_owned(), cell::time);
            root.draw(&Text::new(text, (end + 5, y + 1), style(12)))?;
        }
    }
    root.present()?;
    Ok(())
}

const SUFFIX: &str = ", first use";
const WIDTH: i32 = 900;
const LEFT: i32 = 290;
const TOP: i32 = 72;
const BAR: i32 = 15;
const GAP: i32 = 12;
const COLORS: [RGBColor; 3] = [RGBColor(31, 119, 180), RGBColor(255, 127, 14), RGBColor(44, 160, 44)];
