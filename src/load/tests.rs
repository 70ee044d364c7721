//! Tests of what files mean, of what is wrong in them, and that written files read back.

use super::*;
use crate::load::write::files;

fn texts(texts: &[&str]) -> Vec<(PathBuf, String)> {
    texts.iter().enumerate().map(|(i, text)| (PathBuf::from(format!("schema/{i}.kdl")), (*text).to_string())).collect()
}

fn state(text: &str) -> State {
    load_texts(&texts(&[text])).unwrap_or_else(|e| panic!("{e}")).state
}

fn refused(all: &[&str]) -> String {
    load_texts(&texts(all)).unwrap_err().message
}

const SHOP: &str = r#"
schema app {
    comment "the app's own"
    table "Odd \"Name\"" { column a "public.orders"; column "b.c" text default="'x'" }
}
schema app { table plain { inherits "Odd \"Name\"" } }

table orders unlogged row-security {
    comment "One row\nper checkout"
    with fillfactor=70 toast.autovacuum_enabled=#false
    column id bigint not-null { comment "no \"gaps\"" }
    column total "numeric(12,2)" not-null default=0
    column made timestamptz(3) default="now()"
}
table parts partition-by="RANGE (id)" { column id int }
table parts_1 { partition-of parts "FOR VALUES FROM (1) TO (10)" }
"#;

#[test]
fn written_files_are_read_back() {
    let text = SHOP.replace("timestamptz(3)", "\"timestamptz(3)\"");
    let first = state(&text);
    let written = files(&first);
    let again = load_texts(&written).unwrap_or_else(|e| panic!("{e}\n{written:#?}"));
    assert_eq!(first.len(), again.state.len());
    for (id, object) in first.iter() {
        assert_eq!(again.state.get(id), Some(object), "{id}\n{written:#?}");
    }
    assert_eq!(files_hash(&first), files_hash(&again.state));
    assert_eq!(files(&again.state), written);
    let paths: Vec<String> = written.iter().map(|(path, _)| path.display().to_string()).collect();
    let expected = [
        "app/schema.kdl",
        "app/tables/Odd%20%22Name%22.kdl",
        "app/tables/plain.kdl",
        "public/tables/orders.kdl",
        "public/tables/parts.kdl",
        "public/tables/parts_1.kdl",
    ];
    assert_eq!(paths, expected);
    let orders = &written[3].1;
    assert!(orders.contains("    column total \"numeric(12,2)\" not-null default=\"0\"\n"), "{orders}");
    assert!(
        orders.contains("    comment #\"\"\"\n        One row\n        per checkout\n        \"\"\"#\n"),
        "{orders}"
    );
}

/// The example of the documentation, and what the rooms around tables and types add to it.
const EXAMPLE: &str = r##"
extension citext
enum order_status pending paid shipped
table customers { column id bigint not-null; primary-key id }

table orders {
    comment "One row per checkout"
    column id bigint identity=always
    column customer bigint not-null { references customers id on-delete=cascade }
    column email citext not-null was=mail
    column status order_status not-null default="'pending'"
    column total "numeric(12,2)" not-null default="0"
    column placed timestamptz not-null default="now()"
    column day date generated="(placed AT TIME ZONE 'UTC')::date"
    primary-key id
    unique customer placed
    check orders_total_positive "total >= 0"
    index orders_open customer { where "status = 'pending'" }
    policy own_rows for=select to=app { using "customer = current_setting('app.customer')::bigint" }
    grant select to=reporting
}

view open_orders {
    sql #"""
        SELECT id, customer, total FROM orders WHERE status = 'pending'
        """#
}

function touch returns=trigger language=plpgsql {
    body """
        BEGIN
          NEW.placed := now();

          RETURN NEW;
        END
        """
}
function add returns=integer language=sql { arg a integer; arg b integer default="1"; body "SELECT a + b" }
sequence numbers
schema app { table later { column status order_status; column n integer { references public.orders id } } }
"##;

#[test]
fn the_example_is_read_and_written() {
    let first = state(EXAMPLE);
    let written = files(&first);
    let again = load_texts(&written).unwrap_or_else(|e| panic!("{e}\n{written:#?}"));
    for (id, object) in first.iter() {
        assert_eq!(again.state.get(id), Some(object), "{id}\n{written:#?}");
    }
    assert_eq!(files_hash(&first), files_hash(&again.state));
    assert_eq!(files(&again.state), written);
    let orders = written.iter().find(|(path, _)| path.ends_with("orders.kdl")).map(|(_, text)| text.as_str());
    let line = "    column status order_status not-null default=\"'pending'\"\n";
    assert!(orders.is_some_and(|text| text.contains(line)), "{orders:?}");
}

#[test]
fn order_and_files_mean_nothing() {
    let one = state("table a { column x b }\ntable b { column y int; column z text }");
    let other = load_texts(&texts(&[
        "schema public { table b { column z text; column y integer } }",
        "table a {\n column x public.b\n}",
    ]));
    assert_eq!(files_hash(&one), files_hash(&other.unwrap_or_else(|e| panic!("{e}")).state));
}

#[test]
fn all_problems_of_all_files_come_at_once() {
    let all = refused(&[
        "table a {\n    colunm x int\n    column y int not-nul\n    column z int default=1 default=2\n}\n",
        "table a\nindx x\ncolumn q int\ntable b { partition-of c DEFAULT }\ntable {}\ntable 5\n",
    ]);
    for part in [
        "`colunm` is not allowed in a table",
        "schema/0.kdl:2:5",
        "did you mean `column`?",
        "did you mean `not-null`?",
        "`default` is given twice",
        "table public.a is declared twice",
        "note: the first declaration is at schema/0.kdl:1:1",
        "`indx` is not allowed at the top level of a file",
        "help: did you mean `index`? it belongs in a `table`",
        "there is no table `c`",
        "this table has no name",
        "a name is expected here, not a number",
    ] {
        assert!(all.contains(part), "no {part:?} in\n{all}");
    }
    assert!(all.find("0.kdl:2:5") < all.find("1.kdl:1:7"), "{all}");
}

#[test]
fn a_file_that_is_no_kdl_hides_the_consequences() {
    let all = refused(&["table a { column x int ]\n}", "table b { inherits a }"]);
    assert!(all.contains("schema/0.kdl:1"), "{all}");
    assert!(!all.contains("there is no table"), "{all}");
}

#[test]
fn many_files_keep_their_places() {
    let mut files: Vec<String> =
        (0..999).map(|i| format!("table t{i} {{ column x int; column y text }}\n// {}\n", "x".repeat(500))).collect();
    files.push("table last { colum x int }".into());
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    assert!(refused(&files).contains("schema/999.kdl:1:14"));
    assert_eq!(load_texts(&texts(&files[..999])).unwrap().state.len(), 1 + 3 * 999);
}

#[test]
fn what_nobody_reads_is_refused() {
    for (text, problem) in [
        ("table a { with fillfactor=70 fillfactor=80 }", "`fillfactor` is given twice"),
        ("table a { inherits b x=1 }\ntable b", "`x` is not allowed in `inherits`"),
        ("table a { column x (sql)int }", "`(sql)` has no meaning here"),
        ("table a { column x int { default \"1\" { x } } }", "`x` is not allowed in a default"),
        ("table a { column x int storage=5 }", "`storage` must be a name"),
        ("table a { column x int storage=outside }", "`storage` is one of plain"),
        ("table a using=#true", "`using` must be a name"),
        ("schema app was=old\nschema app was=older", "schema app is described twice"),
        ("(t)table a", "a type annotation on the node `table` has no meaning"),
        ("table a { comment 5 }", "`comment` must be a string in quotes"),
    ] {
        let all = refused(&[text]);
        assert!(all.contains(problem), "no {problem:?} in\n{all}");
    }
}

#[test]
fn names_that_look_like_flags_survive() {
    let state = state("table virtual\ntable t { column a (type)virtual; column b type=int }");
    let written = files(&state);
    let again = load_texts(&written).unwrap_or_else(|e| panic!("{e}\n{written:?}")).state;
    assert_eq!(again.objects(), state.objects());
}

#[test]
fn schemas_merge_and_keep_what_one_file_says() {
    let loaded =
        load_texts(&texts(&["schema app { table a }", "schema app was=old { comment x }", "schema app"])).unwrap();
    let app = schema::id("app");
    assert_eq!(loaded.state.get(&app).and_then(|o| o.was.clone()), Some("old".into()));
    assert_eq!(loaded.state.len(), 4);
}

#[test]
fn directories_are_read_and_replaced() {
    let dir = tempfile();
    let schema_dir = dir.join("schema");
    assert!(load(&schema_dir).unwrap_err().message.contains("there is no directory"));
    let first = state("table a { column x int }\ntable b");
    write::save(&schema_dir, files(&first)).unwrap();
    std::fs::write(schema_dir.join("old.kdl"), [0xff, b'\n']).unwrap();
    let error = load(&schema_dir).unwrap_err();
    assert_eq!(error.message, "schema/old.kdl is not UTF-8");
    write::save(&schema_dir, files(&first)).unwrap();
    let loaded = load(&schema_dir).unwrap();
    assert_eq!(files_hash(&loaded.state), files_hash(&first));
    assert_eq!(loaded.sources.files[0].0, PathBuf::from("schema/public/tables/a.kdl"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&schema_dir, schema_dir.join("circle")).unwrap();
        assert!(load(&schema_dir).unwrap_err().message.contains("link to a directory that contains it"));
    }
    std::fs::remove_dir_all(dir).unwrap();
}

fn tempfile() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("setpoint-load-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

mod properties {
    use proptest::prelude::*;

    use super::*;
    use crate::kinds::find;
    use crate::model::{Attrs, Expr, Ident, Key, ObjectId, SqlType};

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z_]{1,8}",
            "[a-z.\"() /%'{}=;#\\\\é\u{85}\n\t0-9-]{1,8}",
            Just("not-null".to_string()),
            Just("con".to_string())
        ]
    }

    fn expression() -> impl Strategy<Value = String> {
        "[a-z0-9'\" (){}\n\\\\\t;=#é-]{0,30}"
            .prop_map(|t| format!("f({t})"))
            .prop_filter("PostgreSQL could take it apart", |t| crate::sql::balance::check(t).is_ok())
    }

    fn put(state: &mut State, word: &str, parent: Option<&ObjectId>, name: &str, attrs: Attrs) -> ObjectId {
        let id = ObjectId::new(find(word).unwrap().kind(), parent.cloned(), name);
        state.put(id.clone(), Object::new(attrs));
        id
    }

    fn text(key: &'static str, value: &str) -> Attrs {
        Attrs::new().with(Key::<Text>::new(key), Some(Text::from(value)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_state_survives_its_files(
            tables in prop::collection::btree_map(
                (prop::sample::select(vec!["public", "app", "App", "o d/d"]), name()),
                (prop::collection::btree_map(name(), (any::<bool>(), prop::option::of(expression())), 0..4), prop::option::of(".{0,20}"), name()),
                0..6,
            )
        ) {
            let mut state = State::default();
            put(&mut state, "schema", None, "public", Attrs::new());
            for ((schema, table), (columns, comment, space)) in &tables {
                let schema = schema::id(*schema);
                if !state.has(&schema) {
                    state.put(schema.clone(), Object::default());
                }
                let attrs = Attrs::new().with(Key::<Ident>::new("tablespace"), Ident::from(&**space));
                let table = put(&mut state, "table", Some(&schema), table, attrs);
                for (column, (flag, default)) in columns {
                    let attrs = Attrs::new().with(Key::<SqlType>::new("type"), SqlType::new("integer")).with(Key::<bool>::new("not-null"), *flag);
                    let column = put(&mut state, "column", Some(&table), column, attrs);
                    if let Some(default) = default {
                        let id = ObjectId::facet(find("default").unwrap().kind(), column);
                        state.put(id, Object::new(Attrs::new().with(Key::<Expr>::new("value"), Expr::new(&**default))));
                    }
                }
                if let Some(comment) = comment {
                    state.put(ObjectId::facet(find("comment").unwrap().kind(), table), Object::new(text("text", comment)));
                }
            }
            let written = files(&state);
            let again = load_texts(&written).map_err(|e| TestCaseError::fail(format!("{e}\n{written:#?}")))?;
            prop_assert_eq!(again.state.len(), state.len());
            for (id, object) in state.iter() {
                prop_assert_eq!(again.state.get(id), Some(object), "{} in {:#?}", id, written);
            }
            prop_assert_eq!(files(&again.state), written);
        }
    }
}

#[test]
fn the_columns_of_a_typed_table_stand_in_its_type() {
    let typed = |inside: &str| refused(&[&format!("type t {{ attribute a int }}\ntable x of=t {{ {inside} }}")]);
    assert!(typed("column a bigint").contains("its type is declared in type public.t"), "{}", typed("column a bigint"));
    assert!(typed("column b not-null").contains("type public.t has no attribute of that name"));
    assert!(typed("primary-key b").contains("table public.x has no column `b`"));
    assert!(state("table x of=t { column a not-null; primary-key a }\ntype t { attribute a int }").len() > 3);
}
