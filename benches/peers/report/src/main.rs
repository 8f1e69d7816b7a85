//! Makes `RESULTS.md` and `times.svg` of what the programs printed: `peers-report RUNS TARGET`, both folders.
//!
//! `RUNS/machine` is one line about the machine and the day. `RUNS/FOLDER/PEER.STAGE.out` are lines in JSON, `.log` is what else
//! was printed, and `.status` the exit status, where `STAGE` is `build`, `verdicts` or `times`.

use std::{env, error::Error, fmt::Write, fs, path::PathBuf};

use self::runs::Folder;

mod cell;
mod plot;
mod runs;
mod tables;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(runs), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("usage: peers-report RUNS TARGET".into());
    };
    let mut text = format!(
        "# Results beside other crates\n\nMade by `./scripts/peers`: {}. The crates, versions and what is compared are described \
         in [the README](../README.md#beside-other-crates).\n",
        fs::read_to_string(runs.join("machine"))?.trim()
    );
    for (name, title) in [("tokens", "Access tokens"), ("keys", "API keys"), ("limits", "Rate limits")] {
        let folder = Folder::read(&runs.join(name))?;
        if folder.is_empty() {
            continue;
        }
        write!(text, "\n## {title}\n")?;
        text += &tables::all(name, &folder);
        if name == "tokens" {
            plot::draw(&target.join("times.svg"), &folder)?;
            text += "\n![Times of the first use of a token](times.svg)\n";
        }
    }
    fs::write(target.join("RESULTS.md"), text)?;
    Ok(())
}
