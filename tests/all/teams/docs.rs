//! Runs the commands of the README and of the page for Alembic users, and checks that they print what the pages show.
//!
//! A section is one scenario: a directory, an empty database, a shell. `console` blocks are run line by line; of their output the lines that
//! the page shows must come in that order, and a line `…` stands for any number of others. A comment `<!-- file: PATH -->` before a block
//! writes it into a file, `<!-- insert: PATH before TEXT -->` puts it before the first line that has the text, `<!-- replace: PATH FROM → TO
//! -->` edits a line, and `<!-- run: COMMAND -->` runs a command that readers need not see. `SETPOINT_UPDATE_DOCS=1` writes what was printed
//! into the page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shown::mask;
use crate::support::{TempDir, TestDb, repository, server};

/// The pages, and how many commands they have at least.
const PAGES: [(&str, usize); 2] = [("README.md", 15), ("docs/coming-from-alembic.md", 30)];

/// A shell that keeps its directory and variables from one command to the next.
struct Shell {
    dir: TempDir,
    db: TestDb,
    other: TestDb,
}

impl Shell {
    fn new() -> Self {
        let shell = Self { dir: TempDir::new(), db: TestDb::new(), other: TestDb::new() };
        fs::create_dir_all(shell.dir.path().join("work")).expect("can be made");
        fs::write(shell.dir.path().join("state"), "").expect("can be written");
        fs::write(shell.dir.path().join("cwd"), shell.dir.path().join("work").display().to_string())
            .expect("can be written");
        shell
    }

    fn cwd(&self) -> PathBuf {
        fs::read_to_string(self.dir.path().join("cwd")).expect("the shell wrote it").trim().into()
    }

    /// Runs a line; what it printed, and its exit code.
    fn run(&self, line: &str) -> (String, i32) {
        let home = self.dir.path().display();
        let script = format!(
            ". {home}/state\ncd \"$(cat {home}/cwd)\"\n{line}\ncode=$?\nexport -p > {home}/state\npwd > {home}/cwd\nexit $code"
        );
        let program = Path::new(env!("CARGO_BIN_EXE_setpoint")).parent().expect("the program stands in a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG") || name.starts_with("GIT_")) {
            command.env_remove(name);
        }
        let output =
            command
                .args(["-c", &format!("{{ {script}\n}} 2>&1")])
                .env("PATH", format!("{}:{}:{path}", program.display(), server().binaries.dir.display()))
                .env("NO_COLOR", "1")
                .env("HOME", self.dir.path())
                .envs([("DATABASE_URL", self.db.url()), ("OTHER_URL", self.other.url())])
                .envs(["AUTHOR", "COMMITTER"].iter().flat_map(|who| {
                    [(format!("GIT_{who}_NAME"), "Ada"), (format!("GIT_{who}_EMAIL"), "ada@example.org")]
                }))
                .stdin(Stdio::null())
                .output()
                .expect("a shell starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = text.replace(self.db.connect.database(), "app").replace(self.other.connect.database(), "other");
        (text, output.status.code().unwrap_or(-1))
    }
}

/// A line as it is compared: what differs from run to run is masked, and how columns are aligned does not count.
fn plain(line: &str) -> String {
    // Not every server comes with pg_dump; `prove` says so.
    if line.starts_with("warning: pg_dump was not found") {
        return String::new();
    }
    let masked = mask(line).replace(" by setpoint and by pg_dump N", " by setpoint");
    masked.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// True if the output is what the page shows.
fn agrees(shown: &[&str], output: &str) -> bool {
    let mut rest = output.lines().map(plain).filter(|line| !line.is_empty());
    let mut any = false;
    for line in shown.iter().map(|line| plain(line)).filter(|line| !line.is_empty()) {
        if line == "…" {
            any = true;
            continue;
        }
        let next = if any { rest.find(|found| *found == line) } else { rest.next() };
        if next.as_deref() != Some(&line) {
            return false;
        }
        any = false;
    }
    any || rest.next().is_none()
}

/// Runs a block, and gives it as it should be; what differs is noted.
fn block(shell: &Shell, lines: &[&str], at: usize, wrong: &mut Vec<String>) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = lines;
    while let Some((first, after)) = rest.split_first() {
        let Some(command) = first.strip_prefix("$ ") else {
            panic!("line {at}: a block begins with a command: {first}")
        };
        let size = after.iter().position(|line| line.starts_with("$ ")).unwrap_or(after.len());
        let (shown, later) = after.split_at(size);
        let (output, code) = shell.run(command);
        let failing = shown.iter().any(|line| line.starts_with("error:") || line.starts_with("CONFLICT"));
        let looking = command.contains("--exit-code") || command.contains(" drift");
        out.push((*first).to_owned());
        if agrees(shown, &output) && (failing != (code == 0) || looking) {
            out.extend(shown.iter().map(|line| (*line).to_owned()));
        } else {
            wrong.push(format!("line {at}: {command}: exit {code}\n{output}"));
            out.extend(output.trim_end().lines().map(|line| line.trim_end().to_owned()));
        }
        rest = later;
    }
    out
}

/// Writes a block into a file, or an edit.
fn file(shell: &Shell, comment: &str, text: &str) {
    let words = |prefix: &str| comment.strip_prefix(prefix).map(str::trim);
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if let Some(path) = words("file:") {
        let path = shell.cwd().join(path);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("can be made");
        fs::write(path, text).expect("can be written");
    } else if let Some((path, before)) = words("insert:").and_then(|rest| rest.split_once(" before ")) {
        let path = shell.cwd().join(path);
        let old = read(&path);
        let at = old.find(before).unwrap_or_else(|| panic!("no {before} in {old}"));
        let at = old[..at].rfind('\n').map_or(0, |at| at + 1);
        fs::write(&path, format!("{}{text}{}", &old[..at], &old[at..])).expect("can be written");
    } else if let Some((path, (from, to))) =
        words("replace:").and_then(|rest| rest.split_once(' ')).and_then(|(p, rest)| Some((p, rest.split_once(" → ")?)))
    {
        let path = shell.cwd().join(path);
        let old = read(&path);
        assert!(old.contains(from), "no {from} in {old}");
        fs::write(&path, old.replace(from, to)).expect("can be written");
    } else if let Some(command) = words("run:") {
        let (output, code) = shell.run(command);
        assert_eq!(code, 0, "{command}\n{output}");
    } else {
        panic!("what does <!-- {comment} --> mean?");
    }
}

#[test]
fn the_pages_say_what_happens() {
    PAGES.iter().for_each(|(name, commands)| page(name, *commands));
}

fn page(name: &str, commands: usize) {
    let path = repository().join(name);
    let page = fs::read_to_string(&path).expect("the page is there");
    let (mut out, mut wrong) = (Vec::<String>::new(), Vec::new());
    let mut shell: Option<Shell> = None;
    let mut pending: Option<String> = None;
    let mut run = 0;
    let lines: Vec<&str> = page.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        out.push(line.to_owned());
        at += 1;
        if line.starts_with("## ") {
            shell = None;
        }
        let comment = line.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(comment) = comment {
            let shell = shell.get_or_insert_with(Shell::new);
            match comment.starts_with("replace:") || comment.starts_with("run:") {
                true => file(shell, comment, ""),
                false => pending = Some(comment.to_owned()),
            }
        }
        let Some(language) = line.strip_prefix("```").filter(|_| line != "```") else { continue };
        let end = at + lines[at..].iter().position(|line| *line == "```").expect("a block ends");
        let inside = &lines[at..end];
        match (language, pending.take()) {
            ("console", _) => {
                let shell = shell.get_or_insert_with(Shell::new);
                run += inside.iter().filter(|line| line.starts_with("$ ")).count();
                out.extend(block(shell, inside, at, &mut wrong));
            }
            (_, Some(comment)) => {
                let shell = shell.get_or_insert_with(Shell::new);
                file(shell, &comment, &(inside.join("\n") + "\n"));
                out.extend(inside.iter().map(|line| (*line).to_owned()));
            }
            _ => out.extend(inside.iter().map(|line| (*line).to_owned())),
        }
        at = end;
    }
    assert!(run >= commands, "{name}: only {run} commands were found");
    if std::env::var_os("SETPOINT_UPDATE_DOCS").is_some() {
        fs::write(&path, out.join("\n") + "\n").expect("the page can be written");
        return;
    }
    assert!(wrong.is_empty(), "{name}: {} commands print something else:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_page_may_come_from_another_version_with_or_without_pg_dump() {
    let page = ["proved on PostgreSQL 15.20, compared by setpoint and by pg_dump 15.20, 2026-11-21T12:56:15Z"];
    assert!(agrees(
        &page,
        "proved on PostgreSQL 15.18, compared by setpoint and by pg_dump 15.18, 2027-01-02T03:04:05Z"
    ));
    let without = "warning: pg_dump was not found beside the server's programs: only setpoint compares\n\
                   proved on PostgreSQL 18.4, compared by setpoint, 2027-01-02T03:04:05Z";
    assert!(agrees(&page, without));
    assert!(!agrees(&page, "proved on PostgreSQL 15.20, compared by setpoint and by pg_dump 15.20"));
}

#[test]
fn pages_are_compared_line_by_line() {
    let output = "one\ntwo 2026-01-02T03:04:05Z\n\nthree\n";
    assert!(agrees(&["one", "two   2025-12-12T00:00:00Z", "three"], output));
    assert!(agrees(&["…", "three"], output) && agrees(&["one", "…"], output));
    assert!(!agrees(&["one", "three"], output) && !agrees(&["one"], output) && !agrees(&["three", "…"], output));
}
