//! An object shares its transaction with its owner, its privileges and its comment, however many objects a plan has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use setpoint::kinds::{self, Mode};
use setpoint::model::Within;
use setpoint::plan::{Action, Plan, file};

use crate::support::{Sandbox, TestDb};

/// The plan that was saved last.
fn saved(sandbox: &Sandbox, name: &str) -> Plan {
    file::read(name, &sandbox.read(&format!("plans/{name}"))).unwrap_or_else(|error| panic!("{error}"))
}

/// The transactions of what makes an object, or says whose it is and who may do what with it, by object.
fn split(plan: &Plan) -> Vec<String> {
    let mut seen: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.mode == Mode::Normal) {
        let Some((word, _)) = step.object.split_once(' ') else { continue };
        let rest = step.object.as_str();
        let facet = kinds::find(word).is_some_and(|room| room.kind().within == Within::Any);
        let object = match facet {
            // `revoke public on function public.f()`, `comment on table public.t`.
            true => rest.split_once(" on ").map_or(rest, |(_, object)| object).to_owned(),
            false => step.object.clone(),
        };
        if step.action == Action::Create || facet {
            seen.entry(object).or_default().push(step.transaction);
        }
    }
    let differ = |numbers: &Vec<u32>| numbers.iter().any(|number| Some(number) != numbers.first());
    seen.into_iter()
        .filter(|(_, numbers)| differ(numbers))
        .map(|(object, numbers)| format!("{object}: {numbers:?}"))
        .collect()
}

/// A schema around the size at which a plan begins another transaction; where that falls depends on the seed.
fn schema(seed: u32) -> String {
    let mut out = String::new();
    for n in 0..seed % 7 {
        let _ = writeln!(out, "sequence aaa{n}");
    }
    for n in 0..700 + seed * 13 {
        match (n * 7 + seed) % 5 {
            0 => {
                let _ = write!(
                    out,
                    "table t{n} row-security=#true {{\n    comment \"of {n}\"\n    column id int\n    policy own {{ using \"id > {n}\" }}\n    grant select to=public\n}}\n"
                );
            }
            1 => {
                let _ = write!(out, "enum e{n} a b {{\n    comment \"of {n}\"\n    revoke usage from=public\n}}\n");
            }
            _ => {
                let _ = write!(
                    out,
                    "function f{n} security-definer returns=int language=sql {{\n    comment \"of {n}\"\n    revoke execute from=public\n    body-exact \"SELECT 1\"\n}}\n"
                );
            }
        }
    }
    out
}

#[test]
fn an_object_is_never_seen_without_its_rights() {
    for seed in [0, 1, 4] {
        let db = TestDb::new();
        let sandbox = Sandbox::new(&db);
        sandbox.write("schema/a.kdl", &schema(seed));
        sandbox.ok(&["plan", "--save", "many"]);
        let plan = saved(&sandbox, "0001-many.kdl");
        assert!(plan.steps.iter().any(|step| step.transaction > 1), "one transaction has no boundary");
        assert_eq!(split(&plan), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn what_is_taken_down_is_put_back_where_an_enum_grows() {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    let before = "enum e a\ntable t {\n    column id int\n    column v e\n    column n \"numeric(12,2)\"\n    check c \"n >= 0\"\n}\n\
                  view w {\n    grant select to=public\n    sql \"SELECT v, n FROM t\"\n}\n";
    sandbox.write("schema/a.kdl", before);
    sandbox.ok(&["push", "--auto-approve", "--allow", "all"]);
    db.execute("INSERT INTO t VALUES (1, 'a', 2.5)");
    sandbox.write("schema/a.kdl", &before.replace("enum e a", "enum e a b").replace("(12,2)", "(14,2)"));
    sandbox.ok(&["plan", "--save", "grow"]);
    let plan = saved(&sandbox, "0002-grow.kdl");
    let view: Vec<u32> = plan.steps.iter().filter(|s| s.object == "view public.w").map(|s| s.transaction).collect();
    assert!(view.len() >= 2 && view.iter().all(|number| Some(number) == view.first()), "{view:?}");
    assert_eq!(split(&plan), Vec::<String>::new());
    sandbox.ok(&["apply", "--auto-approve", "--allow", "all"]);
    sandbox.ok(&["plan", "--exit-code"]);
    sandbox.ok(&["rollback", "--to", "1", "--auto-approve", "--allow", "all"]);
    assert_eq!(db.query("SELECT * FROM w"), ["a|2.50"]);
}
