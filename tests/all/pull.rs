//! `pull` edits files in place: what did not change keeps its spelling, its position and its comments.

use crate::support::{Sandbox, TestDb};

const SHOP: &str = r#"// The shop, by hand.

// How far an order is.
enum status new paid

// Who buys.
table customers {
    column id bigint identity=always // the key
    column email text not-null
    // How to say hello.
    column name text default="'you'"
    primary-key id

    // For the login.
    index customers_email_key (sql)"lower(email)" unique=#true
}

/* What they
   bought. */
table orders {
    comment "One row per checkout"
    column id bigint identity=always
    column customer bigint not-null { references customers id on-delete=cascade }
    column status status not-null default="'new'" // never empty
    column gone text // soon
    column total "numeric(12,2)" not-null default="0"
    check total_positive "total >= 0"
    index orders_open customer { where "status IN ('new', 'paid')" }
}

schema app {
    // Counts.
    table counters {
        column n int
    }
}

view open_orders {
    // all of it
    sql "SELECT id, customer FROM orders WHERE status IN ('new', 'paid')"
}
"#;

/// A database that holds what the file says.
fn shop(text: &str) -> (TestDb, Sandbox) {
    let db = TestDb::new();
    let sandbox = Sandbox::new(&db);
    sandbox.write("schema/shop.kdl", text);
    sandbox.ok(&["push", "shop", "--auto-approve", "--allow", "all"]);
    (db, sandbox)
}

/// Pulls, and makes sure that the files say what the database holds: nothing to plan, nothing to pull.
fn pull(sandbox: &Sandbox) -> String {
    let done = sandbox.ok(&["pull"]);
    assert_eq!(sandbox.ok(&["pull"]), "", "a second pull changes nothing");
    assert_eq!(sandbox.ok(&["plan"]), "Nothing to do.\n");
    done
}

/// The text with each of these exchanged, once.
fn changed(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (old, new)| {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text.replace(old, new)
    })
}

#[test]
fn changes_stand_where_the_objects_do() {
    let (db, sandbox) = shop(SHOP);
    assert_eq!(pull(&sandbox), "", "what is spelled otherwise is the same");
    assert_eq!(sandbox.read("schema/shop.kdl"), SHOP);
    db.execute(
        "ALTER TABLE orders DROP COLUMN gone; ALTER TABLE orders ADD COLUMN note text; COMMENT ON COLUMN orders.note IS 'why';
         ALTER TABLE customers ALTER name TYPE varchar(50), ALTER name SET DEFAULT 'me', ALTER email DROP NOT NULL;
         DROP INDEX customers_email_key; CREATE INDEX ON customers (name); ALTER TYPE status ADD VALUE 'sent';
         ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey;
         ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers ON DELETE SET NULL;
         COMMENT ON TABLE orders IS NULL; ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
    );
    assert_eq!(pull(&sandbox), "edited schema/shop.kdl\n");
    let expected = changed(
        SHOP,
        &[
            ("enum status new paid\n", "enum status new paid sent\n"),
            ("    column email text not-null\n", "    column email text\n"),
            ("column name text default=\"'you'\"", "column name \"varchar(50)\" default=\"'me'::character varying\""),
            (
                "\n    // For the login.\n    index customers_email_key (sql)\"lower(email)\" unique=#true\n",
                "    index customers_name_idx name\n",
            ),
            ("table orders {\n    comment \"One row per checkout\"\n", "table orders row-security {\n"),
            ("on-delete=cascade", "on-delete=set-null"),
            ("    column gone text // soon\n", ""),
            (
                "not-null default=\"0\"\n",
                "not-null default=\"0\"\n    column note text {\n        comment why\n    }\n",
            ),
        ],
    );
    let text = sandbox.read("schema/shop.kdl");
    // PostgreSQL spells the new default in its own way, by version.
    let text = text.replace("'me'::text", "'me'::character varying");
    assert_eq!(text, expected);
    sandbox.ok(&["fmt", "--check"]);
}

#[test]
fn new_objects_go_where_their_neighbours_live() {
    let (db, sandbox) = shop(SHOP);
    db.execute(
        "CREATE TABLE invoices (id int); CREATE TYPE mood AS ENUM ('good'); CREATE TABLE app.more (a int);
         CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA billing; CREATE TABLE billing.taxes (a int)",
    );
    let done = pull(&sandbox);
    assert_eq!(
        done,
        "wrote schema/billing/tables/taxes.kdl\nwrote schema/public/functions/one.kdl\n\
         edited schema/shop.kdl\n"
    );
    let expected = changed(
        SHOP,
        &[
            ("enum status new paid\n", "enum status new paid\nenum mood good\n"),
            ("schema app {\n", "table invoices {\n    column id integer\n}\n\nschema app {\n"),
            (
                "        column n int\n    }\n}\n",
                "        column n int\n    }\n    table more {\n        column a integer\n    }\n}\n\nschema billing\n",
            ),
        ],
    );
    assert_eq!(sandbox.read("schema/shop.kdl"), expected);
    db.execute("DROP TABLE app.more; DROP TABLE app.counters; DROP SCHEMA billing CASCADE; DROP TABLE invoices; DROP TYPE mood; DROP FUNCTION one");
    pull(&sandbox);
    let expected = changed(
        SHOP,
        &[("schema app {\n    // Counts.\n    table counters {\n        column n int\n    }\n}\n", "schema app\n")],
    );
    assert_eq!(sandbox.read("schema/shop.kdl"), expected);
    assert!(!sandbox.path("schema/billing").exists() && !sandbox.path("schema/public").exists());
}

#[test]
fn every_layout_keeps_its_own() {
    let odd = "table a{column x int;column y int;column z int}\r\n\r\ntable b {\r\n\tcolumn x int  // first\r\n\tcolumn y int\r\n}";
    let (db, sandbox) = shop(odd);
    db.execute("ALTER TABLE a DROP COLUMN y; ALTER TABLE b ADD COLUMN z text; ALTER TABLE b ALTER x TYPE bigint");
    pull(&sandbox);
    let expected = "table a{column x int;column z int}\r\n\r\ntable b {\r\n\tcolumn x bigint  // first\r\n\tcolumn y int\r\n\tcolumn z text\r\n}";
    assert_eq!(sandbox.read("schema/shop.kdl"), expected);
}
