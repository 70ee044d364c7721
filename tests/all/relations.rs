//! Keys, checks, references, indexes, triggers and policies, from a database to files and into another database.

use std::path::PathBuf;

use setpoint::catalog::Session;
use setpoint::diff::{self, Comparison};
use setpoint::load;
use setpoint::model::{Change, Edges, State};
use setpoint::plan::against::against;
use setpoint::plan::{Step, Wanted, plan};
use setpoint::project::Manage;
use setpoint::{introspect, model};

use crate::support::{TestDb, block_on, installed};

/// Everything that every supported version knows.
const ALL: &str = r#"
create function f() returns trigger language plpgsql as $$begin return null; end$$;
create table "Odd ""Name""" ("A b" int primary key, "select" text unique, constraint "C'k" check ("A b" > 0));
create table a (id int primary key, x int, y int, b text, constraint two unique (x, y),
    constraint three unique (y, x) deferrable initially deferred);
create table b (x int references a on delete cascade, y int, z int not null, b text,
    constraint k primary key (z) include (b) with (fillfactor = 70),
    constraint full_match foreign key (x, y) references a (x, y) match full on update restrict on delete set null deferrable,
    check (x > 0), check (x > 1), check (x > y), constraint ni check (y > 0) no inherit);
alter table b add constraint nv check (z > 0) not valid;
alter table b add foreign key (z) references "Odd ""Name""" not valid;
create unique index u on a (x desc, y nulls first);
create table c (x int, y int, foreign key (x, y) references a (x, y));
create index i1 on a (lower(b), (x + y), b text_pattern_ops) include (y) where x > 0 and b <> 'a,b';
create index i2 on a using brin (x) with (pages_per_range = 16);
create index i3 on a using hash (b);
create index i4 on a (b collate "C", (b || 'x') collate "C" desc nulls last, (b collate "POSIX"));
create table e (r int4range, p point, exclude using gist (r with &&) where (not isempty(r)));
create table parted (id int, d date not null, t text, primary key (id, d), check (id > 0), foreign key (id) references a) partition by range (d);
create table parted_1 partition of parted for values from ('2024-01-01') to ('2025-01-01');
create table parted_2 partition of parted default;
create index on parted (t);
create index hollow on only parted (id);
create table twice (a int constraint first primary key, b int constraint second unique, constraint third unique (a));
alter table twice add constraint fourth unique (b);
create index own on parted_1 (d desc);
create trigger pg after insert on parted for each row execute function f();
create table p (id int, check (id > 0) , constraint noi check (id < 9) no inherit);
create table child (x int unique) inherits (p);
create domain d as int check (value > 0) constraint d2 check (value < 10);
create trigger g1 before update of x, y on a for each row when (old.x is distinct from new.x) execute function f('it''s', '', 'b');
create trigger g2 after insert or delete on a for each statement execute function f();
create trigger g3 after update on a referencing old table as o new table as n for each statement execute function f();
create constraint trigger g4 after update on a from b deferrable initially deferred for each row execute function f();
create trigger g5 before truncate on a execute function f();
create trigger g6 before update on a for each row execute function suppress_redundant_updates_trigger();
alter table a disable trigger g2;
alter table a enable always trigger g3;
alter table a enable replica trigger g5;
create view v as select id, x from a;
create trigger gv instead of insert or update or delete on v for each row execute function f();
create materialized view m as select id, x from a;
create unique index on m (id);
alter table a enable row level security;
create policy p1 on a for select using (x > 0);
create policy p2 on a as restrictive to pg_monitor, pg_read_all_stats using (true) with check (x > 1);
create policy p3 on a for insert to public with check (exists (select from b where b.x = a.x));
comment on constraint three on a is 'deferred';
comment on index i1 is 'many parts';
comment on trigger g1 on a is 'when';
comment on policy p1 on a is 'rows';
comment on constraint d2 on domain d is 'below';
"#;

const FROM_15: &str = "
create table n (a int, b int, unique nulls not distinct (a, b), foreign key (a, b) references a (x, y) on delete set null (b));
create unique index nnd on n (b) nulls not distinct;
";

const FROM_18: &str = "
create table t18 (a int, check (a > 0) not enforced, foreign key (a) references a not enforced);
";

#[test]
fn databases_come_back_from_files() {
    for binaries in installed() {
        let mut sql = ALL.to_string();
        for (major, more) in [(15, FROM_15), (18, FROM_18)] {
            if binaries.major >= major {
                sql.push_str(more);
            }
        }
        block_on(round_trip(binaries.major, &sql));
    }
}

async fn round_trip(major: u32, sql: &str) {
    let (first, second) = (TestDb::on(major), TestDb::on(major));
    let session = open(&first, sql).await;
    let live = introspect::read(&session).await.unwrap_or_else(|e| panic!("PostgreSQL {major}: {e}"));
    let files: Vec<(PathBuf, String)> = load::write::files(&live.state);
    let shown: String = files.iter().map(|(_, text)| text.as_str()).collect();
    let loaded = load::load_texts(&files).unwrap_or_else(|e| panic!("PostgreSQL {major}: {e}\n{shown}"));
    same(major, "files", &live.state, &loaded.state, &shown);
    let other = open(&second, "").await;
    let empty = introspect::read(&other).await.unwrap_or_else(|e| panic!("PostgreSQL {major}: {e}")).state;
    let comparison = diff::compare(&empty, &loaded.state);
    let changes: Vec<Change> = diff::changes(&comparison, &diff::Answers::default(), &empty, &loaded.state);
    let edges = Edges::default();
    let wanted = Wanted::new(&empty, &loaded.state, &edges, changes, other.version);
    let made = plan(&wanted).unwrap_or_else(|e| panic!("PostgreSQL {major}: {e}"));
    for step in &made.steps {
        let path = if step.path.is_empty() {
            "pg_catalog".into()
        } else {
            step.path.iter().map(|p| format!("{p:?}")).collect::<Vec<_>>().join(", ")
        };
        let run = format!("SET search_path = {path}; {}", step.sql);
        other.batch(&run).await.unwrap_or_else(|e| panic!("PostgreSQL {major}: {e}\n{}", step.sql));
    }
    let made: String = made.steps.iter().map(|s| format!("{};\n", s.sql)).collect();
    other.batch("SET search_path = pg_catalog").await.expect("it can be set");
    let again = introspect::read(&other).await.unwrap_or_else(|e: model::Error| panic!("PostgreSQL {major}: {e}"));
    same(major, "a second database", &live.state, &again.state, &made);
}

async fn open(database: &TestDb, sql: &str) -> Session {
    let session = Session::open(&database.connect, "test").await.unwrap_or_else(|e| panic!("{e}"));
    if !sql.is_empty() {
        let sql = format!("SET search_path = public; {sql}; SET search_path = pg_catalog");
        session.batch(&sql).await.unwrap_or_else(|e| panic!("{e}"));
    }
    session
}

fn same(major: u32, what: &str, old: &State, new: &State, shown: &str) {
    let Comparison { created, dropped, changed, open } = diff::compare(old, new);
    let mut out = format!("created {created:?}\ndropped {dropped:?}\n");
    for (id, attrs) in &changed {
        out.push_str(&format!("{id} {attrs:?}\n  {:?}\n  {:?}\n", old.get(id), new.get(id)));
    }
    for open in &open {
        let value = |state: &State| state.get(&open.id).and_then(|o| o.value(open.attr).cloned());
        out.push_str(&format!("{} {}\n  {:?}\n  {:?}\n", open.id, open.attr, value(old), value(new)));
    }
    let nothing = created.is_empty() && dropped.is_empty() && changed.is_empty() && open.is_empty();
    assert!(nothing, "PostgreSQL {major}, {what}:\n{out}\n{shown}");
}

const BEFORE: &str = r#"
function f returns=trigger language=plpgsql {
    body "begin return null; end"
}
table target {
    column id integer
    column code "varchar(10)"
    column other integer
    primary-key id
    unique code
    unique other
}
table t {
    column id integer
    column a integer
    column b "varchar(10)"
    column c integer
    primary-key id
    unique a b
    check "a > 0"
    check ok "a < 100"
    check later "a < 50" not-valid
    foreign-key a { references target id }
    foreign-key b { references target code }
    foreign-key c name=moves { references target other }
    exclude using=gist name=ex { key (sql)"int4range(a, c)" with="&&" }
    index i1 a
    index i2 a { where "a > 0" }
    index i3 b
    trigger g1 after update for-each=row function=f { of a; when "new.a > 0" }
    trigger g2 after insert function=f
    policy p1 { using "a > 0" }
    policy p2 for=insert { with-check "a > 0" }
}
"#;

const AFTER: &str = r#"
function f returns=trigger language=plpgsql {
    body "begin return null; end"
}
table target {
    column id bigint
    column code "varchar(10)"
    column other integer
    primary-key id name=target_key
    unique code { include other }
    unique other
}
table t row-security {
    column id integer
    column a bigint
    column b "varchar(20)"
    column d integer was=c
    primary-key id { with fillfactor=70 }
    unique a b deferrable=#true
    check "a > 1"
    check fine "a < 100" was=ok
    check later "a < 50"
    foreign-key a { references target id on-delete=cascade }
    foreign-key b initially-deferred=#true { references target code }
    foreign-key d name=moves { references target other }
    exclude using=gist name=ex { key (sql)"int4range(a::integer, d)" with="&&" }
    index i4 a was=i1
    index i2 a { where "a IN (1, 2)" }
    index i3 b { with fillfactor=70 }
    trigger g1 after update for-each=row function=f { of a; when "new.a > 1" }
    trigger g3 after insert function=f enabled=always was=g2
    policy p1 to=pg_monitor { using "a > 1" }
    policy p2 for=insert { with-check "a IN (1, 2)" }
}
"#;

#[test]
fn every_change_leads_there_and_back() {
    for binaries in installed() {
        block_on(change(binaries.major));
    }
}

async fn change(major: u32) {
    let database = TestDb::on(major);
    let session = open(&database, "").await;
    let desired = |text: &str| {
        let loaded = load::load_texts(&[(PathBuf::from("schema/t.kdl"), text.to_string())]);
        loaded.unwrap_or_else(|e| panic!("{e}")).state
    };
    let (before, after) = (desired(BEFORE), desired(AFTER));
    let first = step(major, &session, &before).await;
    session.batch("INSERT INTO public.target VALUES (1, 'x', 5)").await.unwrap_or_else(|e| panic!("{e}"));
    session.batch("INSERT INTO public.t VALUES (1, 1, 'x', 5)").await.unwrap_or_else(|e| panic!("{e}"));
    let start = introspect::read(&session).await.unwrap_or_else(|e| panic!("{e}")).state;
    session.batch("DELETE FROM public.t; UPDATE public.target SET id = 2").await.unwrap_or_else(|e| panic!("{e}"));
    session.batch("INSERT INTO public.t VALUES (2, 2, 'x', 5)").await.unwrap_or_else(|e| panic!("{e}"));
    let second = step(major, &session, &after).await;
    let count = first.len() + second.len();
    assert!(count > 20, "{count}");
    for step in second.iter().rev() {
        for back in &step.inverse {
            run(major, &session, back).await;
        }
    }
    let end = introspect::read(&session).await.unwrap_or_else(|e| panic!("{e}")).state;
    let shown: String = second.iter().rev().flat_map(|s| &s.inverse).map(|s| format!("{};\n", s.sql)).collect();
    same(major, "the way back", &start, &end, &shown);
}

/// Leads the database to a state, after which nothing is left to do.
async fn step(major: u32, session: &Session, desired: &State) -> Vec<Step> {
    let made = against(session, desired, &Manage::default(), &()).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(made.unverified.is_empty(), "{:?}", made.unverified);
    for step in &made.made.steps {
        run(major, session, step).await;
    }
    let rest = against(session, desired, &Manage::default(), &()).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(rest.is_empty(), "PostgreSQL {major}: {:?}\n{:?}", rest.changes, rest.unverified);
    made.made.steps
}

async fn run(major: u32, session: &Session, step: &Step) {
    let path = step.path.iter().map(|p| format!("{p:?}, ")).collect::<String>();
    let sql = format!("SET search_path = {path}pg_catalog; {}; SET search_path = pg_catalog", step.sql);
    session.batch(&sql).await.unwrap_or_else(|e| panic!("PostgreSQL {major}: {e}\n{}", step.sql));
}
