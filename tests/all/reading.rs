//! An earlier reading is used instead of the catalog exactly as long as the catalog is unchanged.

use setpoint::catalog::Session;
use setpoint::introspect::{self, Dependencies};
use setpoint::scratch::{self, Server};

use crate::support::wait;

/// Each of these changes something that a reading shows.
const CHANGES: &[&str] = &[
    "CREATE TABLE u (a int)",
    "ALTER TABLE t ALTER a SET NOT NULL",
    "ALTER TABLE t ALTER a DROP NOT NULL",
    "COMMENT ON COLUMN t.a IS 'x'",
    "ALTER INDEX t_a RENAME TO t_b",
    "GRANT SELECT ON t TO PUBLIC",
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    "ALTER SEQUENCE s INCREMENT 2",
    "DROP TABLE u",
    "ALTER ROLE somebody RENAME TO nobody_else",
];

#[test]
fn a_kept_reading_counts_until_something_changes() {
    // Roles belong to the whole server: other tests may make some.
    let server = Server::start(&scratch::find(None).unwrap()).unwrap();
    wait(async {
        let connect = server.fresh_database("kept").await.unwrap();
        let session = Session::open(&connect, "test").await.unwrap();
        session.batch("SET search_path TO public").await.unwrap();
        session
            .batch("CREATE TABLE t (a int); CREATE INDEX t_a ON t (a); CREATE SEQUENCE s; CREATE ROLE somebody")
            .await
            .unwrap();
        for change in CHANGES {
            let (_, kept) = introspect::read_to_keep(&session).await.unwrap();
            let kept = kept.expect("a superuser sees all that counts");
            session.batch("INSERT INTO t VALUES (1); ANALYZE t; CREATE TABLE gone (); DROP TABLE gone").await.unwrap();
            let same = introspect::read_or_recall(&session, Some(&kept)).await.unwrap();
            assert!(matches!(same.dependencies, Dependencies::Known(_)), "read again before {change}");
            assert_eq!(same.state.objects(), introspect::read(&session).await.unwrap().state.objects());
            session.batch(change).await.unwrap();
            let now = introspect::read_or_recall(&session, Some(&kept)).await.unwrap();
            assert!(matches!(now.dependencies, Dependencies::Unread(_)), "not noticed: {change}");
        }
    });
}
