//! Literals in the steps of a plan: whoever applies it, or rolls it back, does not lend privileges to the checks of another role's domain,
//! which PostgreSQL runs when it parses an array, a range or a row of that domain.

use std::fs;

use super::lent_rights::{Boss, Scene};
use crate::support::default_major;
use crate::teams::says;

/// A type that has the domain in it, its literal, and the name of tables and the like that are about it.
const SHAPES: [(&str, &str, &str); 4] = [
    ("array", "word[]", "'{PLACE}'"),
    ("range", "span", "'[PLACE,PLACE]'"),
    ("row", "pair", "'(PLACE,1)'::pair"),
    ("nest", "nest", r#"'("{""[PLACE,PLACE]""}",1)'::nest"#),
];

/// What is there: a table with a row and a domain of each shape. `CHECK` is the check of the domain `word`.
const BEFORE: &str = "
    CREATE FUNCTION m.heard(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN m.tell(t); END';
    CREATE FUNCTION m.first(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT $1';
    CREATE DOMAIN m.word AS text CHECK (HEARD);
    CREATE TYPE m.pair AS (a m.word, b int); CREATE TYPE m.span AS RANGE (subtype = m.word);
    CREATE TYPE m.nest AS (a m.span[], b int);
";

fn before(check: &str) -> String {
    let mut sql = BEFORE.replace("HEARD", check);
    for (shape, of, _) in SHAPES {
        let row = literal(shape, "row").replace("::", "::m.");
        sql.push_str(&format!(
            "CREATE TABLE m.t_{shape} (id int, a m.{of}, b m.{of}); INSERT INTO m.t_{shape} VALUES (1, {row}, {row}); \
             CREATE DOMAIN m.d_{shape} AS m.{of}; CREATE TABLE m.parts_{shape} (id int, a m.{of}) PARTITION BY LIST (a); \
             CREATE TABLE m.piece_{shape} (id int, a m.{of});"
        ));
    }
    sql
}

/// The literal of a shape that tells where it stands.
fn literal(shape: &str, place: &str) -> String {
    let (.., literal) = SHAPES.iter().find(|(name, ..)| *name == shape).expect("is a shape");
    literal.replace("PLACE", &format!("{place}_{shape}"))
}

/// The name of each place: what stands in `«»`.
fn places(text: &str) -> Vec<String> {
    text.split('«').skip(1).filter_map(|rest| Some(rest.split_once('»')?.0.to_owned())).collect()
}

/// A text for one shape, with literals where it says `«place»`.
fn filled(text: &str, shape: &str, of: &str) -> String {
    let text = places(text)
        .iter()
        .fold(text.to_owned(), |text, place| text.replace(&format!("«{place}»"), &literal(shape, place)));
    text.replace("SHAPE", shape).replace("TYPE", of)
}

/// Parts of tables and domains that are there: their owner can run what makes them.
const PARTS: &str = r##"schema m {
    table t_SHAPE row-security {
        column id integer
        column a "TYPE" default=#"«default»"#
        column b "TYPE"
        column g boolean generated=#"a = «generated»"#
        check c_SHAPE #"a <> «check»"#
        index i_SHAPE id { where #"a <> «predicate»"#; }
        index e_SHAPE (sql)#"(a <> «expression»)"#
        exclude x_SHAPE { key id with="="; where #"a <> «excluded»"#; }
        policy p_SHAPE { using #"a <> «policy»"#; with-check #"a <> «written»"#; }
        rule r_SHAPE delete { where #"old.a = «rule»"#; }
        trigger w_SHAPE before update for-each=row function=fire { when #"new.a = «when»"#; }
    }
    table piece_SHAPE { partition-of parts_SHAPE #"FOR VALUES IN («bound»)"#; }
}
"##;

/// What has no owner yet who could.
const NEW: &str = r##"schema m {
    table n_SHAPE {
        column id integer
        column a "TYPE" default=#"«new_default»"#
        index ni_SHAPE id { where #"a <> «new_predicate»"#; }
    }
    table np_SHAPE { partition-of parts_SHAPE #"FOR VALUES IN («new_bound»)"#; }
    view v_SHAPE { sql #"SELECT id FROM t_SHAPE WHERE a <> «view»"#; }
    domain e_SHAPE "TYPE" default=#"«new_domain»"#
    function f_SHAPE returns=integer language=sql { arg a "TYPE" default=#"«argument»"#; body-exact "SELECT 1"; }
    aggregate g_SHAPE sfunc="first(anyelement, anyelement)" stype="TYPE" initcond=#"«initcond»"# { arg "TYPE"; }
}
"##;

const NEW_IN_14: &str = r##"schema m {
    function s_SHAPE returns=boolean language=sql { arg a "TYPE"; sql-body #"RETURN a = «body»"#; }
    statistics x_SHAPE id (sql)#"(a <> «statistics»)"# from=t_SHAPE
}
"##;

/// Files for all shapes: the path in `schema/`, and the text. `initcond` is not an expression.
fn files(texts: &[&str]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (shape, of, _) in SHAPES {
        for (at, text) in texts.iter().enumerate() {
            let bare = literal(shape, "initcond");
            let bare_of = bare.split("::").next().unwrap_or_default().trim_matches('\'').to_owned();
            out.push((format!("schema/m/new_{at}_{shape}.kdl"), filled(text, shape, of).replace(&bare, &bare_of)));
        }
    }
    out
}

fn plan(scene: &Scene, files: &[(String, String)]) {
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    scene.plan(&files);
}

/// All places of texts, for all shapes, as the domain's check hears of them.
fn heard(texts: &[&str], but: &[&str]) -> Vec<String> {
    let mut out: Vec<String> = texts
        .iter()
        .flat_map(|text| places(text))
        .filter(|place| !but.contains(&place.as_str()))
        .flat_map(|place| SHAPES.map(|(shape, ..)| format!("{place}_{shape}")))
        .collect();
    out.sort();
    out.dedup();
    out
}

fn new() -> Vec<&'static str> {
    if default_major() < 14 { vec![NEW] } else { vec![NEW, NEW_IN_14] }
}

#[test]
fn literals_in_parts_of_a_table_are_parsed_as_its_owner() {
    for boss in [Boss::Superuser, Boss::Member] {
        let scene = Scene::new(boss, &before("m.heard(VALUE)"));
        // Files of the tables, and that of the domains, are replaced.
        let tables = |texts: &[&str]| {
            let mut all = files(texts);
            all.iter_mut().for_each(|(path, _)| *path = path.replace("new_0_", "tables/t_"));
            all
        };
        let types = fs::read_to_string(scene.sandbox.path("schema/m/types.kdl")).expect("is there");
        let with_defaults = SHAPES.iter().fold(types.clone(), |text, (shape, ..)| {
            let line =
                text.lines().find(|line| line.trim().starts_with(&format!("domain d_{shape} "))).expect("is there");
            text.replace(line, &format!(r##"{line} default=#"{}"#"##, literal(shape, "domain_default")))
        });
        let mut now = tables(&[PARTS]);
        let pieces: Vec<(String, String)> = SHAPES
            .iter()
            .map(|(shape, ..)| format!("schema/m/tables/piece_{shape}.kdl"))
            .map(|path| (path.clone(), fs::read_to_string(scene.sandbox.path(&path)).expect("is there")))
            .collect();
        let then: Vec<(String, String)> = now
            .iter()
            .map(|(path, _)| (path.clone(), fs::read_to_string(scene.sandbox.path(path)).expect("is there")))
            .chain(pieces.iter().cloned())
            .chain([("schema/m/types.kdl".to_owned(), types)])
            .collect();
        now.extend(pieces.iter().map(|(path, _)| (path.clone(), String::new())));
        now.push(("schema/m/types.kdl".to_owned(), with_defaults));
        let mut expected = heard(&[PARTS], &[]);
        expected.extend(SHAPES.map(|(shape, ..)| format!("domain_default_{shape}")));
        expected.sort();
        plan(&scene, &now);
        scene.runs(&["apply"]);
        assert_eq!(scene.ran(), expected);
        scene.runs(&["rollback", "-1"]);
        scene.ran();
        scene.runs(&["apply"]);
        assert_eq!(scene.ran(), expected);
        // What a plan takes away comes back with the rollback.
        plan(&scene, &then);
        scene.runs(&["apply"]);
        scene.ran();
        scene.runs(&["rollback", "-1"]);
        assert_eq!(scene.ran(), expected);
        for (shape, ..) in SHAPES {
            assert_eq!(scene.db.query(&format!("SELECT id FROM m.t_{shape} WHERE a = b")), ["1"], "{shape}");
        }
    }
}

#[test]
fn literals_in_what_is_new_ask() {
    for boss in [Boss::Superuser, Boss::Member] {
        let scene = Scene::new(boss, &before("m.heard(VALUE)"));
        let texts = new();
        let made: Vec<String> = SHAPES
            .iter()
            .flat_map(|(shape, ..)| {
                let kinds = [
                    "table m.n_",
                    "index m.n_SHAPE.ni_",
                    "table m.np_",
                    "view m.v_",
                    "domain m.e_",
                    "function m.f_",
                    "aggregate m.g_",
                ];
                let since_14 = if texts.len() > 1 { &["function m.s_", "statistics m.x_"][..] } else { &[] };
                let all = kinds.iter().chain(since_14).map(|name| format!("{}{shape}", name.replace("SHAPE", shape)));
                all.collect::<Vec<_>>()
            })
            .collect();
        let asks = |command: &[&str]| {
            let refused = scene.run(command, "");
            assert_eq!(refused.code, 3, "{command:?}: {}{}", refused.stdout, refused.stderr);
            for object in &made {
                let said =
                    |line: &str| line.contains(&format!("runs-as-you: {object}")) && line.contains("m.heard(text)");
                assert!(refused.stderr.lines().any(said), "{command:?}: nothing of {object}\n{}", refused.stderr);
            }
            says(&refused, &[&scene.mallory]);
            assert_eq!(scene.ran(), [""; 0]);
            let allowed = scene.run(command, ",runs-as-you");
            assert_eq!(allowed.code, 0, "{command:?}: {}{}", allowed.stdout, allowed.stderr);
            let places = scene.db.query("SELECT DISTINCT place FROM m.log WHERE place NOT LIKE '%RESET%' ORDER BY 1");
            assert_eq!(places, heard(&texts, &[]), "the check is no trap");
            // She was trusted.
            scene.db.execute(&format!("TRUNCATE m.log, public.treasure; ALTER ROLE {} NOSUPERUSER", scene.mallory));
        };
        let files = files(&texts);
        plan(&scene, &files);
        asks(&["apply"]);
        // What a plan takes away comes back with the rollback.
        files.iter().for_each(|(path, _)| fs::remove_file(scene.sandbox.path(path)).expect("can be removed"));
        plan(&scene, &[]);
        scene.runs(&["apply"]);
        assert_eq!(scene.ran(), [""; 0]);
        asks(&["rollback", "-1"]);
    }
}

#[test]
fn literals_of_harmless_domains_ask_nothing() {
    let mine = "RESET ROLE; CREATE FUNCTION public.fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';";
    for (whose, boss, sql) in [
        ("a check of PostgreSQL's own functions", Boss::Superuser, before("upper(VALUE) <> 'NEVER'")),
        ("one's own function", Boss::Superuser, format!("{mine} {}", before("public.fine(VALUE)"))),
        ("the owner runs it", Boss::Mallory, before("m.heard(VALUE)")),
    ] {
        let scene = Scene::new(boss, &sql);
        plan(&scene, &files(&new()));
        scene.runs(&["apply"]);
        scene.runs(&["rollback", "-1"]);
        println!("{whose}: nothing is asked");
    }
}

#[test]
fn a_domain_that_the_plan_itself_makes_counts() {
    let scene = Scene::new(Boss::Superuser, &BEFORE.replace("HEARD", "true"));
    let text = r#"schema m {
        domain own text { check own_check "m.heard(VALUE)"; }
        type wrapped { attribute a "own[]"; }
        table u { column id integer; column a wrapped; index u_i id { where "a <> '(\"{new}\")'::wrapped"; }; }
    }"#;
    plan(&scene, &[("schema/m/own.kdl".to_owned(), text.to_owned())]);
    let refused = scene.run(&["apply"], "");
    assert_eq!(refused.code, 3, "{}{}", refused.stdout, refused.stderr);
    says(&refused, &["runs-as-you: index m.u.u_i", "m.heard(text)", &scene.mallory]);
    assert_eq!(scene.ran(), [""; 0]);
}

#[test]
fn a_check_that_reads_a_view_as_xml_asks() {
    let scene = Scene::new(
        Boss::Superuser,
        "CREATE VIEW m.evil AS SELECT m.tell('view') AS x; \
         CREATE DOMAIN m.word AS text CHECK (table_to_xml('m.evil', true, true, '') IS NOT NULL)",
    );
    let text = r#"schema m { table u { column a "word[]" default="'{new}'"; }; }"#;
    plan(&scene, &[("schema/m/own.kdl".to_owned(), text.to_owned())]);
    let refused = scene.run(&["apply"], "");
    assert_eq!(refused.code, 3, "{}{}", refused.stdout, refused.stderr);
    says(&refused, &["runs-as-you: table m.u", "table_to_xml", "m.word", &scene.mallory]);
    assert_eq!(scene.ran(), [""; 0]);
}

#[test]
fn what_a_new_table_computes_asks() {
    let scene = Scene::new(Boss::Superuser, "");
    let text = r#"schema m {
        table u { column id integer; column g integer generated="m.same('generated', 1)"; }
        table w partition-by="RANGE ((id + m.same('partition key', 1)))" { column id integer; }
        table o { column id integer; index i (sql)"m.same('index', id)"; }
        table e { column id integer; exclude x { key (sql)"m.same('exclusion', id)" with="="; }; }
        table d { column id integer default="m.same('default', 1)"; check c "m.always('check')"; }
    }"#;
    plan(&scene, &[("schema/m/new.kdl".to_owned(), text.to_owned())]);
    let refused = scene.run(&["apply"], "");
    assert_eq!(refused.code, 3, "{}{}", refused.stdout, refused.stderr);
    says(&refused, &["runs-as-you: table m.u", "runs-as-you: table m.w", "m.same(text,integer)", &scene.mallory]);
    says(&refused, &["runs-as-you: index m.o.i", "runs-as-you: table m.e"]);
    // Defaults and checks run when there are rows.
    assert!(!refused.stderr.contains("runs-as-you: table m.d"), "{}", refused.stderr);
    assert_eq!(scene.ran(), [""; 0]);
}
