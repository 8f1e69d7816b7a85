//! A short run of all fuzz targets: the seeds, and mutations of them that are the same in each run.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use crate::fuzz::TARGETS;

/// The number of mutations for each target, unless `TOWER_WARDEN_FUZZ_RUNS` is another one.
const RUNS: u64 = 500;

#[test]
fn seeds_and_their_mutations_break_no_promise() {
    let runs = std::env::var("TOWER_WARDEN_FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    for (name, run) in TARGETS {
        let seeds = seeds(name);
        let runs = if cfg!(feature = "aws-lc-rs") { runs } else { runs / 20 };
        let accepted = seeds.iter().filter(|seed| execute(name, run, seed)).count();
        assert!((1..seeds.len()).contains(&accepted), "{accepted} seeds in tests/seeds/{name} are accepted");
        let mut random = Random(0x5EED);
        for _ in 0..runs {
            execute(name, run, &random.mutation(&seeds));
        }
    }
}

#[test]
fn each_folder_of_seeds_has_a_target() {
    for folder in fs::read_dir(folder()).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|(known, _)| *known == name), "tests/seeds/{name}");
    }
}

#[test]
fn each_target_has_a_binary_for_libfuzzer() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    // Not a part of the published package.
    let Ok(manifest) = fs::read_to_string(fuzz.join("Cargo.toml")) else { return };
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("[[bin]]\nname = \"{name}\"\n")), "{name}");
        let binary = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(binary.contains(&format!("fuzz!(\"{name}\")")), "{binary}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds")
}

/// In the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder().join(target)).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn execute(name: &'static str, run: fn(&[u8]) -> bool, input: &[u8]) -> bool {
    let _guard = Shown(name, input);
    run(input)
}

/// Prints an input if its target panics.
struct Shown<'a>(&'static str, &'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("the target {} fails with the input b\"{}\"", self.0, self.1.escape_ascii());
        }
    }
}

/// Numbers by SplitMix64.
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.number() % (bound as u64).max(1)) as usize
    }

    /// A seed with up to four changes.
    fn mutation(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            let end = at + self.below((input.len() - at).min(32) + 1);
            match self.below(5) {
                0 => drop(input.drain(at..end)),
                1 => input.insert(at, self.byte()),
                2 if at < input.len() => input[at] = self.byte(),
                // Once more, or in place of something.
                3 => drop(input.splice(at..at, input[at..end].to_vec())),
                _ => {
                    let other = &seeds[self.below(seeds.len())];
                    let start = self.below(other.len() + 1);
                    let length = self.below((other.len() - start).min(32) + 1);
                    drop(input.splice(at..end, other[start..start + length].iter().copied()));
                }
            }
        }
        input
    }

    /// Mostly one that has a meaning somewhere.
    fn byte(&mut self) -> u8 {
        const KNOWN: &[u8] = b"\0\t\n\r \"#%&'*+,-./0129:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\xff";
        if self.below(4) == 0 { self.number() as u8 } else { KNOWN[self.below(KNOWN.len())] }
    }
}
