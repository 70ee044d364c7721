//! Generates schemas for tests that need no server: every kind of object, each either missing or in one of two forms.

use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;

use super::load_texts;
use crate::model::State;

/// What the others refer to.
const GROUND: &str = r#"
schema app { table plain }
type pair { attribute x integer; attribute y integer }
function stamp returns=trigger language=plpgsql { body-exact "BEGIN RETURN NEW; END" }
function seen returns=event_trigger language=plpgsql { body-exact "BEGIN END" }
function one returns=integer language=sql volatility=immutable { arg pair; body-exact "SELECT 1" }
function same returns=boolean language=sql { arg pair; arg pair; body-exact "SELECT true" }
operator "~~~" left-arg=pair right-arg=pair function=same
table base { column id bigint not-null; column r int4range; primary-key id }
foreign-data-wrapper w
server s wrapper=w
"#;

/// Objects of their own.
const TOPS: &[(&str, &str)] = &[
    ("extension citext", "extension citext schema=app { comment x }"),
    ("collation plain locale=C", "collation plain locale=POSIX { comment \"two\\nlines\" }"),
    ("enum mood sad happy", "enum mood sad \"it's ok\" happy { comment x }"),
    (
        "domain d text { check d_check \"VALUE <> ''\" }",
        "domain d text not-null default=\"'x'\" { check other \"VALUE > ''\" }",
    ),
    ("range spans integer", "range spans integer multirange-type-name=manys { comment x }"),
    (
        "type address { attribute zip text }",
        "type address { attribute street text; attribute zip \"varchar(10)\"; comment x }",
    ),
    ("sequence n", "sequence n cycle start=7 min=3 owned-by=base.id"),
    (
        "function f returns=integer language=sql { arg a integer; body-exact \"SELECT a\" }",
        "function f strict returns=integer language=sql cost=5 { arg a integer default=\"1\"; set search_path=app; \
         body \"\"\"\n    SELECT a\n\n      + 1\n    \"\"\"; revoke execute from=public }",
    ),
    (
        "function f returns=text language=sql { arg t text; body-exact x }",
        "function f returns=text language=sql { arg t text; body-exact y; comment z }",
    ),
    (
        "procedure p language=sql { body-exact \"SELECT 1\" }",
        "procedure p language=sql { arg a integer; body-exact \"SELECT 2\" }",
    ),
    (
        "aggregate total sfunc=int4pl stype=integer { arg n integer }",
        "aggregate total sfunc=int4pl stype=integer initcond=\"1\" { arg n integer; comment x }",
    ),
    (
        "operator \"===\" left-arg=pair right-arg=pair function=same",
        "operator \"===\" hashes left-arg=pair right-arg=pair function=same { comment x }",
    ),
    ("operator-family odd using=btree", "operator-family odd using=btree { comment x }"),
    (
        "operator-class pairs for-type=pair using=hash { operator 1 \"~~~\" }",
        "operator-class pairs default for-type=pair using=hash { operator 1 \"~~~\"; comment x }",
    ),
    ("cast pair integer function=one", "cast pair integer assignment function=one { comment x }"),
    (
        "text-search-parser q start=prsd_start gettoken=prsd_nexttoken end=prsd_end lextypes=prsd_lextype",
        "text-search-parser q start=prsd_start gettoken=prsd_nexttoken end=prsd_end lextypes=prsd_lextype headline=prsd_headline",
    ),
    (
        "text-search-template own lexize=dsimple_lexize",
        "text-search-template own init=dsimple_init lexize=dsimple_lexize { comment x }",
    ),
    (
        "text-search-dictionary words template=simple",
        "text-search-dictionary words template=snowball { options language=german }",
    ),
    ("text-search-configuration c", "text-search-configuration c { mapping asciiword { with simple }; comment x }"),
    (
        "view v { sql \"SELECT id FROM base\" }",
        "view v security-barrier { sql \"\"\"\n  SELECT id\n  FROM base WHERE id > 0\n  \"\"\"; column id { comment x }; trigger t instead-of insert for-each=row function=stamp }",
    ),
    (
        "materialized-view m { sql \"SELECT id FROM base\" }",
        "materialized-view m { with fillfactor=50; sql \"SELECT id FROM base\"; index m_id id unique=#true }",
    ),
    (
        "foreign-table far server=s { column a integer }",
        "foreign-table far server=s { options table_name=x; column a integer { options b=c } }",
    ),
    ("statistics st id r from=base", "statistics st id r from=base statistics=100 { kinds mcv }"),
    (
        "publication pub all-tables",
        "publication pub { publish insert; table base id { where \"id > 0\" }; tables-in-schema app }",
    ),
    (
        "event-trigger e ddl_command_end function=seen",
        "event-trigger e ddl_command_end function=seen { tags \"CREATE TABLE\"; owner app }",
    ),
    (
        "default-privileges tables for=app { grant select to=reader }",
        "default-privileges tables for=app { grant select insert to=reader; revoke delete from=app }",
    ),
    ("foreign-data-wrapper other", "foreign-data-wrapper other { options a=x \"B c\"=\"it's\" }"),
    (
        "server t wrapper=w { user-mapping public }",
        "server t wrapper=w version=\"2\" { options host=h; user-mapping public { options user=x }; user-mapping app }",
    ),
    (
        "schema extra { table t { column a integer } }",
        "schema extra { comment x; grant usage to=reader; table t { column a text }; enum e a }",
    ),
    (
        "table parted partition-by=\"RANGE (a)\" { column a integer }\ntable part_1 { partition-of parted \"FOR VALUES FROM (1) TO (2)\" }",
        "table parted partition-by=\"RANGE (a)\" { column a integer }\ntable part_1 { partition-of parted DEFAULT; comment x }",
    ),
    (
        "table heir { inherits base; column more text }",
        "table heir unlogged { with fillfactor=70; column more text not-null; owner app }",
    ),
];

/// What is in the table `subject`.
const PARTS: &[(&str, &str)] = &[
    ("comment one", "comment \"two\n    lines\""),
    ("column a integer", "column a bigint not-null"),
    ("column b text default=\"'x'\"", "column b \"varchar(20)\" collation=C default=\"lower('X')\""),
    ("column c integer generated=\"k * 2\"", "column c integer generated=\"k * 3\" { comment x }"),
    ("column d bigint identity=always", "column d bigint { identity by-default start=5 }"),
    (
        "column e numeric { comment one; grant select to=reader }",
        "column e \"numeric(5,2)\" storage=main { with n_distinct=5; comment two }",
    ),
    ("column f bigint { references base id }", "column f bigint { references base id on-delete=cascade }"),
    ("primary-key k", "primary-key k name=pk { include l; index-comment x }"),
    ("unique l", "unique l nulls-not-distinct=#true"),
    ("check \"k > 0\"", "check positive \"k > 1\" no-inherit"),
    (
        "exclude using=gist { key r with=\"&&\" }",
        "exclude name=apart using=gist deferrable=#true { key r with=\"&&\"; where \"k > 0\" }",
    ),
    (
        "foreign-key l { references base id }",
        "foreign-key l initially-deferred=#true { references base id on-delete=set-null }",
    ),
    ("index i1 l", "index i1 l unique=#true { where \"k > 0\" }"),
    ("index i2 { key l order=desc; key (sql)\"k + 1\" }", "index i2 using=brin { key l; with pages_per_range=8 }"),
    (
        "trigger t1 before update for-each=row function=stamp",
        "trigger t1 after insert update for-each=row function=stamp enabled=disabled { when \"new.k > 0\" }",
    ),
    ("policy p { using \"k > 0\" }", "policy p for=select to=reader { using \"k > 1\"; comment x }"),
    (
        "rule r1 insert { do \"DELETE FROM base\" }",
        "rule r1 insert instead { where \"new.k > 0\"; do \"DELETE FROM base\"; do \"NOTIFY t\" }",
    ),
    ("grant select to=reader", "grant select insert to=reader"),
    ("grant update to=writer grant-option=#true", "grant update delete to=writer { grant-option update }"),
    ("revoke delete from=postgres", "revoke delete insert from=postgres"),
    ("replica-identity full", "replica-identity nothing"),
    ("cluster i0", "cluster i0 { comment x }"),
    ("owner app", "owner other"),
    ("with fillfactor=70", "with fillfactor=80 toast.autovacuum_enabled=\"false\""),
];

/// Which form of each there is; 0 stands for none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) tops: Vec<u8>,
    pub(super) parts: Vec<u8>,
}

/// Any of them.
pub(super) fn choice() -> impl Strategy<Value = Choice> {
    let forms = |all: usize| prop::collection::vec(0..3u8, all);
    (forms(TOPS.len()), forms(PARTS.len())).prop_map(|(tops, parts)| Choice { tops, parts })
}

impl Choice {
    /// Another form of one of them.
    pub(super) fn with_one_changed(&self, which: usize, turn: u8) -> Self {
        let mut out = self.clone();
        let all = out.tops.len() + out.parts.len();
        let which = which % all;
        let slot = out.tops.iter_mut().chain(&mut out.parts).nth(which).expect("one of them");
        *slot = (*slot + 1 + turn % 2) % 3;
        out
    }

    /// Everything, in the form of that number.
    pub(super) fn all(form: u8) -> Self {
        Self { tops: vec![form; TOPS.len()], parts: vec![form; PARTS.len()] }
    }

    /// A file that declares it.
    pub(super) fn text(&self) -> String {
        let mut out = GROUND.to_string();
        let form = |texts: &(&'static str, &'static str), form: u8| match form {
            0 => None,
            1 => Some(texts.0),
            _ => Some(texts.1),
        };
        for text in TOPS.iter().zip(&self.tops).filter_map(|(texts, n)| form(texts, *n)) {
            writeln!(out, "{text}").expect("a string can be written to");
        }
        out.push_str("table subject {\ncolumn k integer not-null\ncolumn l bigint\ncolumn r int4range\nindex i0 k\n");
        for text in PARTS.iter().zip(&self.parts).filter_map(|(texts, n)| form(texts, *n)) {
            writeln!(out, "{}", text.replace('\n', "\\n")).expect("a string can be written to");
        }
        out + "}\n"
    }

    /// The state that it declares.
    pub(super) fn state(&self) -> State {
        let text = self.text();
        load_texts(&[(PathBuf::from("schema/all.kdl"), text.clone())]).unwrap_or_else(|e| panic!("{e}\n{text}")).state
    }
}

mod tests {
    use super::*;
    use crate::kinds::rooms;
    use crate::model::Address;

    #[test]
    fn every_kind_is_among_them() {
        for form in [1, 2] {
            Choice::all(form).state();
        }
        let (one, two) = (Choice::all(1).state(), Choice::all(2).state());
        // Parts are not objects: their whole has them.
        let kinds = rooms().iter().map(|room| room.kind()).filter(|kind| kind.address != Address::Part);
        for word in kinds.map(|kind| kind.word) {
            let there = one.iter().chain(two.iter()).any(|(id, _)| id.kind().word == word);
            assert!(there, "no {word} in src/load/variants.rs");
        }
    }
}
