//! A plan's text does what the plan says: whoever edits one, or writes it into a pull request, loses no rows of others without their leave.

use setpoint::plan::chain::Chain;

use crate::support::{Sandbox, TestDb};

/// Statements that look harmless to who ends a comment, a string or a number elsewhere than PostgreSQL.
const SMUGGLED: &[&str] = &[
    "COMMENT ON TABLE public.t IS 'x' -- harmless\r; DELETE FROM public.t",
    "COMMENT ON TABLE public.t IS E'a'\n'b\\'' ; DELETE FROM public.t; --'",
    "ALTER TABLE public.t SET (fillfactor = 90) -- x\r, DROP COLUMN keep",
];

/// What a step says, and a text that does something else.
const EDITED: &[(&str, &str)] = &[
    ("create \"comment on table public.t\"", "DELETE FROM public.t"),
    ("create \"column public.t.n\"", "ALTER TABLE public.t ADD COLUMN n integer, DROP COLUMN keep"),
    ("create \"column public.t.n\"", "ALTER TABLE public.t ADD COLUMN n integer; UPDATE public.t SET keep = NULL"),
    ("drop \"column public.t.n\"", "ALTER TABLE public.t DROP COLUMN keep"),
    ("drop \"table public.u\"", "DROP TABLE public.t"),
    ("create \"view public.v\"", "TRUNCATE public.t"),
    ("rename \"table public.t\" from=\"table public.s\"", "DO $$ BEGIN DELETE FROM public.t; END $$"),
];

/// A database with a row, and a plan of one step, sealed or with a hash that its author worked out.
fn planned(step: &str, sql: &str, sealed: bool) -> (TestDb, Sandbox) {
    let db = TestDb::with("CREATE TABLE t (id integer, keep text); INSERT INTO t VALUES (1, 'value')");
    let sandbox = Sandbox::new(&db);
    sandbox.ok(&["baseline", "--auto-approve"]);
    sandbox.ok(&["plan", "--save", "next", "--empty"]);
    let escaped = sql.replace('\\', "\\\\").replace('"', "\\\"").replace('\r', "\\r").replace('\n', "\\n");
    let text = sandbox.read("plans/0002-next.kdl");
    let at = text.rfind('}').expect("the plan ends");
    let step = format!("    step {step} transaction=1 {{\n        path public\n        sql \"{escaped}\"\n    }}\n");
    sandbox.write("plans/0002-next.kdl", &format!("{}{step}{}", &text[..at], &text[at..]));
    if sealed {
        sandbox.ok(&["seal", "2", "--no-rehearsal"]);
    } else {
        let dir = sandbox.path("plans");
        let text = sandbox.read("plans/0002-next.kdl");
        let (plan, _) = setpoint::plan::file::parse("plan", &text).expect("it is a plan");
        Chain::read(&dir).expect("a chain").replace(&plan).expect("it is written");
    }
    (db, sandbox)
}

#[test]
fn what_a_text_does_is_asked_for_whatever_its_step_says() {
    let smuggled = SMUGGLED.iter().map(|sql| ("manual", *sql));
    for (step, sql) in smuggled.chain(EDITED.iter().copied()) {
        for sealed in [true, false] {
            let (db, sandbox) = planned(step, sql, sealed);
            let refused = sandbox.exits(3, &["apply", "--auto-approve"]);
            assert!(
                ["data-loss", "unread-sql"].iter().any(|hazard| refused.stderr.contains(hazard)),
                "{step}: {sql:?}, sealed: {sealed}\n{}",
                refused.stderr
            );
            assert_eq!(db.value("SELECT keep FROM t"), "value", "{step}: {sql:?}");
        }
    }
}
