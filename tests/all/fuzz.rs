//! Random changes to real files: neither the reader nor the load may crash, hang, or use up memory.
//!
//! A run begins with a fixed seed; `SETPOINT_FUZZ_SEED` and `SETPOINT_FUZZ_SECONDS` look further. A long run, in a fast build:
//! `SETPOINT_FUZZ_SECONDS=600 cargo test --release --test all -- --ignored --nocapture fuzz`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use setpoint::kdl::{self, Splices};
use setpoint::{diff, load};

use crate::support::{files, repository};

/// An input that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Inputs do not grow beyond this.
const MAX_BYTES: usize = 16 << 10;
/// So much more memory than before may be in use after a run.
const MAX_GROWTH: usize = 512 << 20;

/// What means something to the reader, or to some room.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "{}",
    ";",
    "\n",
    "\r\n",
    "\\\n",
    "\\ // x\n",
    "//",
    "/*",
    "*/",
    "/-",
    "(",
    ")",
    "(sql)",
    "=",
    "\"",
    "\"\"\"",
    "#\"\"\"\n",
    "\n\"\"\"#",
    "#",
    "##\"",
    "\"##",
    "null",
    "#null",
    "true",
    "#true",
    "inf",
    "#inf",
    "-",
    "-1",
    "0x",
    "1e",
    "1_0",
    "9999999999999999999999",
    "1.",
    "\u{feff}",
    "\u{0}",
    "\u{85}",
    "\u{2028}",
    "\u{a0}",
    "\u{202e}",
    "\u{1b}",
    "é",
    "😀",
    " ",
    "\t",
    "schema public ",
    "table t ",
    "column a ",
    "integer ",
    "\"numeric(1\"",
    "\"integer[\"",
    "not-null ",
    "default=",
    "was=a ",
    "name=",
    "primary-key a\n",
    "references t ",
    "foreign-key a ",
    "index ",
    "key (sql)\"(\" ",
    "check \"'\" ",
    "partition-of t ",
    "inherits t ",
    "view v ",
    "sql \"SELECT *\" ",
    "enum e a ",
    "function f ",
    "arg a ",
    "body \"\" ",
    "grant select to=a ",
    "revoke ",
    "owner a\n",
    "comment \"x\"\n",
    "sequence s ",
    "owned-by=t.a ",
    "trigger ",
    "policy p ",
    "publication p ",
    "range r ",
    "cast a b ",
    "operator \"+\" ",
    "aggregate x ",
    "domain d ",
    "\"a.b\" ",
    "\"\\\"\" ",
    "\"$1\" ",
    "\"/*\" ",
    "\"--\" ",
    "\"E'\\\\\" ",
    "\"$$\" ",
    "extension x\n",
    "options a=b ",
    "with a=1 ",
    "type x ",
    "attribute a ",
];

/// A generator of numbers (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.roll(length + 1);
        let most = if self.roll(4) == 0 { length } else { 40 };
        from..(from + self.roll(most.max(1))).min(length)
    }
}

/// Texts to begin with: the schema files of this repository.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = ["schema", "fixtures"]
        .iter()
        .flat_map(|folder| files(&repository().join(folder), ".kdl"))
        .filter_map(|path| std::fs::read(path).ok())
        .filter(|text| text.len() < MAX_BYTES)
        .collect();
    for path in files(repository(), ".md").into_iter().filter(|path| !path.starts_with(repository().join("target"))) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        seeds.extend(
            text.split("```kdl\n").skip(1).filter_map(|part| part.split("\n```").next()).map(|t| t.as_bytes().to_vec()),
        );
    }
    assert!(seeds.len() > 20, "only {} seeds", seeds.len());
    // Most files here are wrong ones: let the others have as many turns.
    let well = |text: &Vec<u8>| std::str::from_utf8(text).is_ok_and(|text| load::load_texts(&named(&[text])).is_ok());
    let (well, wrong): (Vec<_>, Vec<_>) = seeds.into_iter().partition(well);
    let turns = 1 + wrong.len() / well.len().max(1);
    let mut seeds = wrong;
    seeds.extend(std::iter::repeat_n(well, turns).flatten());
    seeds
}

/// One of the seeds after some changes.
fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut text = seeds[dice.roll(seeds.len())].clone();
    // Few changes leave many schemas, many of them few.
    for _ in 0..=[0, 0, 1, 2, 7][dice.roll(5)] {
        let at = dice.range(text.len());
        match dice.roll(9) {
            0 => drop(text.drain(at)),
            1 => {
                let copy = text[at.clone()].to_vec();
                text.splice(at.start..at.start, copy);
            }
            2 => {
                let other = &seeds[dice.roll(seeds.len())];
                let part = other[dice.range(other.len())].to_vec();
                text.splice(at, part);
            }
            3 => {
                if let Some(byte) = text.get_mut(at.start) {
                    *byte ^= 1 << dice.roll(8);
                }
            }
            4 => {
                let most = if dice.roll(16) == 0 { 12 } else { 4 };
                let many = TOKENS[dice.roll(TOKENS.len())].repeat(1 << dice.roll(most));
                text.splice(at.start..at.start, many.into_bytes());
            }
            5 => {
                text.splice(at, TOKENS[dice.roll(TOKENS.len())].bytes());
            }
            6 => {
                let token = TOKENS[dice.roll(TOKENS.len())].bytes();
                text.splice(at.start..at.start, token);
            }
            7 => text.truncate(at.start),
            _ => {
                let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
                let (one, two) = (dice.roll(lines.len()), dice.roll(lines.len()));
                let mut lines: Vec<Vec<u8>> = lines.into_iter().map(<[u8]>::to_vec).collect();
                if one < lines.len() && two < lines.len() {
                    lines.swap(one, two);
                }
                text = lines.concat();
            }
        }
        text.truncate(MAX_BYTES);
    }
    text
}

/// The reader, the layout and editing: what is accepted keeps its meaning.
fn reader(text: &str) {
    let Ok(nodes) = kdl::read(0, text) else { return };
    match kdl::format(0, text) {
        Ok(once) => assert_eq!(kdl::format(0, &once).expect("what was laid out can be read"), once),
        // Depth inside of what is commented out.
        Err(problems) => assert!(problems.iter().all(|p| !p.message.contains("without changing")), "{problems:?}"),
    }
    if let Some(node) = nodes.first() {
        let unix = kdl::unix_lines(text);
        let nodes = kdl::read(0, &unix).expect("it was read before");
        let mut splices = Splices::new(&unix);
        splices.insert_after(&nodes[0], std::slice::from_ref(node));
        let twice = splices.finish();
        assert_eq!(kdl::read(0, &twice).expect("one node more").len(), nodes.len() + 1, "{twice}");
        let mut splices = Splices::new(&unix);
        splices.remove(&nodes[0]);
        let less = splices.finish();
        assert_eq!(kdl::read(0, &less).expect("one node less").len(), nodes.len() - 1, "{less}");
    }
}

fn named(texts: &[&str]) -> Vec<(PathBuf, String)> {
    let named = |(at, text): (usize, &&str)| (PathBuf::from(format!("schema/{at}.kdl")), (*text).to_owned());
    texts.iter().enumerate().map(named).collect()
}

/// The whole load, of one file or of two; true for what is accepted, which survives its canonical files.
fn whole_load(texts: &[&str]) -> bool {
    let texts = named(texts);
    let Ok(loaded) = load::load_texts(&texts) else { return false };
    let written = load::write::files(&loaded.state);
    let again = match load::load_texts(&written) {
        Ok(again) => again,
        // As below; a reference to a function names its types, too.
        Err(error) if texts.iter().any(|(_, text)| text.contains("public.")) => {
            let routines = ["function", "procedure", "aggregate", "operator"].map(|word| format!("there is no {word}"));
            let problems = error.message.split("\n\n").filter(|problem| problem.contains("-->"));
            let expected = |problem: &str| routines.iter().any(|words| problem.starts_with(words));
            assert!({ problems }.all(expected), "{error}\n{written:#?}");
            return true;
        }
        Err(error) => panic!("{error}\n{written:#?}"),
    };
    // A type that no file declares may lose the schema that was written before it: only the server knows whether it is the same.
    let found = diff::compare(&loaded.state, &again.state);
    let differs = !found.created.is_empty() || !found.dropped.is_empty() || !found.changed.is_empty();
    assert!(!differs, "{found:?}\n{written:#?}");
    assert_eq!(load::write::files(&again.state), written);
    true
}

/// The bytes of memory that this process has in use, where the system says so.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap_or(0) << 10
}

fn run(seconds: u64) {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|t| t.parse().ok()).unwrap_or(default);
    let seed = number("SETPOINT_FUZZ_SEED", 20_240_601);
    let (seeds, mut dice, before) = (seeds(), Dice(seed), memory());
    let (begun, limit) = (Instant::now(), Duration::from_secs(number("SETPOINT_FUZZ_SECONDS", seconds)));
    let (mut inputs, mut accepted) = (0u64, 0u64);
    let current: Arc<Mutex<(Instant, String)>> = Arc::new(Mutex::new((Instant::now(), String::new())));
    let over = Arc::new(AtomicBool::new(false));
    let watched = (Arc::clone(&current), Arc::clone(&over));
    let watch = std::thread::spawn(move || {
        while !watched.1.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(200));
            let (since, text) = watched.0.lock().expect("nobody panics with it").clone();
            if since.elapsed() > PATIENCE && !watched.1.load(Ordering::Relaxed) {
                eprintln!("an input takes longer than {PATIENCE:?}:\n{text}");
                std::process::abort();
            }
        }
    });
    while begun.elapsed() < limit {
        let (bytes, other) = (mutated(&mut dice, &seeds), mutated(&mut dice, &seeds));
        inputs += 1;
        let (text, other) =
            (String::from_utf8_lossy(&bytes).into_owned(), String::from_utf8_lossy(&other).into_owned());
        *current.lock().expect("nobody panics with it") = (Instant::now(), format!("{text:?}\n{other:?}"));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            reader(&text);
            if inputs % 4 == 0 {
                whole_load(&[&text, &other]);
            }
            whole_load(&[&text])
        }));
        let Ok(well) = outcome else {
            over.store(true, Ordering::Relaxed);
            panic!("seed {seed}, input {inputs}:\n{text:?}\n{other:?}");
        };
        accepted += u64::from(well);
    }
    over.store(true, Ordering::Relaxed);
    watch.join().expect("it only waits");
    let grown = memory().saturating_sub(before);
    assert!(grown < MAX_GROWTH, "{} MB more in use after {inputs} inputs", grown >> 20);
    assert!(accepted * 20 > inputs, "only {accepted} of {inputs} inputs were schemas");
    println!("{inputs} inputs, {accepted} of them schemas, in {:.0?}, {} MB more in use", begun.elapsed(), grown >> 20);
}

#[test]
fn some_seconds() {
    run(5);
}

#[test]
#[ignore = "minutes; see the top of the file"]
fn fuzz_for_minutes() {
    run(600);
}
