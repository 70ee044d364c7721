//! What a database holds that files cannot declare is reported; what they can, and what follows from it, is not.

use setpoint::introspect;

use crate::support::{TestDb, installed, wait};

/// What is there, and what is named of it.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "inherited columns",
        "CREATE TABLE whole (a int, b text DEFAULT 'x', c text, d int) PARTITION BY LIST (a);
         ALTER TABLE whole ALTER c SET STORAGE external, ALTER d SET STATISTICS 50, ALTER d SET (n_distinct = 7);
         CREATE TABLE same PARTITION OF whole FOR VALUES IN (1);
         CREATE TABLE part PARTITION OF whole FOR VALUES IN (2);
         ALTER TABLE part ALTER a SET STATISTICS 9, ALTER c SET STORAGE main, ALTER d SET (n_distinct = 5);
         CREATE TABLE says PARTITION OF whole (b DEFAULT 'y') FOR VALUES IN (3);
         ALTER TABLE says ALTER b SET STATISTICS 9;
         CREATE TABLE parent (a text); CREATE TABLE child (b text) INHERITS (parent);
         ALTER TABLE child ALTER a SET STORAGE plain, ALTER b SET STORAGE plain, ALTER b SET STATISTICS 3",
        &[
            "column public.child.a (its storage, compression, statistics or options differ from its parent's)",
            "column public.part.a (its storage, compression, statistics or options differ from its parent's)",
            "column public.part.c (its storage, compression, statistics or options differ from its parent's)",
            "column public.part.d (its storage, compression, statistics or options differ from its parent's)",
        ],
    ),
    (
        "triggers of partitions",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TABLE whole (a int) PARTITION BY LIST (a);
         CREATE TABLE same PARTITION OF whole FOR VALUES IN (1); CREATE TABLE part PARTITION OF whole FOR VALUES IN (2);
         CREATE TRIGGER t AFTER INSERT ON whole FOR EACH ROW EXECUTE FUNCTION f();
         CREATE TRIGGER own AFTER INSERT ON part FOR EACH ROW EXECUTE FUNCTION f();
         ALTER TABLE part DISABLE TRIGGER t; ALTER TABLE part DISABLE TRIGGER own",
        &["trigger t on public.part (fires differently from its parent's)"],
    ),
    (
        "foreign keys that nobody enforces",
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a, CONSTRAINT kept FOREIGN KEY (a) REFERENCES a);
         CREATE TABLE c (a int REFERENCES a); ALTER TABLE c DISABLE TRIGGER ALL",
        &["foreign-key c_a_fkey on public.c (its triggers were disabled or enabled by hand)"],
    ),
    (
        "indexes and keys of some partitions",
        "CREATE TABLE whole (a int NOT NULL, b int NOT NULL) PARTITION BY LIST (a);
         CREATE TABLE one PARTITION OF whole FOR VALUES IN (1); CREATE TABLE two PARTITION OF whole FOR VALUES IN (2);
         CREATE INDEX all_b ON whole (b); CREATE INDEX few_b ON ONLY whole (b); CREATE INDEX own_b ON one (b); CREATE INDEX two_b ON two (b);
         ALTER INDEX few_b ATTACH PARTITION own_b; CREATE INDEX done ON ONLY whole (b, a); CREATE INDEX one_ba ON one (b, a);
         CREATE INDEX two_ba ON two (b, a); ALTER INDEX done ATTACH PARTITION one_ba; ALTER INDEX done ATTACH PARTITION two_ba;
         ALTER TABLE ONLY whole ADD PRIMARY KEY (a); ALTER TABLE ONLY whole ADD UNIQUE (a, b); ALTER TABLE one ADD UNIQUE (a, b);
         ALTER INDEX whole_a_b_key ATTACH PARTITION one_a_b_key; ALTER TABLE whole ADD UNIQUE (b, a)",
        &[
            "index public.one_a_b_key (attached to an index that not all partitions have)",
            "index public.own_b (attached to an index that not all partitions have)",
            "primary-key whole_pkey on public.whole (not all partitions have it)",
            "unique whole_a_b_key on public.whole (not all partitions have it)",
        ],
    ),
    (
        "what goes with an extension",
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER INDEX i DEPENDS ON EXTENSION plpgsql; ALTER FUNCTION f() DEPENDS ON EXTENSION plpgsql",
        &["extension-dependency public.f() depends on plpgsql", "extension-dependency public.i depends on plpgsql"],
    ),
];

/// Before, all sequences were logged.
const SINCE_15: (&str, &str, &[&str]) = (
    "sequences of identity columns",
    "CREATE UNLOGGED TABLE a (id int GENERATED ALWAYS AS IDENTITY); CREATE TABLE b (id int GENERATED ALWAYS AS IDENTITY);
     CREATE UNLOGGED TABLE c (id int GENERATED ALWAYS AS IDENTITY);
     ALTER SEQUENCE a_id_seq SET LOGGED; ALTER SEQUENCE b_id_seq SET UNLOGGED",
    &[
        "identity-sequence public.a_id_seq is logged, its table is not",
        "identity-sequence public.b_id_seq is unlogged, its table is not",
    ],
);

#[test]
fn what_files_cannot_say_is_named() {
    for major in installed().iter().map(|binaries| binaries.major) {
        let db = TestDb::on(major);
        let since_15 = (major >= 15).then_some(&SINCE_15);
        for (what, sql, expected) in CASES.iter().chain(since_15) {
            db.execute(sql);
            let named = wait(async { introspect::read(&db.session().await).await.expect("it is read").unmodelled });
            assert_eq!(named, *expected, "{what}, version {major}");
            db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        }
    }
}
