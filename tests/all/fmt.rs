//! `setpoint fmt`: what it writes, what it leaves alone, and that `check` enforces it.

use crate::support::{Sandbox, files, repository};

const BEFORE: &str = r#"// The shop.
enum status   new  paid;enum size s m
table orders {  // one per checkout
  column id bigint identity=always   // the key
  column customer bigint not-null { references customers id on-delete=cascade }


  /- column gone text
  column "note" text {comment """
   One
     two
   """ ; }
}
table customers { column id bigint; primary-key id }
"#;

const AFTER: &str = r#"// The shop.
enum status new paid
enum size s m

table orders { // one per checkout
    column id bigint identity=always // the key
    column customer bigint not-null { references customers id on-delete=cascade }

    /-column gone text
    column "note" text {
        comment """
            One
              two
            """
    }
}

table customers {
    column id bigint
    primary-key id
}
"#;

fn project(schema: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", "manage {\n    schema public\n}\n");
    sandbox.write("schema/shop.kdl", schema);
    std::fs::create_dir_all(sandbox.path("plans")).expect("plans/ can be made");
    sandbox
}

#[test]
fn files_are_laid_out_and_check_asks_for_it() {
    let sandbox = project(BEFORE);
    let outcome = sandbox.exits(1, &["fmt", "--check"]);
    assert_eq!(outcome.stdout, "schema/shop.kdl\n");
    assert!(outcome.stderr.contains("1 file is not in the canonical layout\nhelp: `setpoint fmt`"), "{outcome:?}");
    let outcome = sandbox.exits(1, &["check"]);
    assert!(outcome.stderr.contains("schema/shop.kdl\nhelp: `setpoint fmt`"), "{outcome:?}");
    assert_eq!(sandbox.read("schema/shop.kdl"), BEFORE);

    assert_eq!(sandbox.ok(&["fmt"]), "schema/shop.kdl\n");
    assert_eq!(sandbox.read("schema/shop.kdl"), AFTER);
    assert_eq!(sandbox.ok(&["fmt"]), "");
    sandbox.ok(&["fmt", "--check"]);
    // What is left is that no plan was made.
    assert!(sandbox.exits(1, &["check"]).stderr.contains("there is no plan"));

    sandbox.write("setpoint.kdl", "manage{schema public}\n");
    assert!(sandbox.exits(1, &["check"]).stderr.contains("setpoint.kdl\nhelp"));
    assert_eq!(sandbox.ok(&["fmt", "setpoint.kdl"]), "setpoint.kdl\n");
    assert_eq!(sandbox.read("setpoint.kdl"), "manage { schema public }\n");
}

#[test]
fn line_ends_of_windows_stay() {
    let sandbox = project(&BEFORE.replace('\n', "\r\n"));
    sandbox.ok(&["fmt"]);
    assert_eq!(sandbox.read("schema/shop.kdl"), AFTER.replace('\n', "\r\n"));
    sandbox.ok(&["fmt", "--check"]);
}

#[test]
fn files_that_are_wrong_are_explained_and_nothing_is_written() {
    let sandbox = project(BEFORE);
    sandbox.write("schema/wrong.kdl", "table a {\n");
    let outcome = sandbox.exits(78, &["fmt"]);
    assert!(outcome.stderr.contains("schema/wrong.kdl:1:1"), "{outcome:?}");
    assert_eq!(sandbox.read("schema/shop.kdl"), BEFORE);
    // The others can be named.
    sandbox.ok(&["fmt", "schema/shop.kdl"]);
    assert_eq!(sandbox.read("schema/shop.kdl"), AFTER);
}

#[test]
fn the_files_of_this_project_are_laid_out() {
    let mut targets = vec!["fmt".to_owned(), "--check".to_owned()];
    targets.extend(["schema", "setpoint.kdl"].map(|name| repository().join(name).display().to_string()));
    assert!(!files(&repository().join("schema"), ".kdl").is_empty());
    Sandbox::empty().ok(&targets.iter().map(String::as_str).collect::<Vec<_>>());
}
