//! The server that `scripts/loopback` measures, and the table of what it has measured.
//!
//! ```text
//! loopback serve <folder>    writes credentials to the folder, prints `listening <url>`, and serves
//! loopback report <file>     prints the table of the results in the file
//! ```

mod credentials;
mod report;
mod server;

use std::{env, error::Error, fs};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", folder] => server::serve(folder.as_ref()).await,
        ["report", file] => {
            print!("{}", report::table(&fs::read_to_string(file)?)?);
            Ok(())
        }
        _ => Err("usage: loopback serve <folder> | loopback report <file>".into()),
    }
}
