//! The workflows of `docs/ci`: their shell lines are run in a project of their own, with the comment-posting commands replaced.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::{Outcome, Sandbox, TestDb, repository, server};

/// The shell scripts of a job, in order: values of `run:`, or the items of `script:` (`before_script:` of the job it extends too).
fn scripts(workflow: &str, job: &str) -> Vec<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> =
        workflow.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')).collect();
    let start =
        lines.iter().position(|line| line.trim() == format!("{job}:")).unwrap_or_else(|| panic!("no job {job}"));
    let inside = depth(lines[start]);
    let body: Vec<&str> = lines[start + 1..].iter().copied().take_while(|line| depth(line) > inside).collect();
    let mut out = Vec::new();
    if let Some(parent) = body.iter().find_map(|line| line.trim().strip_prefix("extends: ")) {
        out.extend(scripts(workflow, parent));
    }
    let mut list = None; // how far the items of a `script:` are indented
    let mut at = 0;
    while let Some(line) = body.get(at) {
        at += 1;
        let text = line.trim();
        list = list.filter(|indent| depth(line) >= *indent);
        if matches!(text, "script:" | "before_script:") {
            list = body.get(at).map(|next| depth(next));
            continue;
        }
        let item = text.strip_prefix("- ").filter(|_| list == Some(depth(line)));
        let run = text.trim_start_matches("- ").strip_prefix("run: ");
        match item.or(run) {
            Some("|") => {
                let block: Vec<&str> =
                    body[at..].iter().copied().take_while(|next| depth(next) > depth(line)).collect();
                at += block.len();
                out.push(block.iter().map(|line| line.trim().to_owned() + "\n").collect());
            }
            Some(script) => out.push(script.to_owned()),
            None => {}
        }
    }
    out
}

/// A project whose repository a machine checked out, and what the machine has besides.
struct Machine {
    sandbox: Sandbox,
    db: TestDb,
}

impl Machine {
    /// The files of a project: a database at plan 1, and plan 2 to review.
    fn new() -> Self {
        let db = TestDb::new();
        let sandbox = Sandbox::new(&db);
        sandbox.write(
            "schema/shop.kdl",
            "table customers {\n    column id bigint identity=always\n    primary-key id\n}\n",
        );
        sandbox.ok(&["plan", "--save", "customers"]);
        sandbox.ok(&["apply", "--auto-approve"]);
        sandbox.write(
            "schema/shop.kdl",
            "table customers {\n    column id bigint identity=always\n    column name text\n    primary-key id\n}\n",
        );
        sandbox.ok(&["plan", "--save", "names"]);
        // What sends comments keeps them here instead.
        for (name, file) in [("gh", "plan.md"), ("curl", "plan.md")] {
            sandbox.write(&format!("bin/{name}"), &format!("#!/bin/sh\necho \"$@\" > sent\ncat {file} >> sent\n"));
            let path = sandbox.path(&format!("bin/{name}"));
            Command::new("chmod").arg("+x").arg(&path).status().expect("chmod runs");
        }
        Self { sandbox, db }
    }

    /// Runs scripts as the machines do: each in a shell of its own that stops at the first error.
    fn run(&self, scripts: &[String]) -> Outcome {
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_setpoint")).parent().expect("it stands in a folder");
        let path = [
            self.sandbox.path("bin").display().to_string(),
            program.display().to_string(),
            server().binaries.dir.display().to_string(),
            std::env::var("PATH").unwrap_or_default(),
        ];
        let mut all = Outcome { code: 0, stdout: String::new(), stderr: String::new() };
        for script in scripts {
            let output = Command::new("bash")
                .args(["-e", "-o", "pipefail", "-c", script])
                .current_dir(self.sandbox.path(""))
                .env_clear()
                .env("PATH", path.join(":"))
                .envs(std::env::var("HOME").map(|home| ("HOME", home)))
                .envs([("DATABASE_URL", self.db.url()), ("DATABASE_URL_READ_ONLY", self.db.url())])
                .envs([("REQUEST", "https://example.org/1"), ("COMMENT_TOKEN", "secret")])
                .envs([("CI_API_V4_URL", "https://example.org"), ("CI_PROJECT_ID", "1"), ("CI_MERGE_REQUEST_IID", "2")])
                .stdin(Stdio::null())
                .output()
                .expect("a shell starts");
            all.stdout += &String::from_utf8_lossy(&output.stdout);
            all.stderr += &String::from_utf8_lossy(&output.stderr);
            all.code = output.status.code().unwrap_or(-1);
            if all.code != 0 {
                break;
            }
        }
        all
    }
}

#[test]
fn workflows_review_apply_and_watch() {
    for name in ["github.yml", "gitlab.yml"] {
        let workflow = fs::read_to_string(repository().join("docs/ci").join(name)).expect("it is there");
        let machine = Machine::new();
        let job = |job: &str, code: i32| {
            let scripts = scripts(&workflow, job);
            assert!(scripts.len() >= 2, "{name}: {job} runs {scripts:?}");
            let outcome = machine.run(&scripts);
            assert_eq!(outcome.code, code, "{name}: {job}\n{}\n{}", outcome.stdout, outcome.stderr);
            outcome
        };
        let review = job("review", 0);
        assert!(
            review.stdout.contains("proved up, down and up again"),
            "{name}: nothing is proved in {}",
            review.stdout
        );
        let sent = machine.sandbox.read("sent");
        assert!(sent.contains("customers") && sent.contains("name"), "{name}: nobody is told of the change:\n{sent}");
        let applied = job("apply", 0);
        assert!(applied.stdout.contains("2 names (applied"), "{name}: {}", applied.stdout);
        assert_eq!(machine.sandbox.ok(&["plan"]), "Nothing to do.\n");
        job("drift", 0);
        machine.db.execute("ALTER TABLE customers ADD COLUMN by_hand text");
        job("drift", 2);
        // A change without a plan does not pass review.
        machine.sandbox.write("schema/more.kdl", "enum mood happy sad\n");
        job("review", 1);
    }
}
